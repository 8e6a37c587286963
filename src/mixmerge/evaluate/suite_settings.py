"""Until all modules import it from `settings`."""

from mixmerge.evaluate.settings import CodeScoring as CodeScoring

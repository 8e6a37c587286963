"""Until the older tests have moved: see `fixtures.checkpoints`."""

from fixtures.checkpoints import *  # noqa: F403

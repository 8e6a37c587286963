"""Until the older tests have moved: see `fixtures.sft_studies`."""

from fixtures.sft_studies import *  # noqa: F403

"""Until the older tests have moved: see `fixtures.hub_server`."""

from fixtures.hub_server import *  # noqa: F403

"""Until the older tests have moved: see `fixtures.chats`."""

from fixtures.chats import *  # noqa: F403

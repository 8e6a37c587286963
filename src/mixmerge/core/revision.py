"""Revisions of hub repositories: commits, which stay what they are, or names that may move."""

import re

from pydantic import model_validator

from mixmerge.core.section import Section

_COMMIT = re.compile("[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit, and no tag or branch."""
    return _COMMIT.fullmatch(revision) is not None


class Pinned(Section):
    """What every entry says that comes from the hub."""

    revision: str
    """Commit: 40 hexadecimal digits. A tag or a branch can move and needs `allow_moving`."""

    allow_moving: bool = False
    """Accept a tag or a branch as `revision`. The commit at which it stood is recorded with what
    was fetched, and the job stops where it has moved since."""

    @model_validator(mode="after")
    def _is_pinned(self) -> "Pinned":
        if not (self.allow_moving or is_commit(self.revision)):
            raise ValueError(
                f"revision: {self.revision!r} is no commit but a tag or a branch, which may move; "
                "write the commit (40 hexadecimal digits, on the repository's page under "
                "`commits`), or set allow_moving: true"
            )
        return self

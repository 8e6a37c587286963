"""Proof that a runner is inside its box; without it no program is ever run.

Paid for: a prototype that emptied ``/tmp`` between programs was once started outside of its
sandbox, as root.
"""

import os
from pathlib import Path
from typing import Final

#: How a runner exits that found itself outside.
EXIT: Final = 97
NAMESPACES: Final = ("user", "pid", "net", "mnt", "ipc", "uts")


class NotInside(Exception):
    """This process is not in the box that it should be in; the message says what is wrong."""


def hello(canary: Path) -> dict[str, object]:
    """What the outside says of itself, in the first message to a runner.

    Args:
        canary: an existing file that must not be seen inside.
    """
    return {"outer": namespaces(), "canary": str(canary)}


def namespaces() -> dict[str, int]:
    """The kernel's numbers of the namespaces that this process is in."""
    return {name: os.stat(f"/proc/self/ns/{name}").st_ino for name in NAMESPACES}  # noqa: PTH116


def own_namespaces(hello: dict[str, object]) -> None:
    """Prove that no namespace is shared with the outside.

    Raises:
        NotInside: one is, or the outside did not say which are its own.
    """
    outer, inner = hello.get("outer"), namespaces()
    if not isinstance(outer, dict) or set(outer) != set(NAMESPACES):
        raise NotInside("the launcher did not name its own namespaces")
    shared = [name for name in NAMESPACES if outer[name] == inner[name]]
    if shared:
        raise NotInside(f"namespaces shared with the outside: {', '.join(shared)}")


def unseen(hello: dict[str, object]) -> None:
    """Prove that the launcher's canary, a file that exists outside, can't be opened.

    Raises:
        NotInside: it can, or none was named.
    """
    canary = hello.get("canary")
    if not isinstance(canary, str) or not canary.startswith("/"):
        raise NotInside("the launcher named no canary")
    try:
        os.close(os.open(canary, os.O_RDONLY))
    except OSError:
        return
    raise NotInside(f"a file of the outside can be read: {canary}")


def read_only_root() -> None:
    """Prove that the root directory can't be written to.

    Raises:
        NotInside: it can.
    """
    if not os.statvfs("/").f_flag & os.ST_RDONLY or os.access("/", os.W_OK):
        raise NotInside("the root directory is writable")

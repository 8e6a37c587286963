"""Errors for people: the one exception with a message for users, and what the machine refuses.

What the machine refuses may come up in any code, so it is put into words where a job ends.
"""

import difflib
import errno
import os
import re
from collections.abc import Collection
from pathlib import Path

from mixmerge.core.redaction import redacted

#: What to do about each error that comes from where the files lie, not from our code.
_ADVICE = {
    errno.ENOSPC: "free some space there, or move the results to a larger disk",
    errno.EDQUOT: "free some space there, or ask for a larger quota",
    errno.EACCES: "give this user the right to it, or choose another place",
    errno.EPERM: "give this user the right to it, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.EISDIR: "a file is needed there; move the folder away",
    errno.EEXIST: "something else stands there; move it away",
    errno.ENOTDIR: "a folder is needed there; move the file away",
    errno.ENOTEMPTY: "something else writes there; stop it, or choose another place",
    errno.ELOOP: "its symbolic links go in a circle; delete or mend them",
    errno.ENAMETOOLONG: "shorten the names in the config, or the path of the results",
    errno.EFBIG: "files may not grow that large there; choose another place",
    errno.EIO: "the disk or its network is failing; choose another place",
    errno.ESTALE: "the network's file system has lost it; mount it anew",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; stop something else",
}

#: How libraries in other languages tell of an error of the system.
_FOREIGN = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)


class UserError(Exception):
    """A mistake in what the user gave us: config, data, checkpoint or machine.

    The message is all that is shown: it names the file (with the line), the field, the offending
    value, and the way out, and loses its secrets. A broken invariant of our own code is no such
    mistake: that is a bug, and worth its traceback.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


def one_line(value: object, longest: int | None = None) -> str:
    """An exception or another text in one line, of at most so many characters."""
    return " ".join(str(value).split())[:longest]


def nearest(name: str, known: Collection[str]) -> str:
    """A hint such as ``; did you mean 'density'?``; where nothing is near, the known names."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def not_a_file(path: Path) -> str:
    """Why a path of which ``is_file()`` is false cannot be read, in a few words."""
    if path.is_dir():
        return "is a directory; name a file in it"
    if path.is_symlink():
        try:
            path.stat()
        except FileNotFoundError:
            return f"is a symbolic link to {path.readlink()}, which does not exist"
        except OSError as error:  # a loop, or a folder on the way that may not be entered
            return f"is a symbolic link that leads nowhere: {error.strerror}"
    return "is no ordinary file (a pipe, socket or device)" if path.exists() else "file not found"


def refusal(error: BaseException, place: str) -> str | None:
    """What the machine refused, in one sentence with the way out; None where it refused nothing.

    Where the error names no file, ``place`` is named: the job's output.
    """
    current: BaseException | None = error
    while current is not None:
        number, file = 0, None
        if isinstance(current, OSError) and current.errno is not None:
            number, file = current.errno, current.filename2 or current.filename
        elif match := _FOREIGN.search(str(current)):
            number = int(match[1] or match[2])
        if number in _ADVICE:
            return f"{file or place}: {os.strerror(number)}; {_ADVICE[number]}, and run again"
        current = current.__cause__ or current.__context__
    return None

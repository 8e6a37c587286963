"""The one exception that is meant for people."""

from typing import TYPE_CHECKING

from mixmerge.core.redaction import redacted

if TYPE_CHECKING:
    from pathlib import Path


class UserError(Exception):
    """A mistake in what the user gave us: config, data, checkpoint or machine.

    The message is all that is shown, so it must stand alone: it names the file (with the line
    where there is one), the field, the offending value, and the way out. Never raise it for a
    broken invariant of our own code; that is what ``assert`` and a traceback are for.

    What the message quotes, such as a library's words or a URL, loses its secrets.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


def nearest(name: str, known: "list[str] | tuple[str, ...] | set[str]") -> str:
    """Return a hint such as ``; did you mean 'density'?``, or list the known names.

    Args:
        name: what the user wrote.
        known: the names that would have been accepted.
    """
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not names:
        return ""
    return "; known: " + ", ".join(names)


def not_a_file(path: "Path") -> str:
    """Say in a few words why a path is no file that could be read.

    Args:
        path: one of which ``is_file()`` is false.
    """
    if path.is_dir():
        return "is a directory; name a file in it"
    if path.is_symlink():
        try:
            path.stat()
        except FileNotFoundError:
            return f"is a symbolic link to {path.readlink()}, which does not exist"
        except OSError as error:  # a loop, or a folder on the way that may not be entered
            return f"is a symbolic link that leads nowhere: {error.strerror}"
    if path.exists():
        return "is no ordinary file (a pipe, socket or device)"
    return "file not found"

"""The one exception that is meant for people."""


class UserError(Exception):
    """A mistake in what the user gave us: config, data, checkpoint or machine.

    The message is all that is shown, so it must stand alone: it names the file (with the line
    where there is one), the field, the offending value, and the way out. Never raise it for a
    broken invariant of our own code; that is what ``assert`` and a traceback are for.
    """


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

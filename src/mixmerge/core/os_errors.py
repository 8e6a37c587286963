"""What the machine refuses: a full disk, a closed folder. Nobody's bug, and nothing to trace.

Such an error may come up wherever a file is touched, in our code or in a library's, so it is put
into words in one place: where a job ends.
"""

import errno
import os
import re

#: What is to be done about each error that comes from where the files lie, not from our code.
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


def refusal(error: BaseException, place: str) -> str | None:
    """What the machine refused, in one sentence with the way out.

    Args:
        error: what was raised.
        place: what to name where the error itself names no file: the job's output.

    Returns:
        None where the error is none of the machine's: a bug, which is worth its traceback.
    """
    found: BaseException | None = error
    while found is not None:
        number, file = _number(found)
        if number in _ADVICE:
            return f"{file or place}: {os.strerror(number)}; {_ADVICE[number]}, and run again"
        found = found.__cause__ or found.__context__
    return None


def _number(error: BaseException) -> tuple[int, str | None]:
    """The system's number of an error (0: it has none) and the file it names."""
    if isinstance(error, OSError) and error.errno is not None:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return error.errno, names[-1] if names else None
    match = _FOREIGN.search(str(error))
    return (int(match[1] or match[2]), None) if match else (0, None)

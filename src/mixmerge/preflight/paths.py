"""Files and folders that the configuration names: whether a job could read them."""

import os
import stat
from pathlib import Path


def unusable(path: Path, *, folder: bool = False) -> str | None:
    """What keeps a job from reading a file, or a folder, with the way out; None for nothing."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"does not exist (seen from {Path.cwd()}); mend the path, or put the file there"
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        return f"cannot be looked at ({said}); mend the path, or who may read it"
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        wanted, found = ("directory", "file") if folder else ("file", "directory")
        found = found if stat.S_ISDIR(mode) or stat.S_ISREG(mode) else "device or a pipe"
        return f"is a {found}, but must be a {wanted}; mend the path"
    if not os.access(path, os.R_OK | (os.X_OK if folder else 0)):
        return "may not be read by you; run `chmod u+r` on it, or ask its owner"
    return None

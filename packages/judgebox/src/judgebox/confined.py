"""Landlock, seccomp and limits, where namespaces are not to be had: the outer half.

Weaker than bubblewrap: names and sizes of files outside can be asked for (not their contents),
the check sees the machine's name, and a full disk is noticed by looking, not by the kernel.
"""

import json
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import judgebox
from judgebox import landlock, seccomp
from judgebox.backend import Launched, Refused
from judgebox.runtime import Runtime

_CELL = "judgebox.locked"
#: At the end of the path: a package of ours must not stand before the standard library.
_START = "import sys; sys.path.append(sys.argv.pop(1)); from judgebox.lockin import main; main()"


NAME: Final = "landlock"


def launch(runtime: Runtime) -> Launched:
    """Start a runner that locks itself in; see `judgebox.backend.Backend.launch`.

    Args:
        runtime: what it may see.

    Raises:
        Refused: the kernel has no landlock, or the machine no filter, or nothing starts.
    """
    try:
        seccomp.machine()
        version = min(landlock.version(), landlock.NEWEST)
    except OSError as error:
        raise Refused(str(error)) from error
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        plan = {
            "below": tempfile.gettempdir(),
            "command": runtime.command(_CELL, theirs.fileno()),
            "control": theirs.fileno(),
            "environment": runtime.environment,
            "hidden": [str(path.resolve()) for path in runtime.hidden],
            "readable": [str(path.resolve()) for path in runtime.readable],
            "site": {name: str(path.resolve()) for name, path in runtime.site.items()},
            "version": version,
        }
        package = Path(judgebox.__file__).resolve().parent.parent
        flags = ("-I", "-S", "-B", "-c", _START, str(package), json.dumps(plan))
        try:
            process = subprocess.Popen(
                [str(runtime.interpreter), *flags],
                stdin=subprocess.PIPE,  # its other end is how the box knows that we live
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=runtime.environment,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise Refused(f"{runtime.interpreter}: {error.strerror}") from error
    return Launched(process, ours)

"""What EvalPlus takes away from a program, and where its output goes."""

import builtins
import contextlib
import faulthandler
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

_TAKEN_FROM_OS = (
    *("kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork"),
    *("forkpty", "killpg", "rename", "renames", "truncate", "replace", "unlink", "fchmod"),
    *("fchown", "chmod", "chown", "chroot", "lchflags", "lchmod", "lchown", "getcwd", "chdir"),
)
_TAKEN_MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")


def guard() -> None:
    """Take away what EvalPlus's `reliability_guard` takes away.

    No protection here, the box is that; but a program that uses `open` must fail as it does there.
    """
    with contextlib.suppress(ValueError, OSError):
        # The stack of a deep recursion may grow as far as the memory.
        memory, _ = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_STACK, (memory, memory))
    with contextlib.suppress(OSError):
        tempfile.gettempdir()  # is found with what is taken away now
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in _TAKEN_FROM_OS:
        setattr(os, name, None)
    for name in ("exit", "quit", "open", "help"):
        setattr(builtins, name, None)
    for name in ("rmtree", "move", "chown"):
        setattr(shutil, name, None)
    subprocess.Popen = None  # type: ignore[assignment, misc]
    sys.modules.update(dict.fromkeys(_TAKEN_MODULES))  # type: ignore[arg-type]


class _WriteOnly(io.StringIO):
    def read(self, *args: Any, **kwargs: Any) -> str:
        raise OSError

    readline = readlines = read  # type: ignore[assignment]

    def readable(self, *args: Any, **kwargs: Any) -> bool:
        return False


class swallow:
    """Standard output and error go nowhere, and nothing can be read: EvalPlus's `swallow_io`."""

    def __enter__(self) -> None:
        self._kept = sys.stdout, sys.stderr, sys.stdin
        sys.stdout = sys.stderr = sys.stdin = _WriteOnly()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.stdout, sys.stderr, sys.stdin = self._kept

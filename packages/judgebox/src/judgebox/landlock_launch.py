"""The outer half of the landlock backend: locks a runner in, and leaves nothing of it behind.

The *sweeper*, which the judge starts, starts the *runner*, which gives up its rights, for good,
before it becomes an interpreter of its own. When the runner or the judge ends, the sweeper kills
what is left of the box (all of which the kernel makes its children) and deletes the box's folder.
When the sweeper is killed, the runner is told so, and kills what runs in it.
"""

import contextlib
import glob
import json
import os
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from judgebox import landlock, seccomp, spawn
from judgebox.scratch import Scratch

if TYPE_CHECKING:  # of the outside; this module is started without any package
    from judgebox.runtime import Runtime

#: At the end of the path: a package of ours must not stand before the standard library.
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from judgebox.landlock_launch import main; main()"
)
#: Processes and threads beyond the machine's at the box's start: no program of a box gets here, for
#: checks are polled; it is what stops a fork bomb between two polls.
_TASKS = 4096
_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def command(runtime: "Runtime", control: int) -> list[str]:
    """The command line of a sweeper, whose runner may read what `runtime` lists.

    The end of the sweeper's standard input is how it knows that the judge has ended.

    Args:
        runtime: what may be read.
        control: descriptor of the runner's end of its control socket.

    Raises:
        Refused: the kernel has no landlock, or the machine no filter.
    """
    seccomp.machine()
    plan = {
        "below": tempfile.gettempdir(),
        "command": runtime.command(landlock.__name__, control),
        "control": control,
        "environment": runtime.environment,
        "hidden": [str(path.resolve()) for path in runtime.hidden],
        "readable": [str(path.resolve()) for path in runtime.readable],
        "site": {name: str(path.resolve()) for name, path in runtime.site.items()},
        "version": landlock.version(),
    }
    sources = str(Path(__file__).resolve().parent.parent)
    return [str(runtime.interpreter), "-I", "-S", "-B", "-c", _START, sources, json.dumps(plan)]


def main() -> NoReturn:
    """Sweep after the box that the first argument describes (JSON; see `command`)."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    spawn.drop_capabilities()
    landlock.adopt_orphans()
    for number in _POLITE:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a judge's own setting is inherited
    place = Scratch(plan["below"], "judgebox-")
    try:
        sweeper = os.getpid()
        runner = os.fork()
        if runner == 0:
            try:
                _become_runner(plan, place.path, sweeper)
            except Exception as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(1)
        os.close(plan["control"])
        ended = os.pidfd_open(runner)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(0, select.POLLIN)
        poll.poll()
        os.kill(runner, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
        kill_orphans()
    finally:
        place.remove()
    sys.exit(code if code >= 0 else 1)


def kill_orphans() -> None:
    """Kill whatever the runner left behind, until there is nothing any more."""
    while pids := landlock.children():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                group = os.getpgid(pid)
                # A check's group at once; only this process leads none of those.
                if group not in (0, os.getpgrp()):
                    os.killpg(group, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
        os.waitpid(-1, 0)


def _become_runner(plan: dict[str, Any], place: str, sweeper: int) -> NoReturn:
    landlock.die_with(sweeper, signal.SIGTERM)
    for number in _POLITE:
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    checks, site = f"{place}/checks", Path(place, "site")
    os.mkdir(checks)  # noqa: PTH102
    for name, path in plan["site"].items():  # links, as there is no mounting
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).symlink_to(path)
    # A check's own lock need not be as fine as this one, for it is added to this one.
    reads = sorted({*plan["readable"], *map(os.path.dirname, plan["site"].values()), str(site)})
    rules = list(readable(plan["readable"], set(plan["hidden"])))
    rules += [(path, landlock.READ) for path in (*plan["site"].values(), str(site), "/proc")]
    # The runner offers itself first where memory runs out.
    rules += [*landlock.DEVICES.items(), ("/proc/self/oom_score_adj", landlock.DEVICE)]
    cell = {"checks": checks, "reads": reads, "version": plan["version"]}
    environment = plan["environment"] | {
        "PYTHONPATH": str(site),
        "HOME": checks,
        "TMPDIR": checks,
        landlock.PLAN: json.dumps(cell),
    }
    resource.setrlimit(resource.RLIMIT_CORE, spawn.NO_CORE_DUMP)
    # The user's processes and threads (the kernel exempts root).
    tasks = len(glob.glob("/proc/[0-9]*/task/*")) + _TASKS  # noqa: PTH207  some go meanwhile
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = tasks if hard == resource.RLIM_INFINITY else min(hard, tasks)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    os.chdir("/")
    landlock.lock([*rules, (checks, landlock.WRITE)], plan["version"])
    seccomp.install(seccomp.RUNNER)
    os.execve(plan["command"][0], plan["command"], environment)


def readable(paths: list[str], hidden: set[str]) -> Iterator[tuple[str, int]]:
    """Rules for all that lies at and below paths, but for what is hidden there.

    Landlock can only add. So a folder with something hidden below may be listed (down to the
    hidden files' names, not their contents), and each of its other entries is allowed by itself.
    What a link among these points at is allowed where it is, or not at all.
    """
    for path in paths:
        if path in hidden:
            continue
        if not any(other.startswith(f"{path}/") for other in hidden):
            yield path, landlock.READ
            continue
        yield path, landlock.LIST
        entries = [entry.path for entry in os.scandir(path) if not entry.is_symlink()]
        yield from readable(entries, hidden)

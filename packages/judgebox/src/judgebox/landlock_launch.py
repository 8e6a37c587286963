"""The outer half of the landlock backend: locks a runner in, and leaves nothing of it behind.

Three processes, of which the last becomes the runner:

- the *front*, which the judge started and may kill. It ends when the judge does;
- the *sweeper*, which notices the end of the front or of the runner, then kills what is left of the
  box (all of which the kernel makes its children) and deletes the box's folder;
- the *runner*, which gives up its rights, for good, before it starts an interpreter of its own.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from judgebox import landlock, seccomp, self_check, spawn
from judgebox.scratch import Scratch

if TYPE_CHECKING:  # of the outside; this module is started without any package
    from judgebox.runtime import Runtime

NAME: Final = "landlock"
#: At the end of the path: a package of ours must not stand before the standard library.
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from judgebox.landlock_launch import main; main()"
)
_CAPBSET_DROP, _CAP_AMBIENT, _CAP_AMBIENT_CLEAR = 24, 47, 4
_CAPABILITIES = 64
#: Processes and threads of the user beyond those at the box's start: no program of a box gets here,
#: for checks are polled; it is what stops a fork bomb between two polls.
_TASKS = 4096


def launch(runtime: "Runtime") -> spawn.Launched:
    """Start a runner that locks itself in and may read what `runtime` lists.

    Raises:
        Refused: the kernel has no landlock, or the machine no filter, or nothing starts.
    """
    seccomp.machine()
    version = min(landlock.version(), landlock.NEWEST)
    sources = str(Path(__file__).resolve().parent.parent)

    def command(control: int) -> list[str]:
        plan = {
            "below": tempfile.gettempdir(),
            "command": runtime.command(landlock.__name__, control),
            "control": control,
            "environment": runtime.environment,
            "hidden": [str(path.resolve()) for path in runtime.hidden],
            "readable": [str(path.resolve()) for path in runtime.readable],
            "site": {name: str(path.resolve()) for name, path in runtime.site.items()},
            "version": version,
        }
        flags = ("-I", "-S", "-B", "-c", _START, sources, json.dumps(plan))
        return [str(runtime.interpreter), *flags]

    # The other end of its standard input is how the box knows that we live.
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "start_new_session": True}
    return spawn.launch(command, runtime.environment, **options)


def main() -> NoReturn:
    """Start the box that the first argument describes (JSON; see `launch`)."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    drop_capabilities()
    landlock.adopt_orphans()
    alive, front_holds = os.pipe()
    sweeper = os.fork()
    if sweeper == 0:
        os.close(front_holds)
        os._exit(_guarded(_sweep, plan, alive))
    os.close(alive)
    os.close(plan["control"])
    _until_ended(sweeper, 0)
    os.close(front_holds)
    code = _code(os.waitpid(sweeper, 0)[1])
    kill_orphans()  # nothing, but where somebody killed the sweeper
    os._exit(code)


def drop_capabilities() -> None:
    """Give up what root may do beyond other users, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(_CAPABILITIES):
        libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)  # refused without rights: then it has none
    libc.prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR, 0, 0, 0)
    libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))


def _guarded(work: Callable[..., int], *arguments: Any) -> int:
    """The exit code that a forked process is to end with."""
    try:
        return work(*arguments)
    except OSError as error:
        print(f"landlock: {error}", file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
    return self_check.EXIT


def _sweep(plan: dict[str, Any], alive: int) -> int:
    """Start the runner, wait for its end or the front's, and leave nothing behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    landlock.adopt_orphans()
    place = Scratch(plan["below"], "judgebox-")
    try:
        sweeper = os.getpid()
        runner = os.fork()
        if runner == 0:
            os._exit(_guarded(_become_runner, plan, place.path, sweeper))
        os.close(plan["control"])
        _until_ended(runner, alive)
        with contextlib.suppress(ProcessLookupError):
            os.kill(runner, signal.SIGKILL)
        code = _code(os.waitpid(runner, 0)[1])
        kill_orphans()
    finally:
        place.remove()
    return code


def _until_ended(child: int, life: int) -> None:
    """Wait for the end of a child, or of whoever holds the other end of a pipe."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(life, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if ended in ready or not os.read(life, 1):
            os.close(ended)
            return


def kill_orphans() -> None:
    """Kill whatever the runner left behind, until there is nothing any more."""
    while True:
        for pid in landlock.children():
            with contextlib.suppress(ProcessLookupError):
                group = os.getpgid(pid)
                # A check's group at once; only this process leads none of those.
                if group not in (0, os.getpgrp()):
                    os.killpg(group, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _become_runner(plan: dict[str, Any], place: str, sweeper: int) -> NoReturn:
    landlock.die_with(sweeper)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    checks, site = f"{place}/checks", f"{place}/site"
    os.mkdir(checks)  # noqa: PTH102
    _link_site(site, plan["site"])
    # A check's own lock need not be as fine as this one, for it is added to this one.
    reads = sorted({*plan["readable"], *map(os.path.dirname, plan["site"].values()), site})
    rules = list(readable(plan["readable"], set(plan["hidden"])))
    rules += [(path, landlock.READ) for path in (*plan["site"].values(), site, "/proc")]
    # The runner offers itself first where memory runs out.
    rules += [*landlock.DEVICES.items(), ("/proc/self/oom_score_adj", landlock.DEVICE)]
    told = {"checks": checks, "reads": reads, "version": plan["version"]}
    environment = plan["environment"] | {
        "PYTHONPATH": site,
        "HOME": checks,
        "TMPDIR": checks,
        landlock.PLAN: json.dumps(told),
    }
    resource.setrlimit(resource.RLIMIT_CORE, spawn.NO_CORE_DUMP)
    _bound_tasks()
    os.chdir("/")
    landlock.lock([*rules, (checks, landlock.WRITE)], plan["version"])
    seccomp.install(seccomp.RUNNER)
    os.execve(plan["command"][0], plan["command"], environment)


def _link_site(site: str, entries: dict[str, str]) -> None:
    """Make the folder of packages: of links, as there is no mounting."""
    for name, path in entries.items():
        link = Path(site, name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


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


def _bound_tasks() -> None:
    """Bound the number of the user's processes and threads (the kernel exempts root)."""
    tasks = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():  # noqa: PTH116
                tasks += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = tasks + _TASKS if hard == resource.RLIM_INFINITY else min(hard, tasks + _TASKS)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))

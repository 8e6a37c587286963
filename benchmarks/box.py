"""What the sandbox costs: a box's start, and a check in it, against a bare fork in the same run.

    python benchmarks/box.py [--checks 200] [--starts 10] [--backend bubblewrap|landlock]

All forks are of processes that have numpy in memory, as the one that checks outputs has. The three
kinds take turns, so that what else the machine does falls on all alike. Prints Markdown: medians of
seconds by the clock, and processor time of what was forked, as the kernel counts it (of a start:
what it takes of this process).
"""

import argparse
import functools
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy  # noqa: F401  in memory here as in the box

from judgebox import available
from judgebox.box import Box
from judgebox.check import Limits

_LIMITS = Limits(cpu_seconds=10, wall_seconds=60, memory_bytes=4 * 2**30)
#: A check that answers once, in a runner that has numpy in memory.
_ANSWER = b"send(b'1')"

Cost = tuple[float, float]


def bare_fork() -> Cost:
    """Fork, write a byte to a pipe, exit, wait: what no sandbox can do without."""
    began = time.perf_counter()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, b"1")
        os._exit(0)
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    _, _, usage = os.wait4(pid, 0)
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def check(box: Box) -> Cost:
    """One check: started, its answer read, and nothing of it alive any more."""
    began = time.perf_counter()
    with box.start("program", _ANSWER, _LIMITS) as one:
        assert list(one.frames()) == [b"1"]
        ended = one.wait()
    return time.perf_counter() - began, ended.cpu_seconds


def start(backend: str, packages: tuple[str, ...]) -> Cost:
    """A box, from nothing to the proof that it is one, and its end."""
    began, used = time.perf_counter(), time.process_time()
    with Box(packages, backend):
        return time.perf_counter() - began, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checks", type=int, default=200)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--backend", choices=("bubblewrap", "landlock"))
    given = parser.parse_args()
    offers = available()
    names = sorted({offer.backend for offer in offers if offer.works})
    names = [name for name in names if given.backend in (None, name)]
    found: dict[str, list[Cost]] = {"bare fork": []}
    boxes = {name: Box(backend=name).__enter__() for name in names}
    kinds: dict[str, Callable[[], Cost]] = {"bare fork": bare_fork}
    for name, box in boxes.items():
        # Ends at once, for want of a request; what its harness imports stays in the runner.
        with box.start("calls", b"", _LIMITS) as warm:
            warm.wait()
        kinds[f"check, {name}"] = functools.partial(check, box)
    for _ in range(given.checks):
        for name, measure in kinds.items():
            found.setdefault(name, []).append(measure())
    for box in boxes.values():
        box.__exit__(None, None, None)
    for _ in range(given.starts):
        for name in names:
            key = f"start of a box, {name}"
            found.setdefault(key, []).append(start(name, ("numpy", "pandas", "sympy", "networkx")))
    _report(found, given.checks, given.starts)


def _report(found: dict[str, list[Cost]], checks: int, starts: int) -> None:
    print(
        f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python "
        f"{platform.python_version()}, user {os.getuid()}, {checks} checks and {starts} starts of "
        f"each kind by turns, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| what | ms (median) | ms (first to last tenth) | processor ms (median) |")
    print("|---|---|---|---|")
    for name, costs in found.items():
        wall = sorted(1000 * one for one, _ in costs)
        used = statistics.median(1000 * one for _, one in costs)
        low, high = wall[len(wall) // 10], wall[-1 - len(wall) // 10]
        spread = f"{low:.2f} to {high:.2f}"
        print(f"| {name} | {statistics.median(wall):.2f} | {spread} | {used:.2f} |")
    bare = statistics.median(one for one, _ in found["bare fork"])
    for name, costs in found.items():
        if name.startswith("check"):
            ratio = statistics.median(one for one, _ in costs) / bare
            print(f"\n{name}: {ratio:.1f} times a bare fork.")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "?")


if __name__ == "__main__":
    main()

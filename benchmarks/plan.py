"""Seconds and memory that planning a study takes: ``snakemake -n all``, nothing made yet.

    python benchmarks/plan.py [--runs 5] [CONFIG ...]

Each run is a process of its own in a copy of the repository without results; the median counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repository import copy_repository


def plan(folder: Path, config: list[str]) -> tuple[float, float, int]:
    """Plan once; returns seconds, peak memory in MB and the number of jobs."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet=rules"]
    command += ["--configfile", *config, "--cores", "1", "all"]
    start = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(output)
    total = next(line for line in output.splitlines() if line.startswith("total"))
    return seconds, usage.ru_maxrss / 1024, int(total.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("config", nargs="*", default=["config/config.yaml"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        copy_repository(Path(scratch))
        found = [plan(Path(scratch), given.config) for _ in range(given.runs)]
    seconds = sorted(entry[0] for entry in found)
    median, (jobs, memory) = statistics.median(seconds), (found[0][2], max(e[1] for e in found))
    print(f"{' + '.join(given.config)}: {jobs} jobs, {memory:.0f} MB")
    print(f"median {median:.1f} s of {given.runs} runs ({seconds[0]:.1f} to {seconds[-1]:.1f} s)")


if __name__ == "__main__":
    main()

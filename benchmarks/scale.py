"""Seconds and memory that planning a very large study takes: ``snakemake -n all``.

    python benchmarks/scale.py [--models 100] [--runs 3] [--profile FILE]

The study is generated: hub models that are never fetched, two tasks, four strategies of ten ratios
each (100 models: over 20,000 jobs). Each run is a process of its own in a copy of the repository
without results; medians count. CPU seconds are given because wall seconds depend on who else uses
the machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from repository import ROOT, copy_repository


def config(models: int, ratios: int = 10) -> dict[str, Any]:
    """The demo's two tasks with many models of the hub and four strategies of many ratios."""
    data: dict[str, Any] = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    data["study"] = "scale"
    data["models"] = {
        f"model-{number:03d}": {
            "kind": "hub",
            "id": f"organisation/model-{number:03d}",
            "revision": f"{number:040x}",
            "title": f"Model {number}",
            "size": "1B",
        }
        for number in range(models)
    }
    data["data_scale"] = [100]
    for strategy in data["strategies"].values():
        strategy["ratios"] = [round((step + 1) / (ratios + 1), 3) for step in range(ratios)]
    return data


class Cost(NamedTuple):
    """What one plan took."""

    seconds: float
    cpu: float
    """CPU seconds, user and system."""
    memory: float
    """Peak resident memory, MB."""
    jobs: int


def plan(folder: Path, profile: Path | None = None) -> Cost:
    """Plan the study in ``folder`` once."""
    command = [sys.executable]
    if profile is not None:
        command += ["-m", "cProfile", "-o", str(profile)]
    command += ["-m", "snakemake", "-n", "--quiet=rules", "--configfile", "scale.yaml"]
    command += ["--cores", "1", "all"]
    start = time.perf_counter()
    with (folder / "output").open("w") as output:
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    text = (folder / "output").read_text()
    if status:
        sys.exit(text[-3000:])
    total = next(line for line in text.splitlines() if line.startswith("total"))
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(seconds, cpu, usage.ru_maxrss / 1024, int(total.split()[1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", type=Path, help="write cProfile's statistics of one run here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixmerge-scale-") as scratch:
        folder = Path(scratch)
        copy_repository(folder)
        (folder / "scale.yaml").write_text(yaml.safe_dump(config(given.models), sort_keys=False))
        profile = given.profile.resolve() if given.profile else None
        costs = [plan(folder, profile) for _ in range(given.runs)]
    print(f"{given.models} models, {costs[0].jobs} jobs, median of {given.runs} plans:")
    for name, unit in (("seconds", "s"), ("cpu", "s of CPU"), ("memory", "MB at most")):
        values = sorted(getattr(cost, name) for cost in costs)
        print(f"  {statistics.median(values):.1f} {unit} ({values[0]:.1f} to {values[-1]:.1f})")


if __name__ == "__main__":
    main()

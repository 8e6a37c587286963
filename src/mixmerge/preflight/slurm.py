"""Checks of a Slurm cluster: its limits against what the jobs of the plan will ask for."""

import re
import shutil
import subprocess
from collections import Counter
from typing import NamedTuple

from mixmerge.preflight.findings import Area, Context, few
from mixmerge.resources.plan import Planned

#: Rules that Snakemake runs itself, wherever the others run: those with `localrule`.
LOCAL_RULES = {"fetch", "snapshot", "dequantise", "recipe", "hold_out", "nltk_data"}


class Partition(NamedTuple):
    """The widest of a Slurm partition's nodes; minutes are infinite without a limit."""

    up: bool
    minutes: float
    memory_mb: int
    gpus: int


def check_cluster(context: Context, planned: Planned | None, area: Area) -> None:
    """Slurm's partitions, run times, memory and GPUs against what the plan's jobs will ask for."""
    if context.on_this_machine:
        area.checked.append("jobs run on this machine")
        return
    if context.executor != "slurm":
        area.unchecked.append(f"limits of {context.executor}: only Slurm's are known here")
        return
    if shutil.which("sinfo") is None or shutil.which("sbatch") is None:
        area.error(
            "slurm: sinfo and sbatch are not on this machine's PATH, so no job can be submitted; "
            "run on a login node"
        )
        return
    try:
        partitions = _partitions()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        area.unchecked.append(f"limits: sinfo gave no answer ({' '.join(str(error).split())})")
        return
    known = few(sorted(partitions), 8)
    places = {
        "slurm_partition": context.partition,
        "gpu_job_slurm_partition": context.gpu_partition,
    }
    for place, names in places.items():
        for name in filter(None, names.split(",")):
            where = f"default-resources: {place}"
            if name not in partitions:
                area.error(f"{where}: Slurm has no partition {name!r}; it has {known}")
            elif not partitions[name].up:
                area.error(f"{where}: partition {name!r} is not up; name another, or wait")
    if planned is None:
        area.unchecked.append("run times and memory: there is no plan")
        return
    largest: dict[str, Counter[str]] = {}
    for job in planned.jobs:
        if job.rule not in LOCAL_RULES:
            largest[job.rule] = largest.get(job.rule, Counter()) | Counter(job.resources)
    for rule, most in sorted(largest.items()):
        gpu_count = most["gpu"] or most["gpu_count"]
        names = (context.gpu_partition if gpu_count else "") or context.partition
        allowed = [partitions[name] for name in names.split(",") if name in partitions]
        if allowed:
            _check_rule(context, rule, most, names, allowed, area)
    area.checked.append(f"partitions {known}: time, memory, GPUs")
    area.unchecked.append("accounts, QOS and fair-share limits")


def _check_rule(
    context: Context,
    rule: str,
    most: Counter[str],
    names: str,
    allowed: list[Partition],
    area: Area,
) -> None:
    """The most that a job of a rule asks for against the partitions that it may go to."""
    minutes = max(partition.minutes for partition in allowed)
    memory = max(partition.memory_mb for partition in allowed)
    there = max(partition.gpus for partition in allowed)
    if most["runtime"] > minutes:
        area.error(
            f"{context.where}: hardware.longest_hours: rule {rule} will ask for {most['runtime']} "
            f"minutes, partition {names!r} allows {minutes:g}; set longest_hours: {minutes / 60:g},"
            " or name a partition with more time"
        )
    if memory and most["mem_mb"] > memory:
        area.error(
            f"partition {names!r}: rule {rule} will ask for {most['mem_mb']:,} MB of memory on a "
            f"node, the largest has {memory:,}; name another partition (--set-resources "
            f"{rule}:slurm_partition=...), or for training fewer processes"
        )
    per_node = -(-(most["gpu"] or most["gpu_count"]) // max(1, most["nodes"]))
    if per_node > there:
        area.error(
            f"partition {names!r}: rule {rule} will ask for {per_node} GPUs on a node, its nodes "
            f"have {there}; name the GPU partition (gpu_job_slurm_partition), or set sft.processes"
        )


def _partitions() -> dict[str, Partition]:
    """What ``sinfo`` says; each partition may have several kinds of nodes."""
    command = ["sinfo", "--noheader", "--format=%R|%a|%l|%m|%G"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    partitions_by_name: dict[str, Partition] = {}
    for line in answer.stdout.splitlines():
        name, up, limit, memory, generic = (part.strip() for part in line.split("|", 4))
        size = int(re.sub(r"\D", "", memory) or 0)
        count = sum(int(n) for n in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", generic))
        known = partitions_by_name.get(name, Partition(False, 0, 0, 0))
        partitions_by_name[name] = Partition(
            up == "up", minutes(limit), max(size, known.memory_mb), max(count, known.gpus)
        )
    if not partitions_by_name:
        raise ValueError("it names no partition")
    return partitions_by_name


def minutes(limit: str) -> float:
    """Slurm's ``days-hours:minutes:seconds``, the larger parts optional; infinite for no limit."""
    if limit in ("infinite", "UNLIMITED", "n/a", ""):
        return float("inf")
    days, has_days, clock = limit.partition("-") if "-" in limit else ("0", "", limit)
    parts = [int(part) for part in clock.split(":")]
    # Without days one part is minutes and two are minutes:seconds; with them the first is hours.
    if not has_days and len(parts) < 3:
        parts = [0, *parts]
    return int(days) * 1440 + parts[0] * 60 + (parts[1] if len(parts) > 1 else 0)

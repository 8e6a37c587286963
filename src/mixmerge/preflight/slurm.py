"""Checks of a Slurm cluster: its limits against what the jobs of the plan will ask for."""

import re
import shutil
import subprocess
from collections import Counter
from typing import NamedTuple

from mixmerge.preflight.findings import Area, Context, few
from mixmerge.resources.plan import Planned

#: Seconds for Slurm's answer.
_SECONDS = 10
#: Rules that Snakemake runs itself, wherever the others run: those with `localrule`.
LOCAL_RULES = {"fetch", "snapshot", "dequantise", "recipe", "hold_out", "nltk_data"}


class Partition(NamedTuple):
    """The widest of a Slurm partition's nodes."""

    up: bool
    minutes: float
    """Its time limit; infinite where there is none."""
    memory_mb: int
    gpus: int


def check_cluster(context: Context, planned: Planned | None) -> Area:
    """Slurm's partitions, run times, memory and GPUs against what the plan's jobs will ask for.

    Args:
        context: the study.
        planned: the jobs of the run; None where there is no plan.
    """
    area = Area("cluster")
    if context.on_this_machine:
        area.checked.append("jobs run on this machine")
        return area
    if context.executor != "slurm":
        area.unchecked.append(f"limits of {context.executor}: only Slurm's are known here")
        return area
    if shutil.which("sinfo") is None or shutil.which("sbatch") is None:
        area.error(
            "slurm: sinfo and sbatch are not on this machine's PATH, so no job can be submitted; "
            "run on a login node"
        )
        return area
    try:
        partitions = _partitions()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        area.unchecked.append(f"limits: sinfo gave no answer ({' '.join(str(error).split())})")
        return area
    places = {"slurm_partition": context.partition}
    places["gpu_job_slurm_partition"] = context.gpu_partition
    for place, names in places.items():
        for name in filter(None, names.split(",")):
            where = f"default-resources: {place}"
            if name not in partitions:
                known = few(sorted(partitions), 8)
                area.error(f"{where}: Slurm has no partition {name!r}; it has {known}")
            elif not partitions[name].up:
                area.error(f"{where}: partition {name!r} is not up; name another, or wait")
    if planned is None:
        area.unchecked.append("run times and memory: there is no plan")
        return area
    for rule, most in sorted(_largest(planned).items()):
        _check_rule(context, rule, most, partitions, area)
    area.checked.append(f"partitions {few(sorted(partitions), 8)}: time, memory, GPUs")
    area.unchecked.append("accounts, QOS and fair-share limits")
    return area


def _largest(planned: Planned) -> dict[str, Counter[str]]:
    """Rule -> the most of each resource that any of its jobs in Slurm asks for."""
    largest: dict[str, Counter[str]] = {}
    for job in planned.jobs:
        if job.rule not in LOCAL_RULES:
            largest[job.rule] = largest.get(job.rule, Counter()) | Counter(job.resources)
    return largest


def _check_rule(
    context: Context,
    rule: str,
    most: Counter[str],
    partitions: dict[str, Partition],
    area: Area,
) -> None:
    """The largest job of a rule against the partition that it goes to."""
    gpu_count = most["gpu"] or most["gpu_count"]
    names = (context.gpu_partition if gpu_count else "") or context.partition
    allowed = [partitions[name] for name in names.split(",") if name in partitions]
    if not allowed:
        return
    minutes, memory, there = (
        max(getattr(partition, limit) for partition in allowed)
        for limit in ("minutes", "memory_mb", "gpus")
    )
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
    per_node = -(-gpu_count // max(1, most["nodes"]))
    if per_node > there:
        area.error(
            f"partition {names!r}: rule {rule} will ask for {per_node} GPUs on a node, its nodes "
            f"have {there}; name the GPU partition (gpu_job_slurm_partition), or set sft.processes"
        )


def _partitions() -> dict[str, Partition]:
    """What ``sinfo`` says; each partition may have several kinds of nodes."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--format=%R|%a|%l|%m|%G"],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    found: dict[str, Partition] = {}
    for line in answer.stdout.splitlines():
        name, up, limit, memory, generic = (part.strip() for part in line.split("|", 4))
        size = int(re.sub(r"\D", "", memory) or 0)
        count = sum(int(n) for n in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", generic))
        known = found.get(name, Partition(False, 0, 0, 0))
        found[name] = Partition(
            up == "up", minutes(limit), max(size, known.memory_mb), max(count, known.gpus)
        )
    if not found:
        raise ValueError("it names no partition")
    return found


def minutes(limit: str) -> float:
    """Slurm's ``days-hours:minutes:seconds``, the larger parts optional; infinite for no limit."""
    if limit in ("infinite", "UNLIMITED", "n/a", ""):
        return float("inf")
    days, has_days, clock = limit.partition("-") if "-" in limit else ("0", "", limit)
    parts = [int(part) for part in clock.split(":")]
    # Without days one part is minutes and two are minutes:seconds; with them the first is hours.
    if not has_days and len(parts) < 3:
        parts = [0, *parts]
    hours, rest = parts[0], parts[1] if len(parts) > 1 else 0
    return int(days) * 1440 + hours * 60 + rest

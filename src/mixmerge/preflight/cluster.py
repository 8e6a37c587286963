"""Slurm's limits, as far as it tells them, against what the jobs of the plan will ask for."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area, few

#: Rules that Snakemake runs itself, wherever it runs; `tests/unit/test_preflight_cluster.py`
#: compares with the rules' `localrule`.
LOCAL = frozenset({"fetch", "snapshot", "dequantise", "recipe", "hold_out", "nltk_data"})

_SECONDS = 10


@dataclass(frozen=True)
class Partition:
    """The widest of a partition's nodes.

    Attributes:
        name: the partition.
        up: whether it takes jobs.
        minutes: its time limit; None where there is none.
        memory_mb: most memory of a node.
        gpus: most GPUs of a node.
    """

    name: str
    up: bool
    minutes: int | None
    memory_mb: int
    gpus: int


def check(context: Context) -> Area:
    """Partitions, run times, memory and GPUs."""
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
    named = _named(context)
    for where, name in named.items():
        for part in (name or "").split(","):
            found = partitions.get(part)
            if part and found is None:
                area.error(
                    f"{where}: Slurm has no partition {part!r}; it has {few(sorted(partitions), 8)}"
                )
            elif found is not None and not found.up:
                area.error(f"{where}: partition {part!r} is not up; name another, or wait")
    if context.planned is None:
        area.unchecked.append("run times and memory: there is no plan")
        return area
    for rule, most in sorted(context.planned["rules"].items()):
        if rule not in LOCAL:
            _rule(context, rule, most, partitions, area)
    area.checked.append(f"partitions {few(sorted(partitions), 8)}: time, memory, GPUs")
    area.unchecked.append("accounts, QOS and fair-share limits")
    return area


def _named(context: Context) -> dict[str, str | None]:
    """Place in the profile -> partition named there."""
    place = "default-resources"
    return {
        f"{place}: slurm_partition": _text(context.words.get("slurm_partition")),
        f"{place}: gpu_job_slurm_partition": _text(context.dialect.words.get("slurm_partition")),
    }


def _rule(
    context: Context,
    rule: str,
    most: dict[str, int],
    partitions: dict[str, Partition],
    area: Area,
) -> None:
    """The largest job of a rule against the partition that it goes to."""
    gpus = most["gpu"] or most["gpu_count"]
    usual = _text(context.words.get("slurm_partition"))
    name = (_text(context.dialect.words.get("slurm_partition")) or usual) if gpus else usual
    allowed = [partitions[part] for part in (name or "").split(",") if part in partitions]
    if not allowed:
        return
    limits = [part.minutes for part in allowed]
    longest = None if None in limits else max(limit for limit in limits if limit is not None)
    if longest is not None and most["runtime"] > longest:
        area.error(
            f"{context.where}: hardware.longest_hours: rule {rule} will ask for "
            f"{most['runtime']} minutes, partition {name!r} allows {longest}; set longest_hours: "
            f"{longest / 60:g}, or name a partition with more time"
        )
    memory = max(part.memory_mb for part in allowed)
    nodes = max(1, most["nodes"])
    if memory and most["mem_mb"] > memory:
        area.error(
            f"partition {name!r}: rule {rule} will ask for {most['mem_mb']:,} MB of memory on a "
            f"node, the largest has {memory:,}; name another partition (--set-resources "
            f"{rule}:slurm_partition=...), or for training fewer processes"
        )
    each = -(-gpus // nodes)
    there = max(part.gpus for part in allowed)
    if each > there:
        area.error(
            f"partition {name!r}: rule {rule} will ask for {each} GPUs on a node, its nodes have "
            f"{there}; name the GPU partition (gpu_job_slurm_partition), or set sft.processes"
        )


def _partitions() -> dict[str, Partition]:
    """What ``sinfo`` says; each partition may have several kinds of nodes."""
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%R|%a|%l|%m|%G"],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    found: dict[str, Partition] = {}
    for line in done.stdout.splitlines():
        name, up, limit, memory, generic = (part.strip() for part in line.split("|", 4))
        size = int(re.sub(r"\D", "", memory) or 0)
        count = sum(int(n) for n in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", generic))
        known = found.get(name)
        found[name] = Partition(
            name,
            up == "up",
            minutes(limit),
            max(size, known.memory_mb if known else 0),
            max(count, known.gpus if known else 0),
        )
    if not found:
        raise ValueError("it names no partition")
    return found


def minutes(limit: str) -> int | None:
    """Slurm's ``days-hours:minutes:seconds``, the larger parts optional; None for no limit."""
    if limit in ("infinite", "UNLIMITED", "n/a", ""):
        return None
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if len(parts) == 1:
        parts = [0, *parts, 0] if not days else [*parts, 0, 0]
    elif len(parts) == 2:
        parts = [*parts, 0] if days else [0, *parts]
    return int(days or 0) * 1440 + parts[0] * 60 + parts[1]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

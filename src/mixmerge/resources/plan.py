"""``python -m mixmerge.resources.plan``: what a run would take, before it starts.

Takes the arguments of ``snakemake``, such as ``--configfile config/config.yaml --profile slurm``,
runs nothing, and prints jobs, GPU-hours, wall time, peak disk and the critical path.
"""

import logging
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from mixmerge.config.hardware import misfit
from mixmerge.config.load import parse_config
from mixmerge.config.models import parameters_of
from mixmerge.core.errors import UserError
from mixmerge.data.settings import MIX
from mixmerge.resources.jobs import Job, in_order, is_target, job_from
from mixmerge.resources.schedule import CORES, JOBS, MERGED, MOST_MERGED, Schedule, disk, schedule

_NAMES = {MERGED: "merges on disk"}

#: The Snakefile's own where the command line names none.
_DEFAULT_CONFIG = Path("config/config.yaml")


@dataclass(frozen=True)
class Planned:
    """A run that has not started.

    Attributes:
        jobs: what is to do; rules that only name targets are left out.
        limits: what the command line and the profile bound, by name.
        executor: where jobs would run, ``local`` or a plugin's name.
        config: the study's configuration, as the config files and ``--config`` make it.
    """

    jobs: list[Job]
    limits: dict[str, int]
    executor: str
    config: dict[str, Any]


def dry_run(arguments: list[str]) -> Planned | None:
    """What Snakemake would run with these arguments; None where it refuses and has said why.

    The executor is not started, so a Slurm profile is planned on a machine without Slurm. An
    error in the study comes out as in a real run.

    Args:
        arguments: Snakemake's, such as ``--configfile X --profile slurm all_tables``.
    """
    from snakemake.cli import args_to_api, parse_args
    from snakemake.exceptions import print_exception
    from snakemake.logging import logger

    try:
        parser, args = parse_args(["--dry-run", "--logger", "mixmerge", *arguments])
    except Exception as error:
        print_exception(error)
        return None
    executor = args.executor or "local"
    limits = {name: bound.value for name, bound in args.resources.items() if name[0] != "_"}
    if executor in ("local", "dryrun"):
        args.cores = args.cores or args.jobs or 1
        limits[CORES] = args.cores
    elif args.jobs is not None:
        limits[JOBS] = args.jobs
        # A dry run would give every job one core, whatever its rule asks for.
        args.cores = args.cores or sys.maxsize
    if args.scheduler == "mixmerge":
        limits.setdefault(MERGED, MOST_MERGED)
    # With --quiet a dry run names no jobs.
    args.quiet = set()
    config = _config(args)
    jobs = _JobFilter()
    logger.addFilter(jobs)
    try:
        if not args_to_api(args, parser):
            return None
    finally:
        logger.removeFilter(jobs)
    return Planned(
        jobs.found(),
        {
            name: amount
            for name, amount in limits.items()
            if isinstance(amount, int) and amount < sys.maxsize
        },
        executor,
        config,
    )


def _config(args: Any) -> dict[str, Any]:
    """The study's configuration; Snakemake hands its own copy to nobody."""
    from snakemake.cli import parse_config
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for file in args.configfile or [_DEFAULT_CONFIG]:
        if Path(file).exists():
            update_config(config, load_configfile(file))
    update_config(config, parse_config(args.config) or {})
    return config


class _JobFilter:
    """A filter on Snakemake's logger: keeps the jobs of a dry run, and lets warnings pass only."""

    def __init__(self) -> None:
        self._jobs: list[dict[str, Any]] = []
        self._removed: set[str] = set()

    def __call__(self, record: logging.LogRecord) -> bool:
        """Take a record; whether Snakemake may show it."""
        removed = re.fullmatch(r"Would remove temporary output (.+)", str(record.msg), re.DOTALL)
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            self._jobs.append(dict(record.__dict__))
        elif removed:
            self._removed.add(removed[1])
        return record.levelno >= logging.WARNING

    def found(self) -> list[Job]:
        """The jobs without rules that only name targets."""
        return [
            job_from(record, self._removed.intersection(record["output"]))
            for record in self._jobs
            if not is_target(record["rule_name"])
        ]


def misfits(planned: Planned) -> list[str]:
    """One line for each model that a planned run trains on too little GPU memory."""
    models = sorted({job.wildcards["model"] for job in planned.jobs if job.rule == "sft"})
    if not models:
        return []
    try:
        config = parse_config(planned.config, "config")
    except UserError:
        # Snakemake has checked the config already; what it took from elsewhere is not ours to see.
        return []
    lines = []
    for model in models:
        parameters = parameters_of(config.models[model])
        if parameters is None:
            continue
        for training_set in (*config.tasks, MIX):
            settings = config.sft_settings(model, training_set)
            found = misfit(settings, parameters, settings.processes, config.hardware)
            if found:
                lines.append(f"models.{model}: {found}")
                break
    return lines


def rendered(planned: Planned) -> str:
    """The plan of a run: a row a stage, then the totals."""
    if not planned.jobs:
        return "Nothing to do: all requested files are present and up to date."
    plan = schedule(planned.jobs, planned.limits)
    rows: list[tuple[str, ...]] = [("stage", "jobs", "GPU-hours", "CPU-hours", "wall time")]
    for stage in in_order({job.stage for job in planned.jobs}):
        positions = [n for n, job in enumerate(planned.jobs) if job.stage == stage]
        busy = _covered((plan.start[n], plan.end[n]) for n in positions)
        rows.append((stage, *_amounts([planned.jobs[n] for n in positions]), duration(busy)))
    rows.append(("total", *_amounts(planned.jobs), duration(plan.seconds)))
    use = disk(plan)
    lines = [
        f"{_limits(planned)}; hours are expected ones, without waiting in a queue",
        "",
        *_aligned(rows),
        "",
        f"peak disk      {_size(use.peak_mb)}, {duration(use.peak_at)} after the start"
        f" ({_largest(use.stages)}); {_size(use.final_mb)} stay",
        f"critical path  {duration(plan.critical_seconds)}, whatever the limits:",
        *(f"  {line}" for line in _path(plan)),
    ]
    gpus = any(job.gpus for job in planned.jobs)
    if gpus and CORES in planned.limits and "gpu" not in planned.limits:
        lines.append("note: nothing says how many GPUs this machine has: add --resources gpu=N")
    return "\n".join(lines)


def _amounts(jobs: list[Job]) -> tuple[str, str, str]:
    """Number of jobs, GPU-hours and CPU-hours."""
    gpu = sum(job.gpus * job.seconds for job in jobs) / 3600
    cpu = sum(job.threads * job.seconds for job in jobs) / 3600
    return str(len(jobs)), _hours(gpu), _hours(cpu)


def _hours(hours: float) -> str:
    """Hours, the fewer the more exact."""
    return "-" if hours == 0 else f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}"


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of the intervals lies."""
    total, reached = 0.0, 0.0
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _limits(planned: Planned) -> str:
    """Where jobs would run, and how many at once."""
    place = "on this machine" if planned.executor == "local" else f"with {planned.executor}"
    bounds = ", ".join(f"{_NAMES.get(name, name)} {n}" for name, n in planned.limits.items())
    return f"{place}, at most at once: {bounds}" if bounds else f"{place}, without a limit"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as columns: the first to the left, the others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _path(plan: Schedule) -> list[str]:
    """The critical path, a job a line; jobs of no length are left out."""
    jobs = [plan.jobs[position] for position in plan.critical]
    return [f"{duration(job.seconds):>11}  {job.label}" for job in jobs if job.seconds >= 1]


def duration(seconds: float) -> str:
    """A length of time for people: ``35 s``, ``12 min``, ``4 h 05 min``, ``41 h``."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 100 else f"{round(seconds / 3600):,} h"


def _largest(stages: dict[str, int]) -> str:
    """The stages with most of the disk."""
    most = sorted(((size, stage) for stage, size in stages.items() if size), reverse=True)[:3]
    return ", ".join(f"{stage} {_size(size)}" for size, stage in most) or "nothing"


def _size(megabytes: int) -> str:
    """An amount of disk for people."""
    if megabytes < 1000:
        return f"{megabytes} MB"
    if megabytes < 1_000_000:
        return f"{megabytes / 1000:,.1f} GB"
    return f"{megabytes / 1_000_000:,.2f} TB"


def main() -> None:
    """Print the plan; the exit code is 1 where Snakemake refuses."""
    planned = dry_run(sys.argv[1:])
    if planned is None:
        sys.exit(1)
    print(rendered(planned))
    for warning in misfits(planned):
        print(f"warning: {warning}")


if __name__ == "__main__":
    main()

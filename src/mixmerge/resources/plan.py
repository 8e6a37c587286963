"""``python -m mixmerge.resources.plan``: what a run would take, before it starts.

Takes the arguments of ``snakemake``, such as ``--configfile config/config.yaml --profile slurm``,
runs nothing, and prints jobs, GPU-hours, wall time, peak disk and the critical path.
"""

import logging
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from snakemake_interface_logger_plugins.common import LogEvent

from mixmerge.config.load import parse_config
from mixmerge.core.errors import UserError
from mixmerge.resources import schedule
from mixmerge.resources.schedule import CORES, JOBS, MERGED, Job, Schedule, job_from


class Planned(NamedTuple):
    """A run that has not started."""

    jobs: list[Job]  # what is to do, without rules that only name targets
    limits: dict[str, int]  # what the command line and the profile bound, by name
    executor: str  # where jobs would run, `local` or a plugin's name
    config: dict[str, Any]  # the study's, as the config files and `--config` make it


def dry_run(arguments: list[str]) -> Planned | None:
    """What Snakemake would run with these arguments; None where it refuses and has said why.

    The executor is not started, so a Slurm profile is planned on a machine without Slurm. An
    error in the study comes out as in a real run.
    """
    from snakemake import cli
    from snakemake.exceptions import print_exception
    from snakemake.logging import logger
    from snakemake.settings.types import ConfigSettings

    try:
        parser, args = cli.parse_args(["--dry-run", "--logger", "mixmerge", *arguments])
    except Exception as error:
        print_exception(error)
        return None
    executor = args.executor or "local"
    limits = {name: bound.value for name, bound in args.resources.items() if name[0] != "_"}
    if executor in ("local", "dryrun"):
        limits[CORES] = args.cores = args.cores or args.jobs or 1
    elif args.jobs is not None:
        limits[JOBS] = args.jobs
        # A dry run would give every job one core, whatever its rule asks for.
        args.cores = args.cores or sys.maxsize
    if args.scheduler == "mixmerge":
        limits.setdefault(MERGED, schedule.MOST_MERGED)
    # With --quiet a dry run names no jobs.
    args.quiet = set()
    # The Snakefile's own file where the command line names none.
    files = [f for f in args.configfile or [Path("config/config.yaml")] if Path(f).exists()]
    config = ConfigSettings(configfiles=files, config=cli.parse_config(args.config) or {})
    records: list[dict[str, Any]] = []
    removed: set[str] = set()

    def keep(record: logging.LogRecord) -> bool:
        """Keep the jobs of a dry run, and let warnings alone pass to the terminal."""
        message = re.fullmatch(r"Would remove temporary output (.+)", str(record.msg), re.DOTALL)
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            records.append(dict(record.__dict__))
        elif message:
            removed.add(message[1])
        return record.levelno >= logging.WARNING

    logger.addFilter(keep)
    try:
        if not cli.args_to_api(args, parser):
            return None
    finally:
        logger.removeFilter(keep)
    no_target = re.compile(r"(?!all(_|$))")
    return Planned(
        [job_from(entry, removed) for entry in records if no_target.match(entry["rule_name"])],
        {n: amount for n, amount in limits.items() if type(amount) is int and amount < sys.maxsize},
        executor,
        config.overwrite_config,
    )


def misfits(planned: Planned) -> list[str]:
    """One line for each model that a planned run trains on too little GPU memory."""
    models = sorted({job.wildcards["model"] for job in planned.jobs if job.rule == "sft"})
    # Snakemake has checked the config already; what it took from elsewhere is not ours to see.
    with suppress(UserError):
        config = parse_config(planned.config, "config") if models else None
        problems = {model: config.misfit(model) for model in models} if config else {}
        return [f"models.{model}.sft, {text}" for model, text in problems.items() if text]
    return []


def rendered(planned: Planned) -> str:
    """The plan of a run: a row a stage, then the totals."""
    jobs, limits = planned.jobs, planned.limits
    if not jobs:
        return "Nothing to do: all requested files are present and up to date."
    plan = Schedule(jobs, limits)
    place = "on this machine" if planned.executor == "local" else f"with {planned.executor}"
    names = {MERGED: "merges on disk"}
    bounds = ", ".join(f"{names.get(name, name)} {n}" for name, n in limits.items())
    bounds = f"at most at once: {bounds}" if bounds else "without a limit"
    order = [*schedule.STAGES, *sorted({job.stage for job in jobs} - {*schedule.STAGES}), "total"]
    rows = [("stage", "jobs", "GPU-hours", "CPU-hours", "wall time")]
    for stage in order:
        chosen = [n for n, job in enumerate(jobs) if stage in (job.stage, "total")]
        wall, reached = 0.0, 0.0  # of the moments at which at least one of them runs
        for start, end in sorted((plan.start[n], plan.end[n]) for n in chosen):
            wall += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        gpu = sum(jobs[n].gpus * jobs[n].seconds for n in chosen) / 3600
        cpu = sum(jobs[n].threads * jobs[n].seconds for n in chosen) / 3600
        hours = ["-" if h == 0 else f"{h:,.2f}" if h < 10 else f"{h:,.0f}" for h in (gpu, cpu)]
        if chosen:
            rows.append((stage, str(len(chosen)), hours[0], hours[1], duration(wall)))
    most = sorted(((size, stage) for stage, size in plan.peak_stages.items()), reverse=True)
    where = ", ".join(f"{stage} {_size(size)}" for size, stage in most[:3]) or "nothing"
    peak = f"{_size(plan.peak_mb)}, {duration(plan.peak_at)} after the start ({where})"
    lines = [
        f"{place}, {bounds}; hours are expected ones, without waiting in a queue",
        "",
        *("{:<8}{:>8}{:>11}{:>11}{:>11}".format(*row) for row in rows),
        "",
        f"peak disk      {peak}; {_size(plan.final_mb)} stay",
        f"critical path  {duration(plan.critical_seconds)}, whatever the limits:",
    ]
    for job in (jobs[position] for position in plan.critical):
        if job.seconds >= 1:
            label = " ".join([job.rule, *map(str, job.wildcards.values())])
            lines.append(f"  {duration(job.seconds):>11}  {label}")
    if any(job.gpus for job in jobs) and CORES in limits and "gpu" not in limits:
        lines.append("note: nothing says how many GPUs this machine has: add --resources gpu=N")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A length of time for people: ``35 s``, ``12 min``, ``4 h 05 min``, ``278 h``."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes:02} min" if hours < 100 else f"{round(seconds / 3600):,} h"


def _size(megabytes: int) -> str:
    gigabytes = megabytes / 1000
    if gigabytes < 1:
        return f"{megabytes} MB"
    return f"{gigabytes:,.1f} GB" if gigabytes < 1000 else f"{gigabytes / 1000:,.2f} TB"


if __name__ == "__main__":
    if (plan := dry_run(sys.argv[1:])) is None:
        sys.exit(1)
    print(rendered(plan))
    for warning in misfits(plan):
        print(f"warning: {warning}")

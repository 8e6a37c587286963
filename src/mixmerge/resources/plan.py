"""``python -m mixmerge.resources.plan``: what a run would take, before it starts.

Takes the arguments of ``snakemake``, such as ``--configfile config/config.yaml --profile slurm``,
runs nothing, and prints jobs, GPU-hours, wall time, peak disk and the critical path.
"""

import logging
import re
import sys
from typing import Any

from snakemake import cli
from snakemake.exceptions import print_exception
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from mixmerge.resources import schedule
from mixmerge.resources.schedule import CORES, JOBS, MERGED, Schedule, job_from
from snakemake_logger_plugin_mixmerge.progress import duration, is_target


def dry_run(arguments: list[str]) -> Schedule | None:
    """What Snakemake would run with these arguments; None where it refuses and has said why.

    The executor is not started, so a Slurm profile is planned on a machine without Slurm. An
    error in the study comes out as in a real run.
    """
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
    args.quiet = set()  # with --quiet a dry run names no jobs
    records: list[dict[str, Any]] = []
    removed: set[str] = set()

    def keep(record: logging.LogRecord) -> bool:
        """Keep the jobs of a dry run, and let warnings alone pass to the terminal."""
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            records.append(record.__dict__)
        elif temporary := re.fullmatch(r"(?s)Would remove temporary output (.+)", str(record.msg)):
            removed.add(temporary[1])
        return record.levelno >= logging.WARNING

    logger.addFilter(keep)
    try:
        if not cli.args_to_api(args, parser):
            return None
    finally:
        logger.removeFilter(keep)
    return Schedule(
        [job_from(entry, removed) for entry in records if not is_target(entry["rule_name"])],
        {n: amount for n, amount in limits.items() if type(amount) is int and amount < sys.maxsize},
        executor,
    )


def rendered(plan: Schedule) -> str:
    """The plan of a run: a row a stage, then the totals."""
    jobs, limits = plan.jobs, plan.limits
    if not jobs:
        return "Nothing to do: all requested files are present and up to date."
    place = "on this machine" if plan.executor == "local" else f"with {plan.executor}"
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


def _size(megabytes: int) -> str:
    gigabytes = megabytes / 1000
    if gigabytes < 1:
        return f"{megabytes} MB"
    return f"{gigabytes:,.1f} GB" if gigabytes < 1000 else f"{gigabytes / 1000:,.2f} TB"


if __name__ == "__main__":
    if (plan := dry_run(sys.argv[1:])) is None:
        sys.exit(1)
    print(rendered(plan))

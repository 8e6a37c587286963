"""The jobs that a run would run, from Snakemake itself: a dry run in this process."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mixmerge.planning.jobs import Job, job_from
from mixmerge.planning.schedule import CORES, JOBS, MERGED
from mixmerge.planning.stages import is_target

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

    from snakemake_scheduler_plugin_mixmerge.scheduler import DEFAULT

    with TemporaryDirectory(prefix="mixmerge-plan-") as folder:
        file = Path(folder, "jobs.jsonl")
        own = ["--dry-run", "--logger", "mixmerge", f"--logger-mixmerge-jobs={file}"]
        try:
            parser, args = parse_args([*own, *arguments])
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
            limits.setdefault(MERGED, DEFAULT)
        # With --quiet a dry run names no jobs.
        args.quiet = set()
        config = _config(args)
        if not args_to_api(args, parser):
            return None
        jobs = read(file)
    return Planned(
        jobs,
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


def read(file: Path) -> list[Job]:
    """The jobs of a file written by ``--logger-mixmerge-jobs``, without those that name targets."""
    with file.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    removed = {record["removed"] for record in records if "removed" in record}
    return [
        job_from(record, removed.intersection(record["output"]))
        for record in records
        if "removed" not in record and not is_target(record["rule_name"])
    ]

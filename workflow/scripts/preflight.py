"""Rule preflight: check what would fail hours later, and print all findings at once.

Exit code 1 where there is an error, 0 else; warnings do not count. Nothing is changed.
"""

import sys
import time
from collections.abc import Callable

from mixmerge.config.load import parse_config
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.preflight import inputs, machine, models, slurm
from mixmerge.preflight.findings import Area, Context, rendered
from mixmerge.resources.plan import Planned, dry_run
from mixmerge.study.plan import Study


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=json_argument, required=True, help="the study's")
    arguments.add_argument("--where", default="config", help="what messages call it")
    arguments.add_argument("--repository", type=path_argument, required=True)
    arguments.add_argument("--executor", default="local", help="where jobs would run")
    arguments.add_argument("--partition", default="", help="Slurm's, of jobs without GPUs")
    arguments.add_argument("--gpu-partition", default="", help="Slurm's, of jobs with GPUs")
    arguments.add_argument("--deployed", action="store_true", help="jobs bring their software")
    arguments.add_argument(
        "--plan", type=json_argument, required=True, help="arguments of the snakemake to plan"
    )
    options = arguments.parse_args()
    start = time.monotonic()
    context = Context(
        where=options.where,
        study=Study(parse_config(options.config, options.where)),
        repository=options.repository,
        executor=options.executor,
        partition=options.partition,
        gpu_partition=options.gpu_partition,
        deployed=options.deployed,
    )
    areas = checks(context)
    # A plan refuses a config with errors, too, and would tell them once more.
    sound = not areas[0].errors
    areas += plan_checks(context, dry_run(options.plan) if sound else None, sound)
    print(rendered(areas, time.monotonic() - start), flush=True)
    if any(area.errors for area in areas):
        sys.exit(1)


def checks(context: Context) -> list[Area]:
    """All areas that need no plan, each checked whatever the others say."""
    bases = models.base_directories(context)
    return [
        _guarded("config", lambda: inputs.check_config(context)),
        _guarded("data", lambda: inputs.check_data(context)),
        _guarded("suites", lambda: inputs.check_suites(context)),
        _guarded("models", lambda: models.check_models(context, bases)),
        _guarded("chat templates", lambda: models.check_templates(context, bases)),
        _guarded("software", lambda: machine.check_software(context)),
        _guarded("sandbox", lambda: machine.check_sandbox(context)),
        _guarded("WordNet", lambda: machine.check_nltk_data(context)),
        _guarded("GPUs", lambda: machine.check_gpus(context)),
    ]


def plan_checks(context: Context, planned: Planned | None, sound: bool) -> list[Area]:
    """The areas that follow from the jobs of the run; None where Snakemake refuses to plan it."""
    plan = Area("plan")
    if not sound:
        plan.unchecked.append("the configuration has errors")
    elif planned is None:
        plan.error("the run cannot be planned; `snakemake -n` says why, and so it does above")
    else:
        plan.checked.append(f"{len(planned.jobs):,} jobs")
    return [
        plan,
        _guarded("disk", lambda: machine.check_disk(context, planned)),
        _guarded("cluster", lambda: slurm.check_cluster(context, planned)),
    ]


def _guarded(name: str, check: Callable[[], Area]) -> Area:
    """One area; a fault of the check itself hides no other area's findings."""
    try:
        return check()
    except Exception as error:
        area = Area(name)
        area.error(
            f"{name}: could not be checked ({type(error).__name__}: {error}); this is a fault of "
            "preflight, please report it"
        )
        return area


if __name__ == "__main__":
    run(main)

"""Rule preflight: check what would fail hours later, and print all findings at once.

Exit code 1 where there is an error, 0 else; warnings do not count. Nothing is changed.
"""

import sys
import time
from collections.abc import Callable

from mixmerge.config.load import parse_config
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.preflight import inputs, machine, models
from mixmerge.preflight.findings import Area, Context, rendered
from mixmerge.resources.plan import dry_run
from mixmerge.resources.schedule import Schedule
from mixmerge.study.plan import Study
from offline_sources.packages import chosen_packages


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
        choose_packages=chosen_packages,
        executor=options.executor,
        partition=options.partition,
        gpu_partition=options.gpu_partition,
        deployed=options.deployed,
    )
    areas = [examine(name, check, context) for name, check in CHECKS.items()]
    # A plan refuses a config with errors, too, and would tell them once more.
    sound = not areas[0].errors
    planned = dry_run(options.plan) if sound else None
    areas += [
        examine("plan", check_plan, planned, sound),
        examine("disk", machine.check_disk, context, planned),
        examine("cluster", machine.check_cluster, context, planned),
    ]
    print(rendered(areas, time.monotonic() - start), flush=True)
    if any(area.errors for area in areas):
        sys.exit(1)


#: Checks that need no plan, each made whatever the others say.
CHECKS: dict[str, Callable[[Context, Area], None]] = {
    "config": inputs.check_config,
    "data": inputs.check_data,
    "suites": inputs.check_suites,
    "models": models.check_models,
    "software": machine.check_software,
    "sandbox": machine.check_sandbox,
    "WordNet": inputs.check_nltk_data,
    "GPUs": machine.check_gpus,
}


def check_plan(planned: Schedule | None, sound: bool, area: Area) -> None:
    """The jobs of the run; None where Snakemake refuses to plan it."""
    if not sound:
        area.unchecked.append("the configuration has errors")
    elif planned is None:
        area.error("the run cannot be planned; `snakemake -n` says why, and so it does above")
    else:
        area.checked.append(f"{len(planned.jobs):,} jobs")


def examine(name: str, check: Callable[..., None], *arguments: object) -> Area:
    """The area that a check fills; a fault of the check itself hides no other area's findings."""
    area = Area(name)
    try:
        check(*arguments, area)
    except Exception as error:
        area.error(
            f"{name}: could not be checked ({type(error).__name__}: {error}); this is a fault of "
            "preflight, please report it"
        )
    area.errors = list(dict.fromkeys(area.errors))
    return area


if __name__ == "__main__":
    run(main)

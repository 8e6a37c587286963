"""``snakemake preflight``: all that can be looked at before the first job, in one go."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixmerge.preflight import (
    checkpoints,
    cluster,
    data,
    machine,
    settings,
    software,
    suites,
    templates,
    wordnet,
)
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.preflight.plan import Planning
from mixmerge.preflight.readable import readable
from mixmerge.preflight.rendering import rendered
from mixmerge.resources.gpus import PREFIX, GpuRequest
from mixmerge.study.invocation import started_in
from mixmerge.study.plan import Study

#: The target's name on the command line.
TARGET = "preflight"

#: Default resources of a profile that matter here.
_READ = {"slurm_partition"}


def preflight(config: Mapping[str, Any], workflow: Any, given: Any) -> int:
    """Look at everything and say what was found; no job is run and nothing is changed.

    Args:
        config: Snakemake's merged configuration.
        workflow: Snakemake's.
        given: its parsed command line, profiles included.

    Returns:
        The exit code: 1 where there is an error, 0 else; warnings do not count.
    """
    start = time.monotonic()
    where = " + ".join(map(str, workflow.configfiles)) or "config"
    repository = Path(workflow.basedir)
    found, told = readable(config, where)
    planning = None
    if not told:
        arguments = [word for word in sys.argv[1:] if word != TARGET]
        planning = Planning(arguments, repository / "src", started_in())
    defaults = workflow.resource_settings.default_resources
    context = Context(
        where=where,
        raw=config,
        study=None if found is None else Study(found),
        repository=repository,
        executor=getattr(given, "executor", None) or "local",
        words=plain(defaults),
        dialect=GpuRequest(defaults),
        deployed=bool(workflow.deployment_settings.deployment_method),
    )
    areas = look(context, told, planning)
    print(rendered(areas, time.monotonic() - start), flush=True)
    return int(any(f.level == "error" for area in areas for f in area.findings))


def look(context: Context, told: list[str], planning: Planning | None) -> list[Area]:
    """All areas, each looked at whatever the others say.

    Args:
        context: the study.
        told: what is wrong with the configuration.
        planning: the plan under way; None where none can be made.
    """
    bases = checkpoints.here(context)
    areas = [
        _safely("config", lambda: settings.check(context, told)),
        _safely("data", lambda: data.check(context)),
        _safely("suites", lambda: suites.check(context)),
        _safely("models", lambda: checkpoints.check(context, bases)),
        _safely("chat templates", lambda: templates.check(context, bases)),
        _safely("software", lambda: software.check(context)),
        _safely("sandbox", lambda: machine.sandbox(context)),
        _safely("WordNet", lambda: wordnet.check(context)),
        _safely("GPUs", lambda: machine.gpu(context)),
    ]
    plan = Area("plan")
    planned = None
    if planning is None:
        plan.unchecked.append("the config must be mended first")
    else:
        planned, why = planning.result()
        if planned is None and planning.late:
            # That says something of this machine's load, nothing of the study.
            plan.unchecked.append(why)
        elif planned is None and not _told(why, areas):
            plan.error(why)
        elif planned is not None:
            plan.checked.append(f"{planned['jobs']:,} jobs")
    context = Context(**{**vars(context), "planned": planned})
    return [
        *areas,
        plan,
        _safely("disk", lambda: machine.disk(context)),
        _safely("cluster", lambda: cluster.check(context)),
    ]


def _told(why: str, areas: list[Area]) -> bool:
    """Whether what stopped the plan stands among the findings already."""
    told = [finding.text for area in areas for finding in area.findings]
    return any(text in why or why in text for text in told)


def _safely(name: str, check: Callable[[], Area]) -> Area:
    """One area; a fault of the check itself hides no other area's findings."""
    try:
        return check()
    except Exception as error:
        area = Area(name)
        area.error(
            f"{name}: could not be looked at ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); this is a fault of preflight, please report it"
        )
        return area


def plain(defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default resources that are looked at, as the profile spells them.

    Others may be expressions, which mean nothing without a job.
    """
    given = {f"{PREFIX}{name}": value for name, value in (defaults or {}).items() if name in _READ}
    return GpuRequest(given).words

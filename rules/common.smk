# The study's plan, and what every rule shares.
import json
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir, "src")))

from mixmerge.config.load import parse_config
from mixmerge.errors import UserError
from mixmerge.study.fingerprint import fingerprint
from mixmerge.study.needs import Needs
from mixmerge.study.plan import Study

try:
    STUDY = Study(
        parse_config(config, " + ".join(map(str, workflow.configfiles)) or "config")
    )
    STUDY.check_files()
except UserError as error:
    raise WorkflowError(str(error)) from None

CONFIG = STUDY.config
NEEDS = Needs(STUDY)

# Rules call their script as `script NAME.py --explicit --arguments`. Jobs do not inherit the PATH of
# Snakemake's own environment, so its interpreter is named here; under `--sdm conda` the rule's
# environment has its own. The prefix is no part of a rule's text: where the repository or the
# interpreter lies never makes a job run again. -P keeps the scripts' folder off the import path.
_conda = any(
    str(method).lower().endswith("conda")
    for method in workflow.deployment_settings.deployment_method
)
_prefix = 'script() { PYTHONPATH=%s %s -P %s/$1 "${@:2}"; }; ' % (
    shlex.quote(str(Path(workflow.basedir, "src"))),
    "python" if _conda else shlex.quote(sys.executable),
    shlex.quote(str(Path(workflow.basedir, "workflow/scripts"))),
)
shell.prefix(_prefix.replace("{", "{{").replace("}", "}}"))


def closed(names):
    """A wildcard's constraint: exactly these names, or nothing at all where there are none."""
    return "|".join(sorted({re.escape(str(name)) for name in names})) or "(?!)"


wildcard_constraints:
    model=closed(CONFIG.models),
    variant=closed(name for _, name in STUDY.checkpoints()),
    task=closed(CONFIG.tasks),
    source=closed(CONFIG.sources),
    suite=closed(CONFIG.suites),
    percent=closed(percent for _, percent in STUDY.training_sets.values()),


def code(script):
    """Fingerprint of the code a script runs; as a param it makes code an input of the rule."""
    return fingerprint(Path(workflow.basedir, "workflow/scripts", script))


def needs(rule):
    """The resources of a rule's jobs, more of what ran out at each attempt."""
    return NEEDS.of(rule)


def dumps(value, keep_order=False):
    """Settings as they stand on a script's command line; sorted unless their order has a meaning."""
    return json.dumps(value, sort_keys=not keep_order, ensure_ascii=False)


def log_of(rule, *wildcards):
    return STUDY.path("logs", rule, *(f"{{{name}}}" for name in wildcards)) + ".log"


def benchmark_of(rule, *wildcards):
    return (
        STUDY.path("benchmarks", rule, *(f"{{{name}}}" for name in wildcards)) + ".tsv"
    )


def directory_of(wildcards, output):
    """The directory whose manifest a rule writes."""
    return str(Path(output[0]).parent)


def directories(manifests):
    """The directories of some manifests."""
    return [str(Path(manifest).parent) for manifest in manifests]


def named_suites(suites):
    """Suites as scripts take them: name=directory."""
    return [f"{suite}={STUDY.path('suites', suite)}" for suite in suites]


# At the start of a line Snakemake reads `report` as its own directive.
marked_for_report = report


def shown(folder, form, found, category):
    """The files of one rendering, marked for Snakemake's report with their captions."""
    return [
        marked_for_report(
            STUDY.path(folder, f"{entry.name}.{form}"),
            caption=f"../resources/captions/{entry.caption}",
            category=category,
            labels=entry.labels,
        )
        for entry in found
    ]


def unshown(files, form):
    """The files that the report leaves out."""
    return [file for file in files if not file.endswith(f".{form}")]

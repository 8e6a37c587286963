# The study's plan, and what every rule shares.
import gc
import inspect
import json
import os
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.resources import Resource

# A plan is millions of objects that all stay; to look for garbage among them so often as Python
# does of itself takes a fifth of the time (docs/benchmarks.md).
gc.set_threshold(500_000, 20, 20)

# What the rules and scripts import: the package, the libraries beside it, the tools.
SOURCES = [
    str(Path(workflow.basedir, folder))
    for folder in (
        "src",
        "packages/judgebox/src",
        "packages/snakemake-logger-plugin-mixmerge/src",
        "tools",
    )
]
sys.path[:0] = SOURCES

from mixmerge.config.load import parse_config, read_yaml
from mixmerge.artifacts.fingerprint import read_lock, stage_code
from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.errors import UserError
from mixmerge.resources import gpus
from mixmerge.resources.requests import (
    JobResources,
    default_resource,
    in_cluster_words,
)
from mixmerge.study import stale_run
from mixmerge.study.plan import Study
from mixmerge.study.storage import ResultStore, check_bucket
from snakemake_logger_plugin_mixmerge import expect

try:
    if workflow.is_main_process:
        # Snakemake has read them, but takes a key that comes twice for a change of mind.
        for file in workflow.configfiles:
            read_yaml(Path(file))
    STUDY = Study(
        parse_config(config, " + ".join(map(str, workflow.configfiles)) or "config")
    )
    # What this Snakemake was called with, and whether it only looks at a study: it runs beside others.
    COMMAND = stale_run.options_of(sys.argv) if workflow.is_main_process else {}
    ONLY_LOOKS = stale_run.only_looks(COMMAND)
    if not ONLY_LOOKS:
        STUDY.check_files()
    if workflow.is_main_process and STUDY.config.storage is not None:
        # Before any job: training for hours only to find that its results can go nowhere is dear.
        check_bucket(STUDY.config.storage, workflow.storage_provider_settings)
    # Completions, scores, uncertainty, tables and figures: below the study's root, or on a bucket.
    RESULTS = ResultStore(STUDY, storage.s3)
    # What a Snakemake that was killed left behind, before this one looks for lock and outputs.
    if stale_run.start(workflow, COMMAND, logger.warning):
        STUDY.drop_remains()
except UserError as error:
    raise WorkflowError(f"error: {error}") from None

# Its sbatch and sacct cope with a Slurm that is out of reach for a while.
os.environ.update(
    PATH=os.pathsep.join([f"{workflow.basedir}/slurm/bin", *os.get_exec_path()])
)

if (
    ONLY_LOOKS
    and workflow.resource_settings.cores is None
    and workflow.resource_settings.nodes is None
):
    # Else Snakemake would ask for --cores.
    workflow.resource_settings.cores = workflow.global_resources["_cores"] = 1

CONFIG = STUDY.config
RESOURCES = JobResources(STUDY)
DEFAULT_RESOURCES = workflow.resource_settings.default_resources

# Rules call their script as `script NAME.py --explicit --arguments`. Jobs do not inherit the PATH of
# Snakemake's own environment, so its interpreter is named here; under `--sdm` the stage's
# conda environment or the image has its own. The prefix is no part of a rule's text: where the
# repository or the interpreter lies never makes a job run again. -P keeps the scripts' folder off
# the import path.
_deployed = any(
    str(method).lower().endswith(("conda", "apptainer"))
    for method in workflow.deployment_settings.deployment_method
)
_gpus = []
if (
    CONFIG.hardware.device == "gpu"
    and workflow.is_main_process
    and workflow.resource_settings.nodes is None
):
    # Jobs run on this machine: as many at once as it has GPUs for, each on its own.
    _gpus = gpus.visible(os.environ)
    if _gpus and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", len(_gpus))
_prefix = '%sscript() { %sPYTHONPATH=%s %s -P $claim %s/$1 "${@:2}"; }; ' % (
    f"export {gpus.VISIBLE}=; " if CONFIG.hardware.device == "cpu" else "",
    gpus.claiming(_gpus),
    shlex.quote(":".join(SOURCES)),
    "python" if _deployed else shlex.quote(sys.executable),
    shlex.quote(str(Path(workflow.basedir, "workflow/scripts"))),
)
shell.prefix(_prefix.replace("{", "{{").replace("}", "}}"))


def own_script(name):
    """A script as Snakemake's own environment runs it, whatever environments jobs have."""
    script = Path(workflow.basedir, "workflow/scripts", name)
    command = shlex.join([sys.executable, "-P", str(script)])
    return f"PYTHONPATH={shlex.quote(':'.join(SOURCES))} {command}"


# For `--sdm apptainer` alone: the image of all stages (envs/mixmerge.def).
container: "envs/mixmerge.sif"


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


# Under --sdm jobs compute with their own environments, all of which pin the lock's versions (envs/).
_pinned = (
    read_lock(Path(workflow.basedir, "envs/requirements.lock"))
    if workflow.deployment_settings.deployment_method
    else None
)


def code(script):
    """Fingerprint and libraries of what a script runs: as a param both are inputs of the rule.

    Worked out where a job needs it, as each of Slurm's jobs plans no other than its own.
    """
    path = Path(workflow.basedir, "workflow/scripts", script)
    once = cache(lambda: stage_code(path, _pinned))
    return lambda wildcards: once()


def needs(rule, **more):
    """The resources of a rule's jobs, in the profile's words; more of what ran out at each attempt."""
    return in_cluster_words({**RESOURCES.of(rule), **more}, DEFAULT_RESOURCES)


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


def manifest_options(wildcards, input):
    """Directories whose manifests are inputs, each as the script's option of the input's name.

    Other files have a name as well, and are named in the settings.
    """
    return [
        word
        for name, file in input.items()
        if Path(file).name == MANIFEST
        for word in (f"--{name}", str(Path(file).parent))
    ]


def named_suites(suites):
    """Suites as scripts take them: name=directory."""
    return [f"{suite}={STUDY.path('suites', suite)}" for suite in suites]


def printed(folder, names):
    """Tables and figures: of what lies on a bucket a copy stays here, for people to read."""
    return [RESULTS.file(folder, name, keep=True) for name in names]


# At the start of a line Snakemake reads `report` as its own directive.
marked_for_report = report


def shown(folder, form, found, category):
    """The files of one rendering, marked for Snakemake's report with their captions."""
    return [
        marked_for_report(
            RESULTS.file(folder, f"{entry.name}.{form}", keep=True),
            caption=f"../resources/captions/{entry.kind}.rst",
            category=category,
            labels=entry.labels,
        )
        for entry in found
    ]


def unshown(files, form):
    """The files that the report leaves out."""
    return [file for file in files if not file.endswith(f".{form}")]


def plan_arguments():
    """The arguments of this Snakemake for a dry run of the whole study in its directory."""
    started = Path(os.getenv("PWD", "."))
    words = [word for word in sys.argv[1:] if word not in ("--", "preflight")]
    words += ["--snakefile", str(workflow.main_snakefile), "--directory", os.getcwd()]
    if workflow.overwrite_configfiles:
        words += ["--configfile", *map(str, workflow.overwrite_configfiles)]
    # Paths are meant from where Snakemake was called; it went to --directory before.
    for name in ("profile", "workflow_profile"):
        path = started / str(COMMAND.get(name))
        if path.is_dir():
            words += [f"--{name.replace('_', '-')}", str(path)]
    return words


def partitions():
    """The profile's Slurm partitions, of jobs without GPUs and with them."""
    names = {
        "slurm_partition": "--partition",
        "gpu_job_slurm_partition": "--gpu-partition",
    }
    options = {
        option: default_resource(DEFAULT_RESOURCES, name)
        for name, option in names.items()
    }
    return [
        f"{option}={value}" for option, value in options.items() if value is not None
    ]


def study_options():
    """The options that say which study is meant, as for a shell: --configfile X --profile Y."""
    words = []
    for name in ("directory", "profile", "configfile", "config"):
        value = COMMAND.get(name) or []
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(str, values)] if values else []
    return shlex.join(words)


def remember_signatures(rules):
    """Look up the parameters of all functions of the rules once.

    Snakemake does it before each call, dozens of times a job: an eighth of the time of a plan.
    """
    functions = [Resource.evaluate]
    for owner in rules:
        items = (*owner.input, *owner.output, *owner.params)
        functions += [getattr(item, "callable", item) for item in items]
        functions += [
            r._evaluator for r in owner.resources.values() if r.is_evaluable()
        ]
    for function in filter(callable, functions):
        overwrite_function_params(function, inspect.signature(function).parameters)


onstart:
    stale_run.note_executor(workflow)
    # What the progress shown can tell of the time left (docs/tutorial.md).
    expect(workflow)

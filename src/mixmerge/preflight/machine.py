"""Checks of this machine: software, sandbox, nltk's data, GPUs, disk."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

from packaging.utils import canonicalize_name

from mixmerge.artifacts.fingerprint import read_lock
from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.config.study import parameters_of
from mixmerge.data.settings import MIX
from mixmerge.evaluate.nltk_data import RESOURCES
from mixmerge.evaluate.settings import SummarySuite
from mixmerge.preflight.findings import Area, Context, few
from mixmerge.resources import gpus
from mixmerge.resources.plan import Planned
from mixmerge.resources.schedule import Schedule

#: Share of a GPU's memory that weights may take where something is generated beside them.
_WEIGHTS_SHARE = 0.85


def check_software(context: Context, area: Area) -> None:
    """The installed distributions against ``envs/requirements.lock``."""
    lock = context.repository / "envs/requirements.lock"
    if context.deployed:
        area.unchecked.append("jobs bring environments of their own (--sdm), which pin the lock")
        return
    if not lock.is_file():
        area.unchecked.append(f"{lock}: not there")
        return
    installed = {canonicalize_name(str(p.metadata["Name"])): p.version for p in distributions()}
    pins, others = read_lock(lock), []
    for name, pin in pins.items():
        number = installed.get(canonicalize_name(name))
        if number is None:
            area.error(
                f"{lock}: {name}=={pin} is not installed in {sys.prefix}; run `make setup`, or "
                f"`pip install {name}=={pin}`"
            )
        elif number.partition("+")[0] != pin.partition("+")[0]:
            others.append(f"{name} {number} (lock: {pin})")
    if others:
        area.warnings.append(
            f"{lock}: other versions are installed: {few(others, 6)}; run `make setup`, or results "
            "may differ from those of the lock"
        )
    area.checked.append(f"{len(pins)} distributions of {lock.name}")


def check_sandbox(context: Context, area: Area) -> None:
    """Whether generated programs can be run boxed in here."""
    if not context.study.code_suites():
        area.checked.append("no suite runs generated programs")
        return
    # Late: it looks through the environment for what programs may import.
    from judgebox import Box, SetupError, available

    packages = tuple(context.config.code_scoring.packages)
    try:
        # It says what was tried, what the kernel said, and the ways out.
        with Box(packages):
            backends = available(packages)
    except SetupError as error:
        area.error(error)
        return
    for backend in backends:
        result = "works here" if backend.works else f"not here ({' '.join(backend.reason.split())})"
        area.checked.append(f"{backend.backend} ({backend.label}) {result}")
    if not context.on_this_machine:
        area.unchecked.append(
            f"the compute nodes: this machine was tried, not those of {context.executor}"
        )


def check_nltk_data(context: Context, area: Area) -> None:
    """METEOR's data: fetched and still what nltk reads, on this machine, or to be fetched."""
    suites = [
        key
        for key, suite in context.config.suites.items()
        if isinstance(suite, SummarySuite) and "meteor" in suite.metrics
    ]
    published = context.config.results / "nltk_data"
    if not suites:
        area.checked.append("no suite is scored with METEOR")
        return
    if (published / MANIFEST).exists():
        if area.attempt(read_manifest, published, "nltk_data"):
            area.checked.append(str(published))
        return
    for name, place in RESOURCES.items():
        trees = [root / place for root in _nltk_roots()]
        here = [t for t in trees if t.is_dir() or t.with_name(f"{t.name}.zip").is_file()]
        if here:
            area.checked.append(f"{name}: {here[0]} (for {few(suites)})")
        else:
            area.unchecked.append(
                f"{name}: not here; will be fetched from nltk's server or a package "
                "registry (`snakemake nltk_data` does it now)"
            )


def _nltk_roots() -> list[Path]:
    """Where nltk looks for its data, without the seconds that its import takes."""
    roots = [part for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    roots += [f"{sys.prefix}/{part}nltk_data" for part in ("", "share/", "lib/")]
    roots += [f"/usr/{part}/nltk_data" for part in ("share", "local/share", "lib", "local/lib")]
    return [Path("~/nltk_data").expanduser(), *map(Path, roots)]


def check_gpus(context: Context, area: Area) -> None:
    """Memory of the GPUs that the config names, and whether there are any here."""
    config, hardware = context.config, context.config.hardware
    if hardware.device == "cpu":
        area.checked.append("hardware.device is cpu: none are used")
        return
    visible = len(gpus.visible(os.environ)) if context.on_this_machine else None
    memory = hardware.gpu_memory_gb
    for key, model in config.models.items():
        where, parameters = f"{context.where}: models.{key}", parameters_of(model)
        runs = {name: config.sft_settings(key, name).processes for name in (*config.tasks, MIX)}
        name, most = max(runs.items(), key=lambda run: run[1])
        if visible and most > visible:
            area.error(
                f"{where}: sft.processes: {most} GPUs for training set {name}, but this machine "
                f"shows {visible}; set processes: {visible} or run on another machine"
            )
        if parameters is None:
            area.unchecked.append(f"{key}: the config does not say how many parameters it has")
            continue
        if problem := config.misfit(key):
            area.warnings.append(f"{where}.sft, {problem}")
        if (weights := 2e-9 * parameters) > _WEIGHTS_SHARE * memory:
            area.error(
                f"{where}: its weights take {weights:.0f} GB in bf16, but generation has one GPU "
                f"of {memory:g} GB (hardware.gpu_memory_gb); take a larger GPU or leave the model "
                "out"
            )
    area.checked.append(f"memory of training and generation against {memory:g} GB a GPU")
    if visible is None:
        area.unchecked.append(f"the GPUs themselves: jobs run with {context.executor}")
    elif not visible:
        area.warnings.append(
            f"{context.where}: hardware.device: 'gpu', but this machine shows none, and jobs would "
            "run here, on the CPU; run with your cluster's profile (--profile slurm), or set "
            "hardware.device: cpu"
        )
    else:
        _check_visible_gpus(context, visible, area)


def _check_visible_gpus(context: Context, count: int, area: Area) -> None:
    """The driver's and torch's word on the GPUs of this machine."""
    if not context.deployed and version("torch").endswith("+cpu"):
        area.error(
            f"torch {version('torch')} of this environment ({sys.prefix}) was built without CUDA, "
            "but hardware.device is 'gpu'; install torch's CUDA build"
        )
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        memory = max(map(int, driver.stdout.split())) * 2**20 / 1e9
    except (OSError, subprocess.SubprocessError, ValueError):
        area.unchecked.append("how much memory they have: nvidia-smi does not say")
        area.checked.append(f"{count} GPUs of this machine")
        return
    area.checked.append(f"{count} GPUs of this machine, {memory:.0f} GB each")
    if (wanted := context.config.hardware.gpu_memory_gb) > memory:
        area.error(
            f"{context.where}: hardware.gpu_memory_gb: {wanted:g}, but this machine's GPUs have "
            f"{memory:.0f} GB; write {int(memory)}, processes and memory of training follow from it"
        )


def check_disk(context: Context, planned: Planned | None, area: Area) -> None:
    """Room for the plan's peak where results are written; ``planned`` is None without a plan."""
    results = context.config.results
    folder = results.absolute()
    while not folder.exists():
        folder = folder.parent
    where = f"{context.where}: results: {results}"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        area.error(f"{where}: {folder} cannot be written to; name another directory")
        return
    free = shutil.disk_usage(folder).free
    if planned is None:
        area.unchecked.append(f"the peak ({free / 1e9:,.0f} GB are free): there is no plan")
        return
    schedule = Schedule(planned.jobs, planned.limits)
    peak = schedule.peak_mb * 1_000_000
    sizes = f"peak {peak / 1e9:,.1f} GB, {free / 1e9:,.1f} GB free at {folder}"
    if peak > free:
        stages = sorted(schedule.peak_stages.items(), key=lambda entry: -entry[1])
        most = ", ".join(f"{name} {size / 1000:,.0f} GB" for name, size in stages[:3])
        merges = "--resources merged=1, merging.keep: none, " if "merge" in dict(stages) else ""
        area.error(
            f"{where}: {sizes} ({most}); name a directory with more room, or keep less at once "
            f"({merges}fewer models, data_scale)"
        )
    elif peak > 0.9 * free:
        area.warnings.append(f"{where}: {sizes}; the plan is an estimate, make more room")
    area.checked.append(sizes)
    area.unchecked.append("quotas, and the hub's cache of data sets (HF_HOME)")

"""This machine: disk, GPUs, the sandbox."""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from mixmerge.config.hardware import misfit
from mixmerge.config.models import parameters_of
from mixmerge.core.errors import UserError
from mixmerge.data.settings import MIX
from mixmerge.evaluate.settings import CodeScoring
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.resources import gpus

if TYPE_CHECKING:
    from judgebox.detect import BackendStatus

#: Share of a GPU's memory that weights may take where something is generated beside them.
_FOR_WEIGHTS = 0.85

#: Seconds for the driver's answer.
_SECONDS = 10


def disk(context: Context) -> Area:
    """Room for the plan's peak where results are written."""
    area = Area("disk")
    if context.study is None:
        return area
    results = context.config.results
    there = next(
        path for path in (results.absolute(), *results.absolute().parents) if path.exists()
    )
    where = f"{context.where}: results: {results}"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        area.error(f"{where}: {there} cannot be written to; name another directory")
        return area
    free = shutil.disk_usage(there).free
    if context.planned is None:
        area.unchecked.append(f"the peak ({free / 1e9:,.0f} GB are free): there is no plan")
        return area
    peak = int(context.planned["peak_mb"]) * 1_000_000
    told = f"peak {peak / 1e9:,.1f} GB, {free / 1e9:,.1f} GB free at {there}"
    if peak > free:
        stages = sorted(context.planned["stages"].items(), key=lambda entry: -entry[1])
        most = ", ".join(f"{name} {size / 1000:,.0f} GB" for name, size in stages[:3] if size)
        merges = "--resources merged=1, merging.keep: none, "
        area.error(
            f"{where}: {told} ({most}); name a directory with more room, or keep less at once "
            f"({merges if context.planned['stages'].get('merge') else ''}fewer models, "
            "data_scale)"
        )
    elif peak > 0.9 * free:
        area.warning(f"{where}: {told}; the plan is an estimate, make more room")
    area.checked.append(told)
    area.unchecked.append("quotas, and the hub's cache of data sets (HF_HOME)")
    return area


def gpu(context: Context) -> Area:
    """Memory of the GPUs that the profile or config names, and whether there are any here."""
    area = Area("GPUs")
    if context.study is None:
        return area
    config, hardware = context.config, context.config.hardware
    if hardware.device == "cpu":
        area.checked.append("hardware.device is cpu: none are used")
        return area
    for key, model in config.models.items():
        parameters = parameters_of(model)
        if parameters is None:
            area.unchecked.append(f"{key}: the config does not say how many parameters it has")
            continue
        for training_set in (*config.tasks, MIX):
            settings = config.sft_settings(key, training_set)
            found = misfit(settings, parameters, settings.processes, hardware)
            if found:
                area.warning(
                    f"{context.where}: models.{key}.sft, training set {training_set}: {found}"
                )
                break
        weights = 2 * parameters / 1e9
        if weights > _FOR_WEIGHTS * hardware.gpu_memory_gb:
            area.error(
                f"{context.where}: models.{key}: its weights take {weights:.0f} GB in bf16, but "
                f"generation has one GPU of {hardware.gpu_memory_gb:g} GB "
                "(hardware.gpu_memory_gb); take a larger GPU or leave the model out"
            )
    area.checked.append(
        f"memory of training and generation against {hardware.gpu_memory_gb:g} GB a GPU"
    )
    if context.on_this_machine:
        _visible(context, area)
    else:
        area.unchecked.append(f"the GPUs themselves: jobs run with {context.executor}")
    return area


def _visible(context: Context, area: Area) -> None:
    """GPUs of this machine against what one training run asks for."""
    count = len(gpus.visible(os.environ))
    if not count:
        area.warning(
            f"{context.where}: hardware.device: 'gpu', but this machine shows none, and jobs would "
            "run here, on the CPU; run with your cluster's profile (--profile slurm), or set "
            "hardware.device: cpu"
        )
        return
    config = context.config
    for key in config.models:
        for training_set in (*config.tasks, MIX):
            wanted = config.sft_settings(key, training_set).processes
            if wanted > count:
                area.error(
                    f"{context.where}: models.{key}: sft.processes: {wanted} GPUs for training set "
                    f"{training_set}, but this machine shows {count}; set processes: {count} or "
                    "run on another machine"
                )
                break
    try:
        build = version("torch")
    except PackageNotFoundError:
        return
    if build.endswith("+cpu") and not context.deployed:
        area.error(
            f"torch {build} of this environment ({sys.prefix}) was built without CUDA, but "
            "hardware.device is 'gpu'; install torch's CUDA build"
        )
    told, there = f"{count} GPUs of this machine", _memory_gb()
    if there is None:
        area.unchecked.append("how much memory they have: nvidia-smi does not say")
    else:
        told += f", {there:.0f} GB each"
    if there is not None and config.hardware.gpu_memory_gb > there:
        area.error(
            f"{context.where}: hardware.gpu_memory_gb: {config.hardware.gpu_memory_gb:g}, but this "
            f"machine's GPUs have {there:.0f} GB; write {int(there)}, processes and memory of "
            "training follow from it"
        )
    area.checked.append(told)


def _memory_gb() -> float | None:
    """Memory of this machine's largest GPU, as its driver tells; None where it does not."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        return max(int(line) for line in done.stdout.split()) * 2**20 / 1e9
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def sandbox(context: Context) -> Area:
    """Whether generated programs can be run boxed in here."""
    area = Area("sandbox")
    if context.study is not None and not context.study.code_suites():
        area.checked.append("no suite runs generated programs")
        return area
    # Late: it looks through the environment for what programs may import.
    from judgebox.box import Box
    from judgebox.detect import VARIABLE
    from judgebox.runtime import PackageError, SetupError

    # Whatever is wrong with the config: what this machine offers does not hang on it.
    scoring = CodeScoring() if context.study is None else context.config.code_scoring
    packages = tuple(scoring.packages)
    try:
        offers = _offers(packages)
        if not any(offer.works for offer in offers) or os.environ.get(VARIABLE):
            # It says what was tried, what the kernel said, and the ways out.
            with Box(packages):
                pass
    except PackageError as error:
        area.refused(UserError(f"code_scoring.packages: {error}"))
        return area
    except SetupError as error:
        area.refused(UserError(str(error)))
        return area
    for offer in offers:
        told = "works here" if offer.works else f"not here ({' '.join(offer.reason.split())})"
        area.checked.append(f"{offer.backend} ({offer.label}) {told}")
    if not context.on_this_machine:
        area.unchecked.append(
            f"the compute nodes: this machine was tried, not those of {context.executor}"
        )
    return area


@cache
def _offers(packages: tuple[str, ...]) -> list["BackendStatus"]:
    """What this machine offers; each sandbox is started once a process."""
    from judgebox import available

    return available(packages)

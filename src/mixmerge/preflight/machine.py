"""Checks of this machine: software, sandbox, GPUs, disk; and of a Slurm cluster."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from math import inf
from typing import NamedTuple

from mixmerge.artifacts.fingerprint import read_lock
from mixmerge.config.study import parameters_of
from mixmerge.core.errors import one_line
from mixmerge.data.settings import MIX
from mixmerge.preflight.findings import Area, Context, few
from mixmerge.resources import gpus
from mixmerge.resources.schedule import Schedule

#: Rules that Snakemake runs itself, wherever the others run: those with `localrule`.
LOCAL_RULES = {"fetch", "snapshot", "dequantise", "recipe", "hold_out", "nltk_data"}

#: Share of a GPU's memory that weights may take where something is generated beside them.
_WEIGHTS_SHARE = 0.85


def check_software(context: Context, area: Area) -> None:
    """The installed distributions against ``envs/requirements.lock``."""
    lock = context.repository / "envs/requirements.lock"
    if context.deployed or not lock.is_file():
        own = "jobs bring environments of their own (--sdm), which pin the lock"
        area.unchecked.append(own if context.deployed else f"{lock}: not there")
        return
    pins = read_lock(lock)
    others = []
    for name, pin in pins.items():
        try:
            number = version(name)
        except PackageNotFoundError:
            area.error(f"{lock}: {name}=={pin} is not installed in {sys.prefix}; run `make setup`")
            continue
        if number.partition("+")[0] != pin.partition("+")[0]:
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
        with Box(packages):
            backends = available(packages)
    except SetupError as error:  # it says what was tried, what the kernel said, and the ways out
        area.error(error)
        return
    for backend in backends:
        result = "works here" if backend.works else f"not here ({one_line(backend.reason)})"
        area.checked.append(f"{backend.backend} ({backend.label}) {result}")
    if not context.on_this_machine:
        area.unchecked.append(f"the nodes of {context.executor}: this machine was tried")


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
                f"of {memory:g} GB (hardware.gpu_memory_gb); take a larger GPU or another model"
            )
    area.checked.append(f"memory of training and generation against {memory:g} GB a GPU")
    if visible is None:
        area.unchecked.append(f"the GPUs themselves: jobs run with {context.executor}")
        return
    if not visible:
        area.warnings.append(
            f"{context.where}: hardware.device: 'gpu', but this machine shows none; run with your "
            "cluster's profile (--profile slurm), or set hardware.device: cpu"
        )
        return
    if not context.deployed and version("torch").endswith("+cpu"):
        area.error(
            f"torch {version('torch')} of this environment ({sys.prefix}) was built without CUDA, "
            "but hardware.device is 'gpu'; install torch's CUDA build"
        )
    try:
        query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        answer = subprocess.check_output(query, text=True, timeout=10, stderr=subprocess.DEVNULL)
        here = max(map(int, answer.split())) * 2**20 / 1e9
    except (OSError, subprocess.SubprocessError, ValueError):
        area.unchecked.append("how much memory they have: nvidia-smi does not say")
        area.checked.append(f"{visible} GPUs of this machine")
        return
    area.checked.append(f"{visible} GPUs of this machine, {here:.0f} GB each")
    if memory > here:
        area.error(
            f"{context.where}: hardware.gpu_memory_gb: {memory:g}, but this machine's GPUs have "
            f"{here:.0f} GB; write {int(here)}, processes and memory of training follow from it"
        )


def check_disk(context: Context, planned: Schedule | None, area: Area) -> None:
    """Room for the plan's peak where results are written; ``planned`` is None without a plan."""
    results = context.config.results
    above = (results.absolute(), *results.absolute().parents)
    folder = next(path for path in above if path.exists())
    where = f"{context.where}: results: {results}"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        area.error(f"{where}: {folder} cannot be written to; name another directory")
        return
    free = shutil.disk_usage(folder).free
    if planned is None:
        area.unchecked.append(f"the peak ({free / 1e9:,.0f} GB are free): there is no plan")
        return
    peak = planned.peak_mb * 1_000_000
    sizes = f"peak {peak / 1e9:,.1f} GB, {free / 1e9:,.1f} GB free at {folder}"
    if peak > free:
        stages = Counter(planned.peak_stages).most_common(3)
        most = ", ".join(f"{name} {size / 1000:,.0f} GB" for name, size in stages)
        area.error(
            f"{where}: {sizes} ({most}); name a directory with more room, or keep less at once "
            "(--resources merged=1, merging.keep: none, fewer models, data_scale)"
        )
    elif peak > 0.9 * free:
        area.warnings.append(f"{where}: {sizes}; the plan is an estimate, make more room")
    area.checked.append(sizes)
    area.unchecked.append("quotas, and the hub's cache of data sets (HF_HOME)")


def check_cluster(context: Context, planned: Schedule | None, area: Area) -> None:
    """Slurm's partitions, run times, memory and GPUs against what the plan's jobs will ask for."""
    if context.on_this_machine:
        area.checked.append("jobs run on this machine")
        return
    if context.executor != "slurm":
        area.unchecked.append(f"limits of {context.executor}: only Slurm's are known here")
        return
    if shutil.which("sinfo") is None or shutil.which("sbatch") is None:
        area.error(
            "slurm: sinfo and sbatch are not on this machine's PATH, so no job can be submitted; "
            "run on a login node"
        )
        return
    try:
        partitions = _partitions()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        area.unchecked.append(f"limits: sinfo gave no answer ({one_line(error)})")
        return
    known = few(sorted(partitions), 8)
    places = {"slurm_partition": context.partition}
    places["gpu_job_slurm_partition"] = context.gpu_partition
    for place, names in places.items():
        for name in filter(None, names.split(",")):
            where = f"default-resources: {place}"
            if name not in partitions:
                area.error(f"{where}: Slurm has no partition {name!r}; it has {known}")
            elif not any(nodes.up for nodes in partitions[name]):
                area.error(f"{where}: partition {name!r} is not up; name another, or wait")
    if planned is None:
        area.unchecked.append("run times and memory: there is no plan")
        return
    largest: dict[str, Counter[str]] = {}
    for job in planned.jobs:
        if job.rule not in LOCAL_RULES:
            largest[job.rule] = largest.get(job.rule, Counter()) | Counter(job.resources)
    for rule, most in sorted(largest.items()):
        gpu_count = most["gpu"] or most["gpu_count"]
        names = (context.gpu_partition if gpu_count else "") or context.partition
        kinds = [nodes for name in names.split(",") for nodes in partitions.get(name, [])]
        if not kinds:
            continue
        time = max(nodes.minutes for nodes in kinds)
        memory = max(nodes.memory_mb for nodes in kinds)
        gpu_limit = max(nodes.gpus for nodes in kinds)
        gpus_a_node = -(-gpu_count // max(1, most["nodes"]))
        if most["runtime"] > time:
            area.error(
                f"{context.where}: hardware.longest_hours: rule {rule} will ask for "
                f"{most['runtime']} minutes, partition {names!r} allows {time:g}; set "
                f"longest_hours: {time / 60:g}, or name a partition with more time"
            )
        if most["mem_mb"] > memory > 0:
            area.error(
                f"partition {names!r}: rule {rule} will ask for {most['mem_mb']:,} MB of memory on "
                f"a node, the largest has {memory:,}; name another partition (--set-resources "
                f"{rule}:slurm_partition=...), or for training fewer processes"
            )
        if gpus_a_node > gpu_limit:
            area.error(
                f"partition {names!r}: rule {rule} will ask for {gpus_a_node} GPUs on a node, its "
                f"nodes have {gpu_limit}; name the GPU partition (gpu_job_slurm_partition), or set "
                "sft.processes"
            )
    area.checked.append(f"partitions {known}: time, memory, GPUs")
    area.unchecked.append("accounts, QOS and fair-share limits")


class Nodes(NamedTuple):
    """One kind of a Slurm partition's nodes; minutes are infinite without a limit."""

    up: bool
    minutes: float
    memory_mb: int
    gpus: int


def _partitions() -> dict[str, list[Nodes]]:
    """What ``sinfo`` says of each partition."""
    partitions: dict[str, list[Nodes]] = {}
    command = ["sinfo", "--noheader", "--format=%R|%a|%l|%m|%G"]
    answer = subprocess.check_output(command, text=True, timeout=10, stderr=subprocess.DEVNULL)
    for line in answer.splitlines():
        name, up, limit, memory, generic = (part.strip() for part in line.split("|", 4))
        count = sum(int(n) for n in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", generic))
        nodes = Nodes(up == "up", minutes(limit), int(re.sub(r"\D", "", memory) or 0), count)
        partitions.setdefault(name, []).append(nodes)
    if not partitions:
        raise ValueError("it names no partition")
    return partitions


def minutes(limit: str) -> float:
    """Slurm's ``days-hours:minutes:seconds``, the larger parts optional; infinite for no limit."""
    if limit in ("infinite", "UNLIMITED", "n/a", ""):
        return inf
    days, has_days, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    # Without days one part is minutes and two are minutes:seconds; with them the first is hours.
    if not has_days and len(parts) < 3:
        parts = [0, *parts]
    return int(days or 0) * 1440 + parts[0] * 60 + (parts[1] if len(parts) > 1 else 0)

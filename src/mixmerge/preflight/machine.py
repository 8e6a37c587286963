"""This machine: disk, GPUs, the sandbox, WordNet."""

import os
import shutil
import stat
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from mixmerge.config.evaluation import SummarySuite
from mixmerge.config.memory import misfit
from mixmerge.config.parameters import parameters_of
from mixmerge.config.tasks import MIX
from mixmerge.errors import UserError
from mixmerge.manifest import MANIFEST, read_manifest
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area, few
from mixmerge.study import gpus

if TYPE_CHECKING:
    from mixmerge.sandbox.machine import Offer

#: Share of a GPU's memory that weights may take where something is generated beside them.
_FOR_WEIGHTS = 0.85


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
    area.checked.append(f"{count} GPUs of this machine")


def sandbox(context: Context) -> Area:
    """Whether generated programs can be run boxed in here."""
    area = Area("sandbox")
    if context.study is None or not context.study.code_suites():
        area.checked.append("no suite runs generated programs")
        return area
    # Late: it looks through the environment for what programs may import.
    from mixmerge.sandbox import machine

    packages = tuple(context.config.code_scoring.packages)
    try:
        offers = _offers(packages)
        if not any(offer.works for offer in offers) or os.environ.get(machine.VARIABLE):
            # It says what was tried, what the kernel said, and the ways out.
            machine.choose(None, packages)
    except UserError as error:
        area.refused(error)
        return area
    for offer in offers:
        told = "works here" if offer.works else f"not here ({' '.join(offer.said.split())})"
        area.checked.append(f"{offer.backend} ({offer.label}) {told}")
    if not context.on_this_machine:
        area.unchecked.append(
            f"the compute nodes: this machine was tried, not those of {context.executor}"
        )
    return area


@cache
def _offers(packages: tuple[str, ...]) -> list["Offer"]:
    """What this machine offers; each sandbox is started once a process."""
    from mixmerge.sandbox import machine

    return machine.offered(packages)


#: Where nltk looks, besides its environment variable; see `nltk.data`.
_NLTK = ("/usr/share/nltk_data", "/usr/local/share/nltk_data", "/usr/lib/nltk_data")


def wordnet(context: Context) -> Area:
    """The data that METEOR needs: fetched, on this machine, or to be fetched."""
    area = Area("WordNet")
    if context.study is None:
        return area
    suites = [
        key
        for key, suite in context.config.suites.items()
        if isinstance(suite, SummarySuite) and "meteor" in suite.metrics
    ]
    if not suites:
        area.checked.append("no suite is scored with METEOR")
        return area
    published = context.config.results / "nltk_data"
    if (published / MANIFEST).exists():
        try:
            read_manifest(published, "nltk_data")
            area.checked.append(str(published))
        except UserError as error:
            area.refused(error)
        return area
    present = [root for root in _nltk_roots() if _holds_wordnet(root)]
    for root in present:
        if root.stat().st_mode & stat.S_IWOTH:
            area.error(
                f"{root}: nltk refuses data that others may write to; run `chmod -R o-w {root}`"
            )
    if present:
        area.checked.append(f"{present[0]} (for {few(suites)})")
    else:
        routes = ["nltk's server"]
        routes += ["Debian's packages"] * bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))
        area.unchecked.append(
            f"not here; will be fetched from {' or '.join(routes)} (`snakemake nltk_data` does it "
            "now)"
        )
    return area


def _nltk_roots() -> list[Path]:
    given = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    own = [Path("~/nltk_data").expanduser()]
    own += [
        Path(sys.prefix, *parts)
        for parts in (("nltk_data",), ("share", "nltk_data"), ("lib", "nltk_data"))
    ]
    return [root for root in (*given, *own, *map(Path, _NLTK)) if root.is_dir()]


def _holds_wordnet(root: Path) -> bool:
    folder = root / "corpora/wordnet"
    return folder.is_dir() or folder.with_name("wordnet.zip").is_file()

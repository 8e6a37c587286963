"""What stays of a merge: its recipe, and the record by which its weights are made again.

A recipe is the YAML that MergeKit's own ``mergekit-yaml`` accepts. A record is a directory with a
merge's ``manifest.json`` and ``provenance.json``.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mixmerge.artifacts.integrity import difference
from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, read_json, write_json
from mixmerge.merge.settings import METHODS, RecipeSettings


def build_recipe(settings: RecipeSettings) -> dict[str, Any]:
    """Build the recipe as MergeKit's configuration mapping."""
    method = METHODS[settings.method]
    pivot = settings.pivot_among([*settings.specialists])
    weights = settings.weights or {}
    recipe: dict[str, Any] = {"merge_method": settings.method}
    models = []
    for task, path in settings.specialists.items():
        if task == pivot:
            continue
        values = dict(settings.model_parameters)
        if method.weighted:
            values = {"weight": float(weights[task]), **values}
        models.append({"model": path, "parameters": values} if values else {"model": path})
    if settings.method == "linear":
        # It knows no base model, and MergeKit would take config and tokenizer from whichever model
        # comes first in a set. Weight 0 leaves the sum as it is.
        models.append({"model": settings.base, "parameters": {"weight": 0.0}})
    if settings.method == "linear" or method.base != "ignored":
        recipe["base_model"] = settings.base if pivot is None else settings.specialists[pivot]
    recipe["models"] = models
    parameters = dict(settings.parameters)
    if settings.method == "slerp":
        # The share of the model that is not the method's base model; rounded because 1 - 0.9 is
        # 0.09999999999999998, and recipes are read by people.
        [share, *_] = weights.values()
        if pivot is not None:
            share = round(1 - weights[pivot] / sum(weights.values()), 12)
        parameters["t"] = float(share)
    if parameters:
        recipe["parameters"] = parameters
    # `arcee_fusion` and `ramplus_tl` write float32 whatever `dtype` says; `out_dtype` holds.
    recipe["dtype"] = recipe["out_dtype"] = settings.dtype
    if recipe.get("base_model") != settings.base:
        recipe["mixmerge"] = {"base": settings.base}  # MergeKit ignores it
    return recipe


def render_recipe(settings: RecipeSettings) -> str:
    """Write the recipe as YAML, with a head that says whose weights are whose."""
    pivot = settings.pivot_among([*settings.specialists])
    lines = ["# MergeKit recipe of one merge; `mergekit-yaml` accepts it as it stands."]
    for task, path in settings.specialists.items():
        weight = "no weight" if settings.weights is None else f"weight {settings.weights[task]:g}"
        role = ", the method's base model" if task == pivot else ""
        lines.append(f"# {task}: {weight}{role} ({path})")
    lines.append(f"# base: {settings.base}")
    body = yaml.safe_dump(build_recipe(settings), sort_keys=False, allow_unicode=True, width=1000)
    return "\n".join([*lines, body])


def write_record(weights: Path, record: Path) -> None:
    """Copy a published merge's provenance and, last, its manifest to the record's directory."""
    for name in (PROVENANCE, MANIFEST):
        with atomic_open(record / name, "wb") as file:
            file.write((weights / name).read_bytes())


def holds_recorded(weights: Path, record: Path) -> bool:
    """Whether a directory is a finished merge whose manifest lists the record's very files."""
    made, recorded = weights / MANIFEST, record / MANIFEST
    return made.exists() and bool(read_json(made)["files"] == read_json(recorded)["files"])


def differing(weights: Path, record: Path) -> str | None:
    """The first file of a directory that a record lacks or lists with other bytes, if any."""
    recorded: dict[str, Any] = read_json(record / MANIFEST)["files"]
    paths = {path.relative_to(weights).as_posix() for path in weights.rglob("*") if path.is_file()}
    if more := sorted(paths - recorded.keys() - {MANIFEST, PROVENANCE}):
        return more[0]
    changed = difference(weights, recorded, record / MANIFEST)
    return changed[0] if changed else None


def merge_again(recipe: Path, record: Path, out: Path, *, seed: int, threads: int = 1) -> None:
    """Make the weights of a recorded merge once more, with the record's shard size and device.

    `UserError`: the files come out differently; ``out`` is then untouched.
    """
    from mixmerge.merge.execution import merge

    def check(made: Path) -> None:
        if (name := differing(made, record)) is None:
            return
        new, old = (read_json(path / PROVENANCE) for path in (made, record))
        was, inputs = old["software"], new["inputs"].items() - old["inputs"].items()
        changes = [
            f"{n} was {was.get(n)}, is {v}" for n, v in new["software"].items() if v != was.get(n)
        ]
        changes += [f"{path} has changed" for path, _ in sorted(inputs)]
        changes += [f"other {key}" for key in ("settings", "seed") if new[key] != old[key]]
        raise UserError(
            f"{recipe}: merged again, but {name} is not the file that {record / MANIFEST} lists "
            f"({'; '.join(changes) or 'for no known reason'}); delete {record / MANIFEST} and run "
            "again, which redoes the merge and all that stands below it"
        )

    settings = read_json(record / PROVENANCE)["settings"]
    machine = {"shard_bytes": settings["shard_bytes"], "device": settings["device"]}
    merge(recipe, out, seed=seed, threads=threads, check=check, **machine)


@contextmanager
def recorded_weights(
    weights: Path, record: Path, recipe: Path, scratch: Path, *, seed: int, threads: int = 1
) -> Iterator[Path]:
    """Yield a directory with the weights of a recorded merge, where gone made in ``scratch``."""
    if holds_recorded(weights, record):
        yield weights
        return
    try:
        merge_again(recipe, record, scratch, seed=seed, threads=threads)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def add_facts(weights: Path, facts: dict[str, Any]) -> None:
    """Add facts, such as which merge it is, to the manifest of a published merge."""
    manifest = read_json(weights / MANIFEST)
    manifest["facts"] |= facts
    write_json(weights / MANIFEST, manifest)

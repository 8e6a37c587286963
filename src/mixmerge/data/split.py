"""Parts a task's rows into training and validation, and takes nested subsets of the former."""

import shutil
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir
from mixmerge.data.layout import ROWS, TRAIN, VALIDATION
from mixmerge.data.lines import read_lines
from mixmerge.data.sampling import lowest, ranks, share


def split(task: str, fraction: float, rows: Path, out: Path, seed: int) -> tuple[int, int]:
    """Write ``out``/train.jsonl and validation.jsonl; returns their numbers of rows.

    ``round(n * fraction)`` rows, at least one and not all, are held out: those of lowest rank.
    Both files keep the order of the rows.

    Args:
        task: the task's key, for messages.
        fraction: share held out, in (0, 1).
        rows: the decontaminated task's directory.
        out: target directory.
        seed: the job's.

    Raises:
        UserError: fewer than two rows, or the fraction is outside its range.
    """
    if not 0 < fraction < 1:
        raise UserError(f"data.validation_fraction: {fraction} is outside 0 < fraction < 1")
    total = read_manifest(rows, "rows")["facts"]["rows"]
    if total < 2:
        raise UserError(
            f"{rows / ROWS}: task {task!r} has {total} row; a split into training and validation "
            "needs two"
        )
    count = min(max(1, round(total * fraction)), total - 1)
    held = lowest(ranks(rows / ROWS, seed, f"split {task}", total), count)
    with atomic_dir(out) as scratch:
        with (scratch / TRAIN).open("wb") as train, (scratch / VALIDATION).open("wb") as validation:
            for is_held, (_, line) in zip(held, read_lines(rows / ROWS), strict=True):
                (validation if is_held else train).write(line + b"\n")
        _finish(scratch, rows, {"validation_fraction": fraction}, seed, total - count, count)
    return total - count, count


def subset(task: str, percent: int, source: Path, out: Path, seed: int) -> int:
    """Write ``percent`` % of a split's training rows, and its whole validation part.

    Args:
        task: the task's key, for messages.
        percent: 1 to 100.
        source: the split's directory.
        out: target directory.
        seed: the same for all percentages of a task, so that they are nested.

    Returns:
        The number of training rows, ``round(n * percent / 100)``, at least one.

    Raises:
        UserError: ``percent`` is outside its range.
    """
    if not 0 < percent <= 100:
        raise UserError(f"data_scale: {percent} % is outside 0 < percent <= 100")
    facts = read_manifest(source, "rows")["facts"]
    total, validation = facts["train"], facts["validation"]
    count = share(total, percent)
    with atomic_dir(out) as scratch:
        if count == total:
            shutil.copyfile(source / TRAIN, scratch / TRAIN)
        else:
            values = ranks(source / TRAIN, seed, f"subset {task}", total)
            with (scratch / TRAIN).open("wb") as file:
                chosen = lowest(values, count)
                for is_chosen, (_, line) in zip(chosen, read_lines(source / TRAIN), strict=True):
                    if is_chosen:
                        file.write(line + b"\n")
        shutil.copyfile(source / VALIDATION, scratch / VALIDATION)
        _finish(scratch, source, {"percent": percent}, seed, count, validation)
    return count


def _finish(
    scratch: Path, source: Path, settings: dict[str, Any], seed: int, train: int, validation: int
) -> None:
    write_provenance(
        scratch, inputs=[source / MANIFEST], settings=settings, seed=seed, packages=["numpy"]
    )
    write_manifest(scratch, "rows", {"train": train, "validation": validation})

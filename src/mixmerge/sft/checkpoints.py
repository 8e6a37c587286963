"""The Trainer's checkpoints in scratch: which are complete, which are needed, which was best."""

import math
import shutil
from pathlib import Path
from typing import Any

from mixmerge.core.io import read_json, write_json

_COMPLETE = "complete.json"
_WEIGHTS = ("model", "adapter", "config.json")


def mark_complete(checkpoint: Path) -> None:
    """Record that all processes have written their part; called last, by one of them."""
    files = {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file()
    }
    write_json(checkpoint / _COMPLETE, files)


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end and still has all its files."""
    marker = checkpoint / _COMPLETE
    if not marker.exists():
        return False
    files = read_json(marker)
    return all(
        (checkpoint / name).exists() and (checkpoint / name).stat().st_size == size
        for name, size in files.items()
    )


def step_of(checkpoint: Path) -> int:
    """Optimiser step of a directory named ``checkpoint-N``."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def list_checkpoints(trainer: Path) -> list[Path]:
    """All checkpoint directories, by step, complete or not."""
    return sorted(trainer.glob("checkpoint-*"), key=step_of)


def last_complete(trainer: Path) -> Path | None:
    """The checkpoint to resume from; what a kill left half-written after it is deleted.

    A directory without its marker would otherwise be taken for a checkpoint, or its stale files be
    mixed with new ones when training comes by that step again.
    """
    complete = [path for path in list_checkpoints(trainer) if is_complete(path)]
    last = complete[-1] if complete else None
    for path in list_checkpoints(trainer):
        if last is None or step_of(path) > step_of(last):
            shutil.rmtree(path)
    return last


def history(checkpoint: Path) -> list[dict[str, Any]]:
    """The Trainer's log up to a checkpoint."""
    entries: list[dict[str, Any]] = read_json(checkpoint / "trainer_state.json")["log_history"]
    return entries


def is_finished(trainer: Path) -> bool:
    """Whether the last complete checkpoint is that of the run's last step.

    The Trainer, resumed there, would take one step more before it notices.
    """
    last = last_complete(trainer)
    if last is None:
        return False
    state = read_json(last / "trainer_state.json")
    return bool(state["global_step"] >= state["max_steps"])


def best_step(entries: list[dict[str, Any]]) -> int | None:
    """Step of the lowest validation loss, the earliest of equals."""
    losses = [(e["eval_loss"], e["step"]) for e in entries if "eval_loss" in e]
    return min(losses)[1] if losses and all(math.isfinite(loss) for loss, _ in losses) else None


def prune(trainer: Path, keep_best: bool) -> None:
    """Delete what neither resuming nor publishing needs.

    The last complete checkpoint stays whole; the best one before it keeps its weights, without
    the optimiser states, which are the larger part.
    """
    last = last_complete(trainer)
    if last is None:
        return
    best = best_step(history(last)) if keep_best else None
    for path in list_checkpoints(trainer):
        if path == last:
            continue
        if step_of(path) != best:
            shutil.rmtree(path)
            continue
        # The marker goes first: from here on this is no checkpoint to resume from.
        (path / _COMPLETE).unlink(missing_ok=True)
        for part in list(path.iterdir()):
            if part.is_dir():
                shutil.rmtree(part)
            elif not part.name.startswith(_WEIGHTS):
                part.unlink()

"""From a finished run's scratch to a published checkpoint, all at once or not at all."""

import json
import logging
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.checkpoint.finalize import copy_side_files, finalize
from mixmerge.checkpoint.tensors import check_finite, check_same_tensors
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_json, write_json
from mixmerge.sft.checkpoints import best_step, history, last_complete, step_of
from mixmerge.sft.encoding import Encoder
from mixmerge.sft.examples import Counts
from mixmerge.sft.job import PACKAGES, Job, was_resumed
from mixmerge.sft.weights import write_weights

logger = logging.getLogger(__name__)

#: Name of the published training log.
TRAINING = "training.json"


def publish(job: Job, encoder: Encoder, counts: dict[str, Counts]) -> None:
    """Write ``job.out``: weights, config, tokenizer with its template, training log, manifest.

    Args:
        job: whose training has come to its end.
        encoder: for the chat template and the stop tokens.
        counts: of both splits, for the training log.

    Raises:
        UserError: a tensor is missing, has another shape than the base's, or is not finite.
    """
    last = last_complete(job.trainer)
    if last is None:
        raise UserError(f"{job.trainer}: holds no complete checkpoint; training did not end well")
    entries = history(last)
    chosen = step_of(last)
    if job.settings.checkpoint == "best":
        chosen = best_step(entries) or chosen
    with atomic_dir(job.out) as target:
        write_weights(
            job.base, job.trainer / f"checkpoint-{chosen}", target, job.settings.precision
        )
        _write_side_files(job, encoder, target)
        write_json(target / TRAINING, _training_log(entries, chosen, step_of(last), counts))
        check_same_tensors(target, job.base)
        check_finite(target)
        inputs = [job.base / MANIFEST, job.data / MANIFEST]
        if job.chat_template is not None:
            inputs.append(job.chat_template)
        finalize(
            target,
            inputs=inputs,
            settings=job.settings.model_dump(mode="json") | _circumstances(job),
            seed=job.seed,
            packages=PACKAGES,
        )
    logger.info("%s: published step %d of %d", job.out, chosen, step_of(last))


def _circumstances(job: Job) -> dict[str, Any]:
    """What a reader of the job's time must know; for provenance alone, as no weight hangs on it.

    Returns:
        ``device`` (as in the provenance of completions) and ``resumed``: whether this call found
        work of an interrupted one, which its own time does not cover.
    """
    import torch

    return {"device": "cuda" if torch.cuda.is_available() else "cpu", "resumed": was_resumed(job)}


def _write_side_files(job: Job, encoder: Encoder, target: Path) -> None:
    """The base's own files, with the precision, and the chat template if another was asked for."""
    template = job.chat_template
    copy_side_files(job.base, target, skip=() if template is None else ("chat_template.json",))
    config = read_json(target / "config.json")
    config.pop("torch_dtype", None)
    config["dtype"] = "bfloat16" if job.settings.precision == "bf16" else "float32"
    _write_ordered(target / "config.json", config)
    if not (target / "generation_config.json").exists():
        stops = sorted(encoder.stops)
        write_json(
            target / "generation_config.json",
            {"eos_token_id": stops[0] if len(stops) == 1 else stops},
        )
    if template is not None:
        (target / "chat_template.jinja").write_bytes(template.read_bytes())
        tokenizer = read_json(target / "tokenizer_config.json")
        if tokenizer.pop("chat_template", None) is not None:
            _write_ordered(target / "tokenizer_config.json", tokenizer)


def _write_ordered(path: Path, value: Any) -> None:
    """Write JSON with the keys as they came, so that the file stays comparable to the base's."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _training_log(
    entries: list[dict[str, Any]], chosen: int, last: int, counts: dict[str, Counts]
) -> dict[str, Any]:
    """What a reader wants to know of a run, without times: a function of inputs and seed."""
    return {
        "steps": last,
        "chosen_step": chosen,
        "train": [
            {
                "step": entry["step"],
                "epoch": entry["epoch"],
                "loss": entry["loss"],
                "learning_rate": entry["learning_rate"],
                "grad_norm": entry.get("grad_norm"),
            }
            for entry in entries
            if "loss" in entry
        ],
        "validation": [
            {"step": entry["step"], "loss": entry["eval_loss"]}
            for entry in entries
            if "eval_loss" in entry
        ],
        "examples": {name: count.examples for name, count in counts.items()},
        "dropped": {name: count.dropped for name, count in counts.items()},
        "tokens": {name: count.tokens for name, count in counts.items()},
        "answer_tokens": {name: count.answer_tokens for name, count in counts.items()},
        "rows": {name: count.rows for name, count in counts.items()},
    }

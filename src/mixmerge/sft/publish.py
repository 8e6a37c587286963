"""From a finished run's scratch to a published checkpoint: weights cast, folded, in shards."""

import json
import logging
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, publish
from mixmerge.checkpoint.architecture import check_same_tensors
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import copy_side_files, finish_files
from mixmerge.checkpoint.tensors import SHARD_BYTES, check_finite, load_tensors
from mixmerge.core.io import read_json, write_json
from mixmerge.sft.adapters import fold_adapters
from mixmerge.sft.examples import Counts
from mixmerge.sft.job import PACKAGES, STATE, Job, best_step

logger = logging.getLogger(__name__)


def publish_run(job: Job, stops: list[int], counts: dict[str, Counts], resumed: bool) -> None:
    """Write ``job.out``: weights, config, tokenizer with its template, training log, manifest.

    ``stops`` end an answer; ``resumed`` is whether an interrupted call did a part of the work.
    """
    import torch

    assert job.last is not None, "training has ended"
    entries = read_json(job.last / STATE)["log_history"]
    best = best_step(entries) if job.settings.checkpoint == "best" else None
    chosen = best or job.step
    # For whoever reads the job's time: it lacks that of interrupted calls. No weight hangs on it.
    call = {"device": "cuda" if torch.cuda.is_available() else "cpu", "resumed": resumed}
    half = job.settings.precision == "bf16"
    with publish(
        job.out,
        "checkpoint",
        inputs=[job.base / MANIFEST, job.data / MANIFEST],
        settings=job.settings.model_dump(mode="json") | call,
        seed=job.seed,
        packages=PACKAGES,
    ) as made:
        target, weights = made.path, job.trainer / f"checkpoint-{chosen}"
        write_weights(job.base, weights, target, torch.bfloat16 if half else torch.float32)
        copy_side_files(job.base, target)
        config = read_json(target / "config.json")
        config.pop("torch_dtype", None)
        config["dtype"] = "bfloat16" if half else "float32"
        # Keys stay in their order, so that the file stays comparable to the base's.
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (target / "config.json").write_text(text, encoding="utf-8")
        if not (target / "generation_config.json").exists():
            ids = stops[0] if len(stops) == 1 else stops
            write_json(target / "generation_config.json", {"eos_token_id": ids})
        columns = ("step", "epoch", "loss", "learning_rate", "grad_norm")
        validation = [entry for entry in entries if "eval_loss" in entry]
        # What a reader wants to know of a run, without times: a function of inputs and seed.
        log: dict[str, Any] = {
            "steps": job.step,
            "chosen_step": chosen,
            "train": [{name: e.get(name) for name in columns} for e in entries if "loss" in e],
            "validation": [{"step": e["step"], "loss": e["eval_loss"]} for e in validation],
        }
        for count in counts["train"]:
            log[count] = {split: of_split[count] for split, of_split in counts.items()}
        write_json(target / "training.json", log)
        check_finite(target)
        made.facts.update(finish_files(target))
    logger.info("%s: published step %d of %d", job.out, chosen, job.step)


def write_weights(base: Path, checkpoint: Path, target: Path, dtype: Any) -> None:
    """Write the weights of the Trainer's ``checkpoint``, in the base's names, in shards.

    Where they are adapters they are folded into the base's.
    """
    from huggingface_hub import save_torch_state_dict

    if (checkpoint / "adapter_model.safetensors").exists():
        weights = fold_adapters(base, checkpoint, dtype)
    else:
        check_same_tensors(checkpoint, base)
        weights = load_tensors(read_index(checkpoint))
    # A tied output layer is stored or not as the library likes; it goes with the embedding.
    names = sorted(weights.keys() & read_index(base).keys())
    state = {name: weights.pop(name).to(dtype).contiguous() for name in names}
    save_torch_state_dict(state, target, max_shard_size=SHARD_BYTES)

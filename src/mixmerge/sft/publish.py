"""From a finished run's scratch to a published checkpoint: weights cast, folded, in shards."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.checkpoint.finalize import copy_side_files, finalize
from mixmerge.checkpoint.index import INDEX, SINGLE, TensorInfo, read_index
from mixmerge.checkpoint.tensors import HEAD, check_finite, check_same_tensors
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_json, write_json
from mixmerge.sft.encoding import Encoder
from mixmerge.sft.examples import Counts, Prepared
from mixmerge.sft.job import PACKAGES, Job, was_resumed
from mixmerge.sft.resume import best_step, history, last_complete, step_of

logger = logging.getLogger(__name__)

#: Name of the published training log.
TRAINING = "training.json"

#: Bytes a shard; bounds the memory of writing one, and of whoever reads the shards one by one.
SHARD_BYTES = 2_000_000_000
_ADAPTER = "adapter_model.safetensors"
_PREFIX = "base_model.model."


def publish(job: Job, encoder: Encoder, prepared: Prepared) -> None:
    """Write ``job.out``: weights, config, tokenizer with its template, training log, manifest.

    Args:
        job: whose training has come to its end.
        encoder: for the chat template and the stop tokens.
        prepared: with the counts of both splits, for the training log.

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
    import torch

    # For whoever reads the job's time; no weight hangs on it. An interrupted run's own time is not
    # in that of the call that resumed it.
    call = {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "resumed": was_resumed(job),
    }
    with atomic_dir(job.out) as target:
        write_weights(
            job.base, job.trainer / f"checkpoint-{chosen}", target, job.settings.precision
        )
        _write_side_files(job, encoder, target)
        write_json(
            target / TRAINING, _training_log(entries, chosen, step_of(last), prepared.splits)
        )
        check_same_tensors(target, job.base)
        check_finite(target)
        inputs = [job.base / MANIFEST, job.data / MANIFEST]
        if job.chat_template is not None:
            inputs.append(job.chat_template)
        finalize(
            target,
            inputs=inputs,
            settings=job.settings.model_dump(mode="json") | call,
            seed=job.seed,
            packages=PACKAGES,
        )
    logger.info("%s: published step %d of %d", job.out, chosen, step_of(last))


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
        **{
            field.name: {name: getattr(count, field.name) for name, count in counts.items()}
            for field in fields(Counts)
        },
    }


def write_weights(base: Path, checkpoint: Path, target: Path, precision: str) -> None:
    """Write the weights of a Trainer checkpoint in the base's names and order.

    Args:
        base: gives the names, and under LoRA the weights that the adapters are added to.
        checkpoint: ``checkpoint-N`` of the Trainer, with full weights or adapters.
        target: directory that gets ``model.safetensors``, or shards and their index.
        precision: ``bf16`` or ``fp32``.

    Raises:
        UserError: a tensor of the base that the checkpoint lacks, or an adapter without a target.
    """
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    index = read_index(base)
    if (checkpoint / _ADAPTER).exists():
        read = _folding_reader(index, checkpoint)
    else:
        read = _reader(read_index(checkpoint), checkpoint)
        # A tied output head is stored or not as the library likes; it goes with the embedding.
        if HEAD in index and HEAD not in read_index(checkpoint):
            del index[HEAD]
    _write_shards(target, ((name, read(name).to(dtype).contiguous()) for name in index))


def _reader(index: dict[str, TensorInfo], where: Path) -> Callable[[str], Any]:
    from safetensors import safe_open

    files: dict[Path, Any] = {}

    def read(name: str) -> Any:
        if name not in index:
            raise UserError(
                f"{where}: lacks tensor {name!r} of the base model; training saved an incomplete "
                "model. Delete the scratch directory and run again"
            )
        path = index[name].file
        if path not in files:
            files[path] = safe_open(path, framework="pt")
        return files[path].get_tensor(name)

    return read


def _folding_reader(index: dict[str, TensorInfo], checkpoint: Path) -> Callable[[str], Any]:
    """Read base weights with the adapters added: W + (alpha / r) B A, computed in fp32.

    Hu et al., LoRA, arXiv 2106.09685, equation 3.
    """
    from safetensors.torch import load_file

    config = read_json(checkpoint / "adapter_config.json")
    scale = config["lora_alpha"] / config["r"]
    factors = load_file(checkpoint / _ADAPTER)
    targets = {}
    for key in factors:
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            targets[stem.removeprefix(_PREFIX) + ".weight"] = stem
    used = {f"{stem}.lora_{side}.weight" for stem in targets.values() for side in "AB"}
    unmatched = sorted((set(targets) - set(index)) or (set(factors) - used))
    if unmatched or not targets:
        raise UserError(
            f"{checkpoint / _ADAPTER}: cannot be folded into the base: "
            f"{unmatched[0] if unmatched else 'it holds no adapter'}; check sft.lora.targets"
        )
    read_base = _reader(index, checkpoint)

    def read(name: str) -> Any:
        weight = read_base(name)
        if name not in targets:
            return weight
        a, b = (factors[f"{targets[name]}.lora_{side}.weight"].float() for side in "AB")
        return weight.float() + scale * (b @ a)

    return read


def _write_shards(target: Path, tensors: Iterator[tuple[str, Any]]) -> None:
    """Write tensors as they come, holding one shard in memory."""
    from safetensors.torch import save_file

    shards: list[list[str]] = []
    total = 0

    def write(shard: dict[str, Any]) -> None:
        save_file(shard, target / f"part-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(shard))

    shard: dict[str, Any] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > SHARD_BYTES:
            write(shard)
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
        total += tensor.nbytes
    write(shard)
    if len(shards) == 1:
        (target / "part-0").rename(target / SINGLE)
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        (target / f"part-{number}").rename(target / file)
        weight_map |= dict.fromkeys(names, file)
    write_json(target / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})

"""What merging and the statistics of weights take."""

from collections.abc import Mapping
from dataclasses import replace

from mixmerge.resources.estimate import Assumed
from mixmerge.resources.memory import width
from mixmerge.resources.sizes import Sizes
from mixmerge.resources.training import TORCH

#: MergeKit method -> seconds for a billion weights of two specialists, on two idle cores.
_SECONDS = {"linear": 10, "dare_linear": 56, "slerp": 30, "task_arithmetic": 20}

#: The same for all others, which sort or draw every weight (ties 231, della 228).
_SORTING = 230

#: Tokens of the largest vocabularies: with the width they bound the largest tensor.
_VOCABULARY = 152_000

#: Bytes of each element of the largest tensor: specialists, deltas, masks and order, in fp32.
_ELEMENT = 24

_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


def largest(parameters: int) -> float:
    """Elements of a model's largest tensor at most: its embedding table."""
    return min(parameters, _VOCABULARY * width(parameters))


def recipe(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A file of a few lines."""
    del sizes, wildcards
    return Assumed(1, 0, 100)


def merge(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A merged checkpoint, written shard by shard."""
    model, config = wildcards["model"], sizes.config
    node = sizes.study.variants[model][wildcards["variant"]]
    assert node.strategy is not None
    method = config.strategies[node.strategy].method
    count = len(sizes.study.merged(model, node.name))
    billions = sizes.parameters(model) / 1e9
    size = sizes.weights_mb(model, _BYTES[config.merging.dtype])
    seconds = _SECONDS.get(method, _SORTING) * billions * max(2, count) / 2
    seconds = seconds / config.hardware.merging_speed
    seconds += (count + 2) * size / config.hardware.disk_mb_s
    memory = TORCH + largest(sizes.parameters(model)) * _ELEMENT * max(2, count) / 2 / 1e6
    return Assumed(15, seconds, memory + 2 * config.merging.shard_bytes / 1e6, size + 20)


def layers(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Two checkpoints read and compared, tensor by tensor."""
    return _compared(sizes, wildcards["model"], 2)


def merged_layers(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """As `layers`, with the memory of a merge: weights that are gone are merged again."""
    found, again = layers(sizes, wildcards), merge(sizes, wildcards)
    return replace(found, memory=max(found.memory, again.memory), disk=again.disk + 1, kept=1)


def winner(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """One merge of a strategy, made again; which ratio's makes no difference."""
    model, strategy = wildcards["model"], wildcards["strategy"]
    variants = sizes.study.variants[model].values()
    name = next(v.name for v in variants if v.kind == "merge" and v.strategy == strategy)
    return merge(sizes, {"model": model, "variant": name})


def updates(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """All specialists and their base, read and compared."""
    return _compared(sizes, wildcards["model"], 1 + len(sizes.config.tasks))


def _compared(sizes: Sizes, model: str, count: int) -> Assumed:
    hardware = sizes.config.hardware
    billions = sizes.parameters(model) / 1e9
    seconds = 5 * count * billions / hardware.merging_speed
    seconds += count * sizes.weights_mb(model, 2) / hardware.disk_mb_s
    return Assumed(2, seconds, 300 + largest(sizes.parameters(model)) * 8 * count / 1e6)

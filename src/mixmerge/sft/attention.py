"""How a model's attention is computed in training: packed rows by a fast kernel where it is exact.

`forward_modes` lists what a model's class offers, fastest first; `ForwardPass` computes a batch in
one of them. `mixmerge.sft.trainer` takes the first that agrees with the model's own eager one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from itertools import pairwise, product
from types import MethodType
from typing import Any

import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.utils import TransformersKwargs
from trl.trainer.utils import FusedCausalLMOutput

from mixmerge.sft.encoding import IGNORED

#: Names under which transformers finds attention functions (`attn_implementation`).
SAMPLEWISE, FLASH, SDPA, EAGER = "mixmerge_samplewise", "flash_attention_2", "sdpa", "eager"
#: Options of attention functions that change nothing: a layer's window is in its mask as well.
_HARMLESS = {"sliding_window", "use_cache", "cache_position", *TransformersKwargs.__annotations__}
_HARMLESS.discard("is_causal")


class KernelMismatch(Exception):
    """A kernel does not compute what a model asks for; the message says what."""


@dataclass(frozen=True)
class ForwardMode:
    """A way to compute the log-probabilities of a batch."""

    kernel: str = EAGER  # `attn_implementation`
    whole: bool = True  # packed rows as they are; else their samples apart
    fused: bool = True  # TRL's output layer; else the model's own, with all logits in memory

    def __str__(self) -> str:
        apart = "" if self.whole else ", samples of packed rows apart, padded"
        output = "" if self.fused else ", the model's own output layer"
        return f"{self.kernel.removeprefix('mixmerge_')} attention{apart}{output}"


def forward_modes(model: Any, packing: bool, flash: bool) -> Iterator[ForwardMode]:
    """List what a model's class offers, fastest first; ``flash`` is whether it works here.

    A class that does not go through transformers' attention interface chose its attention when it
    was loaded: ``eager``, which all have.
    """
    kernels, apart = [], []
    if model._can_set_attn_implementation():
        apart = [SDPA] * model._supports_sdpa
        kernels = [FLASH] * (flash and model._supports_flash_attn) + [SAMPLEWISE]
    offered = product(kernels if packing else apart, [True])
    for kernel, whole in (*offered, (EAGER, True), *product([*apart, EAGER] * packing, [False])):
        yield from (ForwardMode(kernel, whole, fused) for fused in (True, False))


class ForwardPass:
    """ForwardPass pass of a model in one of its `forward_modes`, as TRL's trainer calls it."""

    def __init__(self, model: Any, pad: int) -> None:
        """``model`` has TRL's fused output layer; ``pad`` is any token."""
        self.way = ForwardMode()
        self.pad = pad
        self.model = model
        self.inner = model.forward
        accepted = signature(type(model).forward).parameters
        self._takes = {name for name, of in accepted.items() if of.kind != Parameter.VAR_KEYWORD}
        self._takes_all = len(self._takes) < len(accepted)
        model.forward = MethodType(lambda _, *args, **inputs: self(*args, **inputs), model)

    def set(self, way: ForwardMode) -> None:
        """Compute in another way; raises what transformers raises where the class lacks it."""
        if way.kernel != self.model.config._attn_implementation:
            self.model.set_attn_implementation(way.kernel)
        self.way = way

    def __call__(self, *args: Any, fused_lm_head: bool = False, **inputs: Any) -> Any:
        """The model's own output; with ``fused_lm_head`` the log-probabilities of the labels."""
        if not fused_lm_head:
            return self.inner(*args, **self._fitting(inputs))
        return (self._scored if self.way.whole else self._apart)(**inputs)

    def _fitting(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the model's own forward pass takes of the inputs."""
        taken = inputs if self._takes_all else inputs.keys() & self._takes
        return {name: inputs[name] for name in taken if inputs[name] is not None}

    def _scored(self, labels: Any, **inputs: Any) -> Any:
        """One pass over ``input_ids`` and ``labels`` (rows, tokens)."""
        inputs = self._fitting(inputs)
        if self.way.fused:
            return self.inner(**inputs, labels=labels, fused_lm_head=True)
        output, labels = self.inner(**inputs), labels[:, 1:]
        logits = output.logits[:, :-1].float().transpose(1, 2)
        losses = cross_entropy(logits, labels, reduction="none")
        return _output(-losses, labels, getattr(output, "aux_loss", None))

    def _apart(self, input_ids: Any, labels: Any, cu_seq_lens_q: Any, **inputs: Any) -> Any:
        """Each sample of a packed row for itself, those of like length in a batch, padded.

        No batch has more places than the row. What is per token is flat, in the row's order.
        """
        lengths, places = cu_seq_lens_q.diff().tolist(), input_ids.shape[1]
        ids, targets = (tensor[0].split(lengths) for tensor in (input_ids, labels))
        batches: list[list[int]] = []
        for sample in sorted(range(len(ids)), key=lambda sample: -lengths[sample]):
            if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > places:
                batches.append([])
            batches[-1].append(sample)
        options = {name: inputs.get(name) for name in ("use_cache", "output_router_logits")}
        scores: dict[int, Any] = {}
        auxiliary = torch.zeros((), device=labels.device)
        count = torch.tensor(len(batches), device=labels.device)
        if torch.distributed.is_initialized():  # all must take part in each pass, if for nothing
            torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MAX)
        for number in range(int(count)):
            batch, weight = batches[number % len(batches)], float(number < len(batches))
            output = self._scored(
                input_ids=pad_sequence([ids[i] for i in batch], True, self.pad),
                labels=pad_sequence([targets[i] for i in batch], True, IGNORED),
                attention_mask=pad_sequence([torch.ones_like(ids[i]) for i in batch], True),
                **options,
            )
            if output.aux_loss is not None:
                auxiliary = auxiliary + output.aux_loss * weight / len(batches)
            for i, row in zip(batch, output.log_probs, strict=True):
                scores[i] = scores.get(i, 0.0) + row[: lengths[i] - 1] * weight
        flat = torch.cat([scores[i] for i in range(len(ids))])
        return _output(flat, torch.cat([target[1:] for target in targets]), auxiliary)


def _output(log_probs: Any, labels: Any, auxiliary: Any) -> Any:
    """What TRL's trainer reads; entropies and hits, which are not shown, are 0."""
    none, mask = torch.zeros_like(log_probs), labels != IGNORED
    output = FusedCausalLMOutput(log_probs=log_probs, entropy=none, is_top1=none, label_mask=mask)
    output.aux_loss = none.sum() if auxiliary is None else auxiliary
    return output


@dataclass(frozen=True)
class SampleMask:
    """Which keys queries see within each sample of a packed row."""

    lengths: list[int]
    #: (queries, keys) of samples in which they don't see all keys before them: a window is shorter.
    narrower: dict[int, torch.Tensor]


def samplewise_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Any,
    attention_mask: Any = None,
    use_vmap: bool = False,
    device: Any = "cpu",
    **_: Any,
) -> SampleMask:
    """Find the samples of a packed row, and windows within, in the mask that a model asks for.

    Called by transformers' `create_causal_mask` and its like, which describe a mask by a function
    of query and key: a sample begins where a token does not see the one before it.
    """
    if batch_size != 1 or q_length != kv_length or attention_mask is not None or use_vmap:
        raise KernelMismatch("its rows do not come packed, or it has a mask of its own")
    at = torch.arange(q_length, device=device)
    zero = at.new_zeros(())

    def sees(queries: Any, keys: Any) -> Any:
        return mask_function(zero, zero, queries, keys)

    starts = (~sees(at[1:], at[:-1])).nonzero().flatten() + 1
    bounds = [0, *starts.tolist(), q_length]
    first, last = (torch.tensor(each, device=device) for each in (bounds[:-1], bounds[1:]))
    second = (first + 1).clamp(max=q_length - 1)
    is_causal = sees(last - 1, first) & ~(sees(first, second) & (first + 1 < last))
    narrower = {}
    for sample in (~is_causal).nonzero().flatten().tolist():
        part = at[bounds[sample] : bounds[sample + 1]]
        narrower[sample] = sees(part[:, None], part)
    return SampleMask([end - start for start, end in pairwise(bounds)], narrower)


def samplewise_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Any, None]:
    """Attention within each sample of a packed row, never across a boundary.

    transformers' ``sdpa`` would build a block-diagonal mask and compute all L x L scores of the
    row: at 8 rows of 512 tokens a training step takes 6 times as long on a CPU. FlashAttention's
    variable-length kernels do the same as this, and are used where they are installed.

    ``query`` is (1, heads, tokens, head size), ``key`` and ``value`` (1, key-value heads, tokens,
    head size), ``attention_mask`` what `samplewise_mask` made. Returns (1, tokens, heads, head
    size), and no weights. `KernelMismatch`: a model asks for more, as soft caps, sinks, biases.
    """
    if not isinstance(attention_mask, SampleMask):
        raise KernelMismatch("it has a mask of its own")
    if options.pop("is_causal", None) not in (None, True):
        raise KernelMismatch("is_causal=False")
    if more := sorted({name for name, v in options.items() if v is not None} - _HARMLESS):
        raise KernelMismatch(f"it passes {', '.join(more)}")
    samples = zip(
        *(states.split(attention_mask.lengths, 2) for states in (query, key, value)), strict=True
    )
    common: dict[str, Any] = {"dropout_p": dropout, "scale": scaling, "enable_gqa": True}
    outputs = []
    for number, sample in enumerate(samples):
        narrower = attention_mask.narrower.get(number)
        kernel = common | {"attn_mask": narrower, "is_causal": narrower is None}
        outputs.append(scaled_dot_product_attention(*sample, **kernel))
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(SAMPLEWISE, samplewise_attention)
AttentionMaskInterface.register(SAMPLEWISE, samplewise_mask)

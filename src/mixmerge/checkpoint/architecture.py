"""Between names in files and names in the model: what transformers builds from a config.

A model on the meta device has names, shapes, buffers and ties, but no weights: it takes a second.
transformers renames and packs what it reads (experts above all) and undoes that when it saves
(`transformers.core_model_loading`); what it saves is the form in which checkpoints are kept here.
"""

import json
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.index import TensorInfo, read_index
from mixmerge.checkpoint.tensors import raw_values, same_bytes
from mixmerge.core.errors import UserError, one_line
from mixmerge.core.io import read_json

#: The usual names, which spare asking the model: torch takes seconds to import.
HEAD = "lm_head.weight"
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")
#: The number of a layer in a name: `model.layers.7.mlp...`, `transformer.h.7.attn...`
LAYER = re.compile(r"(?:^|\.)(\d+)\.")
#: Buffers that older releases stored, beside those that transformers itself ignores.
_OLD_BUFFERS = re.compile(
    r"\.(?:inv_freq|position_ids|masked_bias|causal_mask|(?:cos|sin)_cached)$"
    r"|\.(?:attn|attention|self_attn|self_attention)\.bias$"
)


def _end(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def read_config(directory: Path, *, trusted: bool) -> Any:
    """A checkpoint's config as transformers reads it; `UserError` where it cannot.

    ``trusted`` lets code of the checkpoint's own run.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trusted
        )
    except Exception as error:  # a config may hold anything; each part of it refuses in its way
        problem = f"transformers cannot read it: {one_line(error, 300)}"
        way = "mend it, or make or fetch the checkpoint again"
        raise UserError(f"{directory / 'config.json'}: {problem}; {way}") from None


class Architecture:
    """The causal language model of a checkpoint's config, without weights."""

    def __init__(self, directory: Path, *, trusted: bool) -> None:
        """Build it; `UserError` where transformers cannot. ``trusted`` code of its own may run."""
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightConverter, revert_weight_conversion
        from transformers.initialization import no_init_weights

        self.file = directory / "config.json"
        read_json(self.file)  # says what is wrong with the file itself
        config = read_config(directory, trusted=trusted)
        try:
            with torch.device("meta"), no_init_weights():
                model = AutoModelForCausalLM.from_config(config, trust_remote_code=trusted)
            model.tie_weights()
        except Exception as error:  # a config may ask for anything
            problem = f"transformers builds no causal language model: {one_line(error, 300)}"
            raise UserError(f"{self.file}: {problem}; choose another model") from None
        self.model: Any = model
        self.name = type(model).__name__
        self.tied: dict[str, str] = dict(model.all_tied_weights_keys)  # a copy -> its source
        mapping = get_model_conversion_mapping(model)
        self._converters = [each for each in mapping if isinstance(each, WeightConverter)]
        self._renamings = [each for each in mapping if not isinstance(each, WeightConverter)]
        self._state: dict[str, Any] = model.state_dict()
        saved = revert_weight_conversion(model, self._state)
        own = {id(tensor): name for name, tensor in self._state.items()}
        #: Name in the model -> in a file, of tensors that are kept as they are.
        self.in_files = {own[id(t)]: name for name, t in saved.items() if id(t) in own}
        left_out = self._pattern(model._keys_to_ignore_on_save)
        copies = {self.in_files[name] for name in self.tied}
        #: Tensors that transformers would save, and their shapes.
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(tensor.shape)
            for name, tensor in saved.items()
            if name not in copies and not left_out.search(name)
        }

    @staticmethod
    def _pattern(patterns: Iterable[str] | None) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns or ()) or r"(?!)")

    @cached_property
    def input_layer(self) -> str:
        """The input embeddings' name in files."""
        return self._name_of(self.model.get_input_embeddings())

    @cached_property
    def output_layer(self) -> str:
        """The output layer's name in files; of tied ones too, which are not stored."""
        return self._name_of(self.model.get_output_embeddings())

    def _name_of(self, layer: Any) -> str:
        name = next((name for name, each in self.model.named_modules() if each is layer), None)
        return "" if name is None else self.in_files.get(f"{name}.weight", "")

    def loaded_as(self, name: str) -> str | None:
        """The model's tensor that a stored one becomes, or becomes a part of; None: it has none."""
        from transformers.core_model_loading import rename_source_key

        place = (self.model.base_model_prefix, self._state)
        renamed, _ = rename_source_key(name, self._renamings, self._converters, *place)
        if renamed not in self._state and name in self._state:
            renamed = name
        return renamed if renamed in self._state else None

    def names(self, index: dict[str, TensorInfo]) -> dict[str, str]:
        """Name of each stored tensor -> its name in a checkpoint that transformers would save.

        Buffers, and copies of tied tensors, have none. `UserError`: not this model's tensors.
        """
        prefix, names = f"{self.model.base_model_prefix}.", {}
        as_in_model = index.keys() <= self._state.keys()  # packed, by another tool
        ignored = self._pattern(self.model._keys_to_ignore_on_load_unexpected)
        buffers = {_end(name) for name, _ in self.model.named_buffers()}
        for name, info in index.items():
            spellings = (name, prefix + name, name.removeprefix(prefix))
            own = self.loaded_as(name)
            if as_in_model:
                names[name], shape = name, tuple(self._state[name].shape)
            elif found := next((each for each in spellings if each in self.shapes), None):
                names[name], shape = found, self.shapes[found]
            elif own is not None:  # a copy of a tied one, or packed as in the model
                names[name], shape = self.in_files.get(own, own), tuple(self._state[own].shape)
            elif ignored.search(name) or _OLD_BUFFERS.search(name) or _end(name) in buffers:
                continue
            else:
                raw_values(info)  # a quantised one is told first
                raise UserError(
                    f"{info.file}: tensor {name!r} is none of {self.name}, the model of "
                    f"{self.file}, and would be ignored; take weights and config from one revision"
                )
            if info.shape != shape:
                raise UserError(self._reshaped(info, names[name], shape))
        stored = {target: name for name, target in names.items()}
        for pair in self.tied.items():
            copy, source = pair if as_in_model else (self.in_files[name] for name in pair)
            if copy in stored and source not in stored:
                names[stored[copy]] = source
            elif copy in stored and same_bytes(index[stored[copy]], index[stored[source]]):
                del names[stored[copy]]
        self._check_whole({*names.values()})
        return names

    def _reshaped(self, info: TensorInfo, target: str, shape: tuple[int, ...]) -> str:
        rows = info.shape[0] if info.shape else 0
        size = self.model.config.get_text_config().vocab_size
        if target in (self.input_layer, self.output_layer) and rows != size:
            problem = f"vocab_size is {size}, but {info.name} in {info.file.name} has {rows} rows"
        else:
            problem = f"asks for shape {list(shape)} of {info.name!r}, but {info.file.name} has "
            problem += f"{list(info.shape)}"
        return f"{self.file}: {problem}; take config and weights from the same revision"

    def _check_whole(self, stored: set[str]) -> None:
        optional = self._pattern(self.model._keys_to_ignore_on_load_missing)
        packed = {name for name in stored if name not in self.shapes}
        missing = [name for name in self.shapes if name not in stored and not optional.search(name)]
        if packed:
            missing = [name for name in missing if self.loaded_as(name) not in packed]
        if not missing:
            return
        first = min(missing, key=lambda name: (name != self.output_layer, name))
        if first == self.output_layer:
            raise UserError(
                f"{self.file}: tie_word_embeddings is false, but {first} is not among the weights; "
                "set it to true if the model shares them, or fetch the missing tensor"
            )
        more = f" ({len(missing) - 1} more are missing)" if missing[1:] else ""
        raise UserError(
            f"{self.file.parent}: lacks tensor {first!r} of {self.name}, the model of its config"
            f"{more}; fetch or write the checkpoint again"
        )

    def saved(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The model's tensors as they stand in files: packed ones taken apart, in files' names."""
        from transformers.core_model_loading import revert_weight_conversion

        found: dict[str, Any] = revert_weight_conversion(self.model, tensors)
        return found


def embeddings(index: dict[str, TensorInfo]) -> TensorInfo | None:
    """The input embeddings' entry; where their name is none of the common ones, the model says."""
    if found := next((index[name] for name in EMBEDDINGS if name in index), None):
        return found
    return _found(index, "input_layer")


def output_layer(index: dict[str, TensorInfo]) -> str | None:
    """Name of the stored output layer; None where there is none, as the embeddings serve."""
    if HEAD in index:
        return HEAD
    source = embeddings(index)
    tables = [i for i in index.values() if source and i.shape == source.shape and i is not source]
    if not any(LAYER.search(info.name) is None for info in tables):
        return None
    found = _found(index, "output_layer")
    return found.name if found else None


def _found(index: dict[str, TensorInfo], layer: str) -> TensorInfo | None:
    """The entry of a layer by the word of the model, in whose directory the tensors lie.

    None for a model with code of its own, which is not run here.
    """
    directory = next(iter(index.values())).file.parent
    config = read_json(directory / "config.json")
    if config.get("auto_map"):
        return None
    model = _architecture(directory, json.dumps(config))
    wanted, names = getattr(model, layer), model.in_files
    return next((index[n] for n in index if names.get(model.loaded_as(n) or "") == wanted), None)


@lru_cache(4)
def _architecture(directory: Path, config: str) -> Architecture:
    """A checkpoint's model, built once for each content of its config."""
    return Architecture(directory, trusted=False)


def is_tied(directory: Path, index: dict[str, TensorInfo]) -> bool:
    """Whether a checkpoint's input and output embeddings are one tensor.

    Where the config does not say, it shows in whether an output layer is stored.
    """
    tied = read_json(directory / "config.json").get("tie_word_embeddings")
    return output_layer(index) is None if tied is None else bool(tied)


def without_tied_head(directory: Path, index: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Drop an output layer that repeats the bytes of tied embeddings: some tools store it twice.

    One that differs stays: transformers 5 loads such a checkpoint untied.
    """
    head = output_layer(index)
    if head is None or not is_tied(directory, index):
        return index
    source = embeddings(index)
    if source is None or not same_bytes(index[head], source):
        return index
    return {name: info for name, info in index.items() if name != head}


def parameter_count(directory: Path, index: dict[str, TensorInfo]) -> int:
    """Number of weights; tied ones count once."""
    return sum(info.size for info in without_tied_head(directory, index).values())


def check_same_tensors(directory: Path, like: Path) -> None:
    """Check that a checkpoint holds the tensors of another one in the same shapes, any dtype.

    Where both tie their embeddings, the output layer may be stored in one and left out in the
    other. `UserError` names the first missing, extra or reshaped tensor.
    """
    mine, theirs = read_index(directory), read_index(like)
    different = mine.keys() ^ theirs.keys()
    if len(different) == 1 and different <= {output_layer(mine), output_layer(theirs)}:
        different = set() if is_tied(directory, mine) and is_tied(like, theirs) else different
    if different:
        name = min(different)
        verb, more = "holds an extra" if name in mine else "lacks", len(different) - 1
        raise UserError(
            f"{directory}: {verb} tensor {name!r} compared with {like} ({more} more differ): not "
            "the same architecture, or saved incompletely. Write it again from the same base model"
        )
    for name in sorted(mine.keys() & theirs.keys()):
        if mine[name].shape != theirs[name].shape:
            raise UserError(
                f"{mine[name].file}: tensor {name!r} has shape {list(mine[name].shape)}, but "
                f"{list(theirs[name].shape)} in {theirs[name].file}; take checkpoints of one base"
            )

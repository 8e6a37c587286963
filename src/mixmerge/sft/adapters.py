"""LoRA: which modules can get adapters, and adapters folded into the weights that they stand by."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.architecture import Architecture
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import trusts_code
from mixmerge.core.errors import UserError, nearest, one_line
from mixmerge.sft.settings import Lora


def lora_config(lora: Lora) -> Any:
    """The adapters as peft configures them."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
    )


def check_targets(architecture: Architecture, lora: Lora, field: str = "sft.lora") -> None:
    """Check that each target can get adapters that can be folded; `UserError` where not.

    They are put on the architecture's model, which is of no other use afterwards.
    """
    import torch
    from peft import get_peft_model

    model, file = architecture.model, architecture.file
    unfit = {
        "output layer": (model.get_output_embeddings(), architecture.output_layer),
        "input embedding": (model.get_input_embeddings(), architecture.input_layer),
    }
    modules = {name: module for name, module in model.named_modules() if name}
    able = {
        name.rpartition(".")[2]
        for name, module in modules.items()
        if type(module).__name__ in ("Linear", "Conv1D") and module is not unfit["output layer"][0]
    }
    targets = [] if isinstance(lora.targets, str) else lora.targets
    for target in targets:
        hit = [modules[name] for name in _matching(target, modules)]
        for what, (layer, stored) in unfit.items():
            if layer in hit or _matching(f"{target}.weight", [stored]):
                problem = f"{target!r} is the {what} of {architecture.name} ({file})"
                raise UserError(f"{field}.targets: {problem}, which takes none here; leave it out")
    config, reason = lora_config(lora), ""
    try:
        tuner = get_peft_model(model, config).base_model
    except Exception as error:  # each kind of layer refuses in its way
        reached, reason = [], one_line(error, 200)
    else:
        reached = [*tuner.targeted_module_names, *tuner.targeted_parameter_names]
        # The others are packed in the model, where peft found them.
        targets = [target for target in targets if target in config.target_modules]
    for target in targets:
        if _matching(target, reached) or (reason and _matching(target, modules)):
            continue
        problem = f"is no module of {architecture.name} ({file})"
        if packed := _matching(f"{target}.weight", architecture.shapes):
            problem = f"is packed with others in {architecture.loaded_as(packed[0])!r} ({file})"
            problem += f", and peft puts no adapter there{reason and f': {reason}'}"
        raise UserError(f"{field}.targets: {target!r} {problem}{nearest(target, able)}")
    for name in reached:
        # Routers of some models are linear layers that return several things, which peft can't add.
        layer = modules.get(name)
        if isinstance(layer, torch.nn.Linear) and not isinstance(
            layer(torch.empty(1, layer.in_features, device="meta")), torch.Tensor
        ):
            reason = f"{name!r} returns more than a tensor; name `targets` without it"
    if reason:
        raise UserError(f"{field}: peft puts no adapters on {architecture.name} ({file}): {reason}")


def _matching(target: str, names: Iterable[str]) -> list[str]:
    """The names that a target means, as peft does."""
    return [name for name in names if name == target or name.endswith(f".{target}")]


def fold_adapters(base: Path, checkpoint: Path, dtype: Any) -> dict[str, Any]:
    """A base's weights with the adapters of a Trainer's ``checkpoint`` added, in files' names.

    W + (alpha / r) B A (Hu et al., LoRA, arXiv 2106.09685, equation 3), which peft adds up in fp32,
    a weight at a time, and which is then cast to ``dtype``.
    """
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM
    from transformers.core_model_loading import revert_weight_conversion
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # a training in this process may leave ZeRO-3 on: parts of weights
    stored = {info.dtype for info in read_index(base).values()}
    own = {"BF16": torch.bfloat16, "F16": torch.float16}
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=own.get(min(stored), torch.float32) if len(stored) == 1 else torch.float32,
        local_files_only=True,
        trust_remote_code=trusts_code(base),
        use_safetensors=True,
    )
    adapted = PeftModel.from_pretrained(model, checkpoint, local_files_only=True)
    for layer in [each for each in adapted.modules() if isinstance(each, LoraLayer)]:
        weight = getattr(layer.get_base_layer(), getattr(layer, "parameter_name", "weight"))
        weight.data = weight.data.float()
        layer.merge()
        weight.data = weight.data.to(dtype)
    adapted.unload()
    state = model.state_dict()
    for copy in model.all_tied_weights_keys:
        del state[copy]
    weights: dict[str, Any] = revert_weight_conversion(model, state)
    # Parts of packed ones share its memory, which safetensors refuses to write.
    return {name: t if name in state else t.clone() for name, t in weights.items()}

"""Reading a recipe, strictly: what MergeKit would ignore without a word is refused here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.config.document import read_yaml
from mixmerge.core.errors import UserError, nearest
from mixmerge.merge.methods import METHODS, Method
from mixmerge.merge.parameters import check_densities, check_place, find_method, scalars

#: Top-level keys that a recipe may have.
_KEYS = {
    "merge_method", "base_model", "models", "parameters", "dtype", "out_dtype", "chat_template",
    "mixmerge",
}  # fmt: skip

#: Keys that MergeKit knows and this workflow does not run, with the reason.
_REFUSED = {
    "slices": "models are merged whole; run mergekit-yaml by hand for slices",
    "modules": "models are merged whole; run mergekit-yaml by hand for modules",
    "tokenizer": "all models of a study share the base model's tokenizer; leave it out",
    "tokenizer_source": "all models of a study share the base model's tokenizer; leave it out",
}

_DTYPES = {"bfloat16", "float16", "float32"}

#: MergeKit's built-in chat templates (mergekit/_data/chat_templates) and its automatic choice.
TEMPLATES = {"auto", "alpaca", "chatml", "exaone", "llama3", "mistral"}


@dataclass(frozen=True)
class Recipe:
    """A recipe that passed all checks which need no weights."""

    path: Path
    """Its file."""

    text: str
    """The file's text; MergeKit keeps it beside the merged weights."""

    content: dict[str, Any]
    """Parsed YAML, valid for MergeKit."""

    models: list[Path]
    """Checkpoints that MergeKit reads, the base model included where it has one."""

    base: Path
    """Checkpoint whose config, tokenizer and chat template the merge gets."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe and check it against its method's contract.

    Raises:
        UserError: invalid YAML; an unknown or misplaced key or parameter; a value out of range;
            too many or too few models; weights that sum to 0; a model that is no directory.
    """
    content = read_yaml(path)
    text = path.read_text(encoding="utf-8-sig")
    try:
        return _check(path, text, content)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _check(path: Path, text: str, content: Any) -> Recipe:
    if not isinstance(content, dict):
        raise ValueError(f"expected a mapping, found {type(content).__name__}")
    if "merge_method" not in content:
        raise ValueError("merge_method: missing; name one of " + ", ".join(sorted(METHODS)))
    name = content["merge_method"]
    method = find_method(name)
    _check_keys(name, method, content)
    base = content.get("base_model")
    if base is not None:
        _check_path("base_model", base)
    models = _check_models(name, method, content, base)
    _check_counts(name, method, models, base)
    _check_weights(method, content)
    reference = _section(content).get("base") or base or models[0]
    _check_path("mixmerge.base", reference)
    inputs = models if base is None or base in models else [*models, base]
    return Recipe(path, text, content, [Path(model) for model in inputs], Path(reference))


def _check_keys(name: str, method: Method, content: dict[str, Any]) -> None:
    for key in content:
        if key in _REFUSED:
            raise ValueError(f"{key}: {_REFUSED[key]}")
        if key in _KEYS:
            continue
        if key in method.shared:
            raise ValueError(f"{key}: MergeKit ignores it here; put it under `parameters`")
        if key in method.per_model:
            raise ValueError(
                f"{key}: MergeKit ignores it here; put it under `parameters` of each model"
            )
        known = _KEYS | set(method.shared) | set(method.per_model)
        raise ValueError(f"unknown key {key!r}{nearest(str(key), known)}")
    for key in ("dtype", "out_dtype"):
        if content.get(key) is not None and content[key] not in _DTYPES:
            raise ValueError(f"{key}: {content[key]!r} is none of {', '.join(sorted(_DTYPES))}")
    template = content.get("chat_template")
    if template is not None and template not in TEMPLATES and "{" not in str(template):
        raise ValueError(
            f"chat_template: {template!r} is neither a Jinja template nor one of MergeKit's "
            f"({', '.join(sorted(TEMPLATES))}); MergeKit would write no tokenizer at all"
        )
    shared = _mapping("parameters", content.get("parameters"))
    # Given here, a model's parameter holds for all models.
    check_place(name, "parameters", shared, {**method.shared, **method.per_model}, "", {})
    check_densities(name, "parameters", shared)
    for key in method.required:
        if key not in shared:
            raise ValueError(f"parameters.{key}: {name!r} needs it and has no default")


def _check_models(
    name: str, method: Method, content: dict[str, Any], base: str | None
) -> list[str]:
    entries = content.get("models")
    if not isinstance(entries, list) or not entries:
        raise ValueError("models: expected a list of `- model: directory`")
    shared = _mapping("parameters", content.get("parameters"))
    found: list[str] = []
    for number, entry in enumerate(entries):
        where = f"models[{number}]"
        for key in _mapping(where, entry):
            if key not in ("model", "parameters"):
                if key in method.per_model:
                    raise ValueError(
                        f"{where}.{key}: MergeKit ignores it here; put it under `parameters`"
                    )
                hint = nearest(str(key), {"model", "parameters"})
                raise ValueError(f"{where}: unknown key {key!r}{hint}")
        model = entry.get("model")
        _check_path(f"{where}.model", model)
        if model in found:
            raise ValueError(f"{where}.model: {model} is listed twice")
        given = _mapping(f"{where}.parameters", entry.get("parameters"))
        place = f"{where}.parameters"
        check_place(
            name, place, given, method.per_model, "parameters at the top level", method.shared
        )
        check_densities(name, place, {**shared, **given})
        if model == base and method.base != "ignored" and given:
            raise ValueError(f"{place}: {name!r} ignores parameters of its base model; remove them")
        needs = method.weighted and (model != base or method.base == "ignored")
        if needs and "weight" not in {**shared, **given}:
            raise ValueError(f"{place}.weight: {name!r} needs it and has no default")
        found.append(model)
    return found


def _check_counts(name: str, method: Method, models: list[str], base: str | None) -> None:
    if method.base == "required" and base is None:
        raise ValueError(f"base_model: {name!r} needs one; name the model it starts from")
    if method.base == "ignored" and base is not None and base not in models:
        # MergeKit would add it to the models by itself.
        raise ValueError(
            f"base_model: {name!r} has none, and MergeKit would merge {base} in; "
            "name it under `mixmerge: {base: ...}` instead"
        )
    others = len([model for model in models if model != base])
    inputs = others + (1 if base is not None else 0)
    for count, least, most, noun in (
        (inputs, method.min_inputs, method.max_inputs, "models"),
        (others, method.min_others or 0, method.max_others, "models beside the base model"),
    ):
        if count < least or (most is not None and count > most):
            wanted = f"at least {least}" if count < least else f"at most {most}"
            raise ValueError(f"models: {name!r} takes {wanted} {noun}, found {count}")


def _check_weights(method: Method, content: dict[str, Any]) -> None:
    """Refuse plain weights that sum to 0: linear then divides by 0, the others do nothing."""
    if not method.weighted:
        return
    shared = _mapping("parameters", content.get("parameters"))
    total = 0.0
    for entry in content["models"]:
        given = {**shared, **_mapping("parameters", entry.get("parameters"))}
        # A gradient or a filter counts as a whole: it is 0 only if it is 0 everywhere.
        total += max((float(value) for value in scalars(given.get("weight", 0.0))), default=0.0)
    if total == 0:
        raise ValueError("models: the weights sum to 0; the merge would be undefined")


def _check_path(where: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: expected a checkpoint directory, found {value!r}")
    if "+" in value or "@" in value:
        raise ValueError(f"{where}: MergeKit cannot read paths with + or @: {value}")
    if not Path(value).is_dir():
        raise ValueError(
            f"{where}: no such directory: {value} (seen from {Path.cwd()}); models of the hub are "
            "fetched by the snapshot rule, not here"
        )


def _section(content: dict[str, Any]) -> dict[str, Any]:
    section = _mapping("mixmerge", content.get("mixmerge"))
    for key in section:
        if key != "base":
            raise ValueError(f"mixmerge: unknown key {key!r}{nearest(str(key), {'base'})}")
    return section


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a mapping, found {value!r}")
    return value

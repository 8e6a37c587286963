"""Strategies against their methods' contracts, and the recipes that follow from them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mixmerge.merge.recipe import build_recipe, render_recipe
from mixmerge.merge.settings import METHODS, NUMBER, TYPES, MergeMethod, RecipeSettings, Strategy

CASES = yaml.safe_load(Path(__file__).with_name("refusals_of_strategies.yaml").read_text("utf-8"))


def settings(method: str, **changed: Any) -> RecipeSettings:
    """One merge of two specialists, a and b; keywords are merged in."""
    weighted = METHODS[method].weighted or method == "slerp"
    defaults: dict[str, Any] = {
        "method": method,
        "weights": {"one": 0.3, "two": 0.7} if weighted else None,
        "base": "base",
        "specialists": {"one": "a", "two": "b"},
    }
    return RecipeSettings.model_validate({**defaults, **changed})


def test_table_is_mergekits_registry() -> None:
    from mergekit.merge_methods.registry import registered_methods

    theirs, types = {}, {}
    for method in registered_methods():
        spec, contract = method.spec, method.spec.contract
        names = (spec.shared_parameters, spec.input_parameters)
        required = {p.name for p in spec.shared_parameters if p.required}
        least = (contract.min_inputs, contract.max_inputs)
        others = (contract.min_non_base, contract.max_non_base)
        parameters = tuple({p.name for p in group} for group in names)
        theirs[spec.name] = (contract.base.value, *least, *others, *parameters, required)
        for parameter in spec.parameters:
            if parameter.value_type in (bool, int, float):
                types[parameter.name] = parameter.value_type
    ours = {}
    for name, m in METHODS.items():
        numbers = (m.min_inputs, m.max_inputs, m.min_others, m.max_others)
        ours[name] = (m.base, *numbers, set(m.shared), set(m.per_model), set(m.required))
        for parameter in {*m.shared, *m.per_model} & types.keys():
            assert TYPES.get(parameter, NUMBER).__origin__ is types[parameter], parameter
    assert theirs == ours


def test_recipe_text_names_each_weight() -> None:
    chosen = settings("ties", model_parameters={"density": 0.5}, parameters={"lambda": 1.3})
    text = render_recipe(chosen)
    assert "# one: weight 0.3 (a)" in text and "# two: weight 0.7 (b)" in text
    assert yaml.safe_load(text) == {
        "merge_method": "ties",
        "base_model": "base",
        "models": [
            {"model": "a", "parameters": {"weight": 0.3, "density": 0.5}},
            {"model": "b", "parameters": {"weight": 0.7, "density": 0.5}},
        ],
        "parameters": {"lambda": 1.3},
        "dtype": "bfloat16",
        "out_dtype": "bfloat16",
    }


def test_linear_lists_the_base_with_weight_0() -> None:
    recipe = build_recipe(settings("linear"))
    assert recipe["base_model"] == "base"
    assert recipe["models"][-1] == {"model": "base", "parameters": {"weight": 0.0}}


def test_slerp_goes_from_the_first_task_to_the_second() -> None:
    recipe = build_recipe(settings("slerp"))
    assert recipe["base_model"] == "a" and recipe["models"] == [{"model": "b"}]
    assert recipe["parameters"] == {"t": 0.7}
    assert recipe["mixmerge"] == {"base": "base"}
    other = build_recipe(settings("slerp", pivot="two"))
    assert other["base_model"] == "b" and other["parameters"] == {"t": 0.3}
    alone = build_recipe(settings("slerp", specialists={"one": "a"}, weights={"one": 0.4}))
    assert alone["base_model"] == "base" and alone["parameters"] == {"t": 0.4}
    assert "mixmerge" not in alone


@pytest.mark.parametrize("path", ["home/u@host/base", "c++/base"])
def test_paths_that_mergekit_cannot_read(path: str) -> None:
    for place in ({"base": path}, {"specialists": {"one": path, "two": "b"}}):
        with pytest.raises(ValidationError, match="cannot read paths with"):
            settings("linear", **place)


RATIO: dict[str, Any] = {"ratios": [0.5]}


@pytest.mark.parametrize(
    ("method", "fields", "tasks", "message"),
    CASES["strategies"],
)
def test_strategies_that_do_not_fit_their_method_or_tasks(
    method: str, fields: dict[str, Any], tasks: str, message: str
) -> None:
    given = {"method": method, **fields}
    with pytest.raises(ValidationError, match=message):
        Strategy.model_validate({**given, "tasks": [*tasks]})
    if "ratio" not in message and "weights" not in message:
        with pytest.raises(ValueError, match=message):
            Strategy.model_validate(given).check_tasks([*tasks])


def test_numbers_of_tasks_that_fit() -> None:
    for method, tasks in (("slerp", "ab"), ("slerp", "a"), ("ties", "abc"), ("nuslerp", "ab")):
        Strategy(method=method, ratios=[0.5], tasks=[*tasks])
    Strategy(method="nearswap", parameters={"t": 0.1}, pivot="b", tasks=["a", "b"])


@pytest.mark.parametrize(
    ("method", "parameters", "model_parameters", "message"),
    CASES["parameters"],
)
def test_parameters_out_of_place_or_range(
    method: str, parameters: dict[str, Any], model_parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MergeMethod(method=method, parameters=parameters, model_parameters=model_parameters)


def test_gradients_and_filters_are_parameters_too() -> None:
    for density in ([0.1, 0.9], [{"filter": "mlp", "value": 0.2}, {"value": 0.8}]):
        MergeMethod(method="ties", model_parameters={"density": density})

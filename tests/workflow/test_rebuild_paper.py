"""Change this: so many jobs run again. The paper's grid, by dry run on a study that looks finished.

See tests/workflow/test_rebuild.py for what looks finished, and for the changes job by job.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rebuild_material import REPORT, Rebuild, counts, distribution, new_rebuild

from workflow_material import ROOT

pytestmark = pytest.mark.slow

Config = dict[str, Any]

#: Rules of the report, each once.
ONCE = dict.fromkeys(REPORT, 1)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Rebuild:
    """The paper's study, finished as it seems. Read-only."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    rebuild = new_rebuild(tmp_path_factory.mktemp("paper"), config)
    rebuild.touch()
    assert rebuild.planned() == set()
    return rebuild


@pytest.fixture
def copy(paper: Rebuild, tmp_path: Path) -> Rebuild:
    return paper.copy_to(tmp_path)


def merged(number: int, sweeps: int, models: int) -> dict[str, int]:
    """Jobs of so many merges of so many sweeps and models."""
    rules = ("merge", "merged_layers", "generate", "score")
    return dict.fromkeys(rules, number) | {"winner": sweeps, "uncertainty": models} | ONCE


def add_ratio(config: Config) -> None:
    ratios = [*config["strategies"]["dare"]["ratios"], 0.35]
    own: dict[str, list[float]] = {key: [] for key in config["strategies"]}
    own["dare"] = ratios
    config["models"]["qwen2.5-coder-1.5b"]["strategies"] = own


def change_density(config: Config) -> None:
    config["strategies"]["della"]["model_parameters"] = {"density": 0.6, "epsilon": 0.1}


def change_learning_rate(config: Config) -> None:
    model = config["models"]["qwen2.5-coder-7b"]
    model["sft"] = model["sft"] | {"learning_rate": 2.0e-6}


def change_suites_prompt(config: Config) -> None:
    config["suites"]["humaneval"]["prompt"] = "Go on:\n{problem}"


def add_model(config: Config) -> None:
    config["models"]["sixth"] = config["models"]["qwen2.5-coder-14b"] | {"title": "Sixth"}


CONFIGS: dict[str, tuple[Callable[[Config], object], dict[str, int]]] = {
    "one ratio of one method of one model": (add_ratio, {"recipe": 1} | merged(1, 1, 1)),
    "one method's density": (change_density, {"recipe": 36} | merged(36, 4, 4)),
    "one model's learning rate": (
        change_learning_rate,
        merged(36, 4, 1) | {"sft": 7, "layers": 7, "generate": 43, "score": 43, "updates": 1},
    ),
    "a suite's prompt": (
        change_suites_prompt,
        {"suite": 1, "ground_truth": 1, "generate": 181, "score": 181, "merge": 145}
        | {"winner": 17, "uncertainty": 5}
        | ONCE,
    ),
    "a model added": (
        add_model,
        {"snapshot": 1, "sft": 3, "recipe": 1, "layers": 3, "updates": 1}
        | merged(1, 1, 1)
        | {"generate": 5, "score": 5},
    ),
    "a model removed": (lambda config: config["models"].pop("deepseek-coder-7b"), ONCE),
}


@pytest.mark.parametrize("change", CONFIGS)
def test_config(copy: Rebuild, change: str) -> None:
    edit, expected = CONFIGS[change]
    config = copy.read_config()
    edit(config)
    copy.write_config(config)
    assert counts(copy.planned()) == expected


def test_the_merge_code(copy: Rebuild) -> None:
    copy.change_code("src/mixmerge/merge/execution.py", "\ndef ", "\nEXTRA = 1\n\n\ndef ")
    assert counts(copy.planned()) == {"recipe": 145} | merged(145, 17, 5)


def test_a_library_of_scoring(copy: Rebuild, tmp_path: Path) -> None:
    distribution(tmp_path / "site", "sacrebleu", "99.0")
    planned = copy.planned({"PYTHONPATH": str(tmp_path / "site")})
    assert counts(planned) == {"score": 181, "winner": 17, "uncertainty": 5} | ONCE

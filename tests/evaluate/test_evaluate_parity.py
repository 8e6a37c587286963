"""Verdicts on 563 real completions (Qwen2.5-Coder-1.5B): the published ones, at any load."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from load import busy

from fixtures.verdicts import rulings
from mixmerge.core.io import read_jsonl
from mixmerge.evaluate.extraction import solution
from mixmerge.evaluate.groundtruth import make_ground_truth
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, GroundTruthSettings
from mixmerge.evaluate.verdicts import Verdict, pass_at_1

pytestmark = pytest.mark.slow

CODE = CodeScoring(workers=2)
FILES = {"humaneval": "HumanEvalPlus.jsonl.gz", "mbpp": "MbppPlus-v0.1.0.jsonl.gz"}

#: Where verdicts may differ from those published in September 2024, and why. EvalPlus has since
#: compared these functions' outputs as sets, so that their order no longer counts.
SET_EQUALITY = {"Mbpp/2", "Mbpp/111", "Mbpp/232", "Mbpp/249", "Mbpp/579"}
#: EvalPlus's wall clock fails these by chance; by processor time they pass, as published.
WALL_CLOCK = {"Mbpp/61", "Mbpp/271", "Mbpp/389", "Mbpp/599"}
#: EvalPlus's 4 GB count what its own parent process maps; this passes, as published.
MEMORY = {"Mbpp/566"}
#: The published verdict is that of the completion as it stands, which ends in the middle of a
#: needless test; extraction leaves that out.
CUT_OFF = {"Mbpp/585"}

#: What a clock can decide: long sums of tests, tests just within or beyond a limit, endless loops.
TIME_SENSITIVE = {
    "humaneval": {15, 32, 39, 46, 55, 63, 147},
    "mbpp": {61, 67, 103, 123, 126, 260, 271, 295, 389, 406, 453, 566, 605, 739, 745, 752},
}

Solved = dict[str, tuple[bool, bool]]


@dataclass
class Suite:
    """A suite with its ground truth, and what was published about it."""

    truth: Path
    tasks: dict[str, dict[str, Any]]
    published: dict[str, dict[str, Any]]
    completions: dict[str, str]
    judging: CodeJudging

    def verdicts(self, programs: dict[str, str]) -> list[Verdict]:
        pairs = list(programs.items())
        found = rulings(pairs, self.tasks, self.truth, self.judging, CODE)
        return [Verdict(*p, *found.verdicts[p], p in found.timed_out) for p in pairs]

    def solutions(self) -> dict[str, str]:
        return {task: row["solution"] for task, row in self.published.items()}

    def extracted(self) -> dict[str, str]:
        return {
            task: solution(text, self.tasks[task]["entry_point"], self.tasks[task]["prompt"])
            for task, text in self.completions.items()
        }

    def differing(self, rows: list[Verdict]) -> set[str]:
        wanted = {
            task: (row["base_status"] == "pass", row["base_status"] == row["plus_status"] == "pass")
            for task, row in self.published.items()
        }
        found = {row.id: (row.base == "pass", row.base == row.plus == "pass") for row in rows}
        assert set(found) == set(wanted)
        return {task for task in wanted if found[task] != wanted[task]}


def prepared(name: str, real_data: Path, where: Path) -> Suite:
    problems = where / "problems.jsonl"
    with gzip.open(real_data / "benchmarks" / FILES[name], "rb") as file:
        problems.write_bytes(file.read())
    settings = GroundTruthSettings.model_validate({"dataset": name, "code": CODE.model_dump()})
    make_ground_truth(problems, where / "truth", settings)
    folder = real_data / "completions/qwen2.5-coder-1.5b-base"
    text = (folder / f"{name}-generated_eval_results.json").read_text(encoding="utf-8")
    return Suite(
        where / "truth",
        {row["id"]: row for row in read_jsonl(where / "truth/tasks.jsonl")},
        {task: rows[0] for task, rows in json.loads(text)["eval"].items()},
        {
            row["task_id"]: row["completion"]
            for row in read_jsonl(folder / f"{name}-generated.jsonl")
        },
        CodeJudging.model_validate({"dataset": name}),
    )


@pytest.fixture(scope="module")
def humaneval(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return prepared("humaneval", real_data, tmp_path_factory.mktemp("humaneval"))


@pytest.fixture(scope="module")
def mbpp(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return prepared("mbpp", real_data, tmp_path_factory.mktemp("mbpp"))


def percent(rows: list[Verdict]) -> tuple[float, float]:
    shares = pass_at_1(rows, plus=True)
    return round(100 * shares["base"], 1), round(100 * shares["plus"], 1)


@pytest.mark.parametrize("which", ["solutions", "extracted"])
def test_humaneval_equals_the_published_verdicts(humaneval: Suite, which: str) -> None:
    rows = humaneval.verdicts(getattr(humaneval, which)())
    assert len(rows) == 164
    assert humaneval.differing(rows) == set()
    assert percent(rows) == (43.9, 36.6)


@pytest.mark.parametrize("which", ["solutions", "extracted"])
def test_mbpp_equals_the_published_verdicts_but_for_these(mbpp: Suite, which: str) -> None:
    rows = mbpp.verdicts(getattr(mbpp, which)())
    assert len(rows) == 399
    differing = mbpp.differing(rows)
    # Mbpp/111 is one import after another, cut off, and fails by any oracle.
    assert differing == (SET_EQUALITY - {"Mbpp/111"}) | (CUT_OFF if which == "extracted" else set())
    assert not differing & (WALL_CLOCK | MEMORY)
    if which == "solutions":
        assert percent(rows) == (69.9, 59.1)


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_verdicts_do_not_depend_on_the_load(name: str, request: pytest.FixtureRequest) -> None:
    """What a clock can decide, and a sample; benchmarks/verdict_stability.py judges them all."""
    suite: Suite = request.getfixturevalue(name)
    numbers = TIME_SENSITIVE[name]
    programs = {
        task: text
        for position, (task, text) in enumerate(suite.solutions().items())
        if int(task.split("/")[1]) in numbers or position % 10 == 0
    }
    assert len(programs) > len(numbers)
    programs.pop("Mbpp/599", None)  # forty seconds of processor time a run
    calm = suite.verdicts(programs)
    for burners in (2, 6):
        with busy(burners):
            assert suite.verdicts(programs) == calm

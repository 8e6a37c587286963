"""Ground truth of code suites: made, read and refused; and what runs where."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import problem, truth, write_completions, write_problems
from fixtures.code_worlds import CASES, settings, texts
from judgebox import testcases
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl, write_jsonl
from mixmerge.evaluate.scoring import score


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    problems = [problem(number) for number in range(len(CASES))]
    return write_problems(tmp_path_factory.mktemp("code") / "suite", problems)


@pytest.fixture(scope="module")
def ground_truth(suite: Path) -> Path:
    return truth(suite, suite.parent / "truth")


def test_ground_truth_has_the_same_bytes_each_time(suite: Path, tmp_path: Path) -> None:
    sets = problem(
        0,
        canonical_solution="    return {str(n) for n in numbers}, 1j, [1.5]\n",
    )
    own = write_problems(tmp_path / "suite", [sets])
    for name in ("a", "b"):
        truth(own, tmp_path / name)
    assert (tmp_path / "a/manifest.json").read_bytes() == (
        tmp_path / "b/manifest.json"
    ).read_bytes()
    with testcases.TestCases(tmp_path / "a/tests/00000.tests") as sets:
        base = sets.read("base")
        assert list(base.expected(0, 2)) == [({"1", "2"}, 1j, [1.5]), ({"3"}, 1j, [1.5])]
        assert base.times == [0.0, 0.0]


def test_a_ground_truth_of_pickles_is_refused_and_not_run(
    suite: Path, ground_truth: Path, tmp_path: Path
) -> None:
    """As a whole by its index; a single file, should it come in another way, by its first bytes."""

    class Poison:
        def __reduce__(self) -> Any:
            return Path(tmp_path / "canary").write_text, ("run",)

    poison = pickle.dumps({"base": Poison()})
    old = tmp_path / "old"
    shutil.copytree(ground_truth, old)
    rows = list(read_jsonl(old / "tasks.jsonl"))
    (old / rows[0]["tests"]).write_bytes(poison)
    write_manifest(old, "groundtruth", read_manifest(ground_truth, "groundtruth")["facts"])
    completions = write_completions(
        tmp_path / "completions", {"s": dict.fromkeys(texts(), "x = 1")}
    )
    own = settings(s={"kind": "code"})
    with pytest.raises(UserError, match=r"00000.tests: holds no tests in this .* run again"):
        score(completions, {"s": suite}, {"s": old}, None, tmp_path / "out", own)
    rows = [row | {"tests": row["tests"].replace(".tests", ".pickle")} for row in rows]
    write_jsonl(old / "tasks.jsonl", rows)
    write_manifest(old, "groundtruth", read_manifest(ground_truth, "groundtruth")["facts"])
    with pytest.raises(UserError, match=r"old: an earlier version made it, of pickles, .* again"):
        score(completions, {"s": suite}, {"s": old}, None, tmp_path / "out", own)
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"canonical_solution": "    return numbers.x\n"}, r"t/1: the canonical solution failed"),
        (
            {"canonical_solution": "    return print\n"},
            r"t/1: the canonical solution failed.*plain",
        ),
        (
            {"canonical_solution": "    import time\n    return time.time_ns()\n"},
            r"t/1: the canonical solution does not pass its own base tests",
        ),
        ({"canonical_solution": "    oops(\n"}, r"t/1: .*SyntaxError"),
        ({"base_input": []}, r"'t/1': base_input is empty"),
        ({"entry_point": 3}, r"'t/1': field 'entry_point' is int"),
        ({"task_id": "t/0"}, r"'t/0' comes twice"),
    ],
)
def test_a_bad_problem_is_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    suite = write_problems(tmp_path / "suite", [problem(0), problem(1, **changed)])
    with pytest.raises(UserError, match=message):
        truth(suite, tmp_path / "truth")
    assert not (tmp_path / "truth").exists()


def test_completions_that_are_not_the_suites_are_named(
    suite: Path, ground_truth: Path, tmp_path: Path
) -> None:
    own = settings(s={"kind": "code"})

    def attempt(answers: dict[str, str], extra: str = "") -> None:
        completions = write_completions(tmp_path / str(len(answers)), {"s": answers})
        with (completions / "s.jsonl").open("a", encoding="utf-8") as file:
            file.write(extra)
        write_manifest(completions, "completions")
        score(completions, {"s": suite}, {"s": ground_truth}, None, tmp_path / "out", own)

    # Any text will do: these are refused before anything is judged.
    answers = dict.fromkeys(texts(), "x")
    with pytest.raises(UserError, match=r"s.jsonl: 1 completions of ids .*not have: q/1"):
        attempt(answers | {"q/1": ""})
    row = {"id": "t/0", "completion": "", "stop_reason": "stop"}
    again = json.dumps(row | {"prompt_tokens": 1, "completion_tokens": 1}) + "\n"
    with pytest.raises(UserError, match=r"s.jsonl: 1 completions of ids that come twice: t/0"):
        attempt(answers, again)
    del answers["t/2"]
    with pytest.raises(UserError, match=r"s.jsonl: 1 completions missing: t/2"):
        attempt(answers)
    assert not (tmp_path / "out").exists()


def test_a_ground_truth_of_other_problems_is_refused(ground_truth: Path, tmp_path: Path) -> None:
    suite = write_problems(tmp_path / "suite", [problem(0)])
    completions = write_completions(tmp_path / "completions", {"s": {"t/0": "x"}})
    own = settings(s={"kind": "code"})
    with pytest.raises(UserError, match=r"truth: was made from another problems"):
        score(completions, {"s": suite}, {"s": ground_truth}, None, tmp_path / "out", own)

"""Code suites scored: what becomes of completions, and of programs that take too long."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import CODE, judged, problem, truth, write_completions, write_problems
from fixtures.forks import run_script
from judgebox.runtime import PACKAGES
from judgebox.workers import Request, Workers
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl
from mixmerge.evaluate.groundtruth import GroundTruth
from mixmerge.evaluate.scoring import Verdict, judge, programs_of, score
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, ScoreSettings
from mixmerge.evaluate.suite import Completion

pytestmark = pytest.mark.slow

RIGHT = "def total_{0}(numbers):\n    return sum(n for n in numbers if n > 0) + {0}\n"
CHATTY = f"""Sure! Here is the function you asked for.

```python
import math


def positive(n):
    return n > 0


{RIGHT.replace("if n > 0", "if positive(n)")}
if __name__ == "__main__":
    print(total_{{0}}([1, 2]))
```

It sums the positive numbers. Let me know if you need more."""
CATCHES_ALL = (
    "def total_{0}(numbers):\n    while True:\n        try:\n"
    "            for _ in range(10**12): pass\n        except BaseException: pass\n    return 1"
)

PASS, FAIL = ("pass", "pass"), ("fail", "fail")
HEAD = "def total_{0}(numbers):\n"
#: Completion -> base and plus verdict.
CASES = {
    "right": (RIGHT, PASS),
    "fenced, chatty, with helper and main block": (CHATTY, PASS),
    "a body below its prompt": ("    return sum(n for n in numbers if n > 0) + {0}\n", PASS),
    "nine hundred calls deep, as EvalPlus lets it": (
        "def total_{0}(numbers, deep=900):\n    if deep: return total_{0}(numbers, deep - 1)\n"
        "    return sum(n for n in numbers if n > 0) + {0}",
        PASS,
    ),
    "right on the base tests alone": (HEAD + "    return sum(numbers) + {0}", ("pass", "fail")),
    "wrong": (HEAD + "    return {0}", FAIL),
    "right below what asks for input, with a helper that returns nothing": (
        f"def add(out, n): out.append(n)\n\n{RIGHT.replace('sum(', 'total(')}\n"
        "def total(numbers):\n    out = []\n    for n in numbers: add(out, n)\n"
        "    return sum(out)\n\nprint(total_{0}([int(input())]))\n",
        PASS,
    ),
    "dies": (f"import ctypes\n{HEAD}    return ctypes.string_at(0)", FAIL),
    "loops": (HEAD + "    while True:\n        pass\n    return 1", FAIL),
    "catches every time-out": (CATCHES_ALL, ("timeout", "fail")),
    "empty": ("", FAIL),
    "white space": (" \n\t\n", FAIL),
    "no code": ("I cannot help with that.", FAIL),
    "an endless search": ("(\n#" + "x" * 11_000_000, FAIL),
    "deeply nested": ("(" * 5000, FAIL),
    "null byte": (HEAD + "    return '\0'", FAIL),
    "lone surrogate": (HEAD + "    return 'SURROGATE'", FAIL),
}
N = len(CASES)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    problems = [problem(number) for number in range(N)]
    return write_problems(tmp_path_factory.mktemp("code") / "suite", problems)


@pytest.fixture(scope="module")
def ground_truth(suite: Path) -> GroundTruth:
    return truth(suite, suite.parent / "truth")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What every request that workers are asked holds; they answer it as always."""
    requests: list[dict[str, Any]] = []
    answers = Workers.answers

    def noted(self: Workers, calls: Iterable[Request]) -> Any:
        calls = list(calls)
        requests.extend(call.keywords for call in calls)
        return answers(self, calls)

    monkeypatch.setattr(Workers, "answers", noted)
    return requests


def settings(**judging: Any) -> ScoreSettings:
    return ScoreSettings(code=CODE, suites={"s": CodeJudging(**judging)})


def test_each_kind_of_completion_gets_its_verdict(
    suite: Path, ground_truth: GroundTruth, tmp_path: Path
) -> None:
    """None is dropped; the one in which no program is found in time is named."""
    texts = {f"t/{i}": text.replace("{0}", str(i)) for i, (text, _) in enumerate(CASES.values())}
    completions = write_completions(tmp_path / "completions", {"s": texts})
    # Legal in JSON, though no UTF-8 holds it.
    file = completions / "s.jsonl"
    file.write_text(file.read_text().replace("SURROGATE", "\\ud800"))
    write_completions(completions, {})  # the manifest anew
    arguments = ["--completions", completions, "--suites", f"s={suite}", "--out", tmp_path / "out"]
    arguments += ["--groundtruth", f"s={ground_truth.directory}", "--processes", "2"]
    done = run_script("score.py", *arguments, "--settings", settings().model_dump_json())
    assert done.returncode == 0, done.stderr
    assert "in the completions of t/13; they count as failed" in done.stderr

    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    assert [row["id"] for row in rows] == list(texts)
    verdicts = {name: (row["base"], row["plus"]) for name, row in zip(CASES, rows, strict=True)}
    assert verdicts == {name: verdict for name, (_, verdict) in CASES.items()}
    assert "positive" in rows[1]["solution"] and "Sure" not in rows[1]["solution"]
    assert "__main__" not in rows[1]["solution"]
    assert rows[13]["solution"] == ""
    timed_out = [name for name, row in zip(CASES, rows, strict=True) if row["timed_out"]]
    assert timed_out == ["loops", "catches every time-out"]
    assert read_json(tmp_path / "out/scores.json")["s"] == {
        "n": N,
        "metrics": {"base": 6 / N, "plus": 5 / N},
        "extraction": "whole",
        "by_evalplus": {
            "programs": 1,
            "turned": {metric: {"passed": [], "failed": ["t/6"]} for metric in ("base", "plus")},
        },
        "stopped": (N - 1) / N,
        "completion_tokens": sum(map(len, texts.values())) / N,
        "not_extracted": ["t/13"],
        "timeouts": 2,
        "release": None,
    }
    facts = {"suites": {"s": N}, "releases": {"s": None}, "extractions": {"s": "whole"}}
    assert read_manifest(tmp_path / "out", "scores")["facts"] == facts
    said = "judged by extraction 'whole'; 'evalplus' takes 1 other programs of 17 and would turn"
    assert f"s: {said} 0 base verdicts to pass and 1 to fail, 0 plus" in done.stderr


def test_suites_are_judged_together_the_slowest_first(
    ground_truth: GroundTruth, asked: list[dict[str, Any]]
) -> None:
    rows = {
        id_: row | {"seconds": 100.0 * (id_ == "t/1")} for id_, row in ground_truth.tasks.items()
    }
    slow = GroundTruth(ground_truth.directory, ground_truth.judging, rows)
    right, wrong = RIGHT.format(0), "def total_0(numbers): return None"
    programs: dict[str, Any] = {
        "a": [("t/0", right)],
        "b": [("t/0", wrong), ("t/1", RIGHT.format(1)), ("t/2", " "), ("t/2", None)],
    }
    verdicts = judge(programs, {"a": ground_truth, "b": slow}, CODE)
    assert verdicts["a"] == [Verdict("t/0", right, "pass", "pass", False)]
    ends = ["fail", "pass", "fail", "fail"]
    assert [(row.base, row.plus) for row in verdicts["b"]] == [(end, end) for end in ends]
    assert asked[0]["program"].code == RIGHT.format(1)
    assert len(asked) == 3


#: Busy by the very clock that ends a test: the kernel counts it in ticks, which differ from
#: `time.process_time` by more than a tenth where many processes want few cores.
BUSY = """\
from signal import ITIMER_PROF, getitimer
def total_0(numbers):
    end = getitimer(ITIMER_PROF)[0] - {}
    while getitimer(ITIMER_PROF)[0] > end: pass
    return sum(numbers)
"""
#: Program -> base verdict, whether a clock failed it, and how often it is run; tests may take 1 s.
CLOCKS = {
    BUSY.format(0.8): ("pass", False, 1),
    BUSY.format(1.25): ("fail", True, 2),  # beside others that may have been their fault
    BUSY.format(100): ("fail", True, 1),
    CATCHES_ALL.replace("{0}", "0"): ("timeout", True, 2),
}
#: Wrong before a time-out is wrong, also where the interpreter never comes back.
WRONG = "def total_0(numbers):\n    if numbers == [3]:\n        sum(range(10**12))\n    return -1"


def test_what_takes_too_long(ground_truth: GroundTruth, asked: list[dict[str, Any]]) -> None:
    """What may be its neighbours' fault is run again, alone, before it counts."""
    code = CODE.model_copy(update={"min_time_limit": 1.0})
    *rows, wrong = judged([("t/0", text) for text in [*CLOCKS, WRONG]], ground_truth, code)
    assert (wrong.base, wrong.timed_out) == ("fail", False)
    runs = [
        [request["alone"] for request in asked if request["program"].code == text]
        for text in CLOCKS
    ]
    ends = [(row.base, row.timed_out, len(run)) for row, run in zip(rows, runs, strict=True)]
    assert ends == list(CLOCKS.values())
    assert {tuple(run) for run in runs} == {(False,), (False, True)}


def test_programs_may_import_what_judgebox_lets_them_by_default() -> None:
    assert tuple(CodeScoring().packages) == PACKAGES


def test_what_judgebox_refuses_is_the_users_error(
    ground_truth: GroundTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = [("t/0", RIGHT.format(0))]
    with pytest.raises(UserError, match=r"code_scoring.packages: 'no-such-thing' is not installed"):
        judged(programs, ground_truth, CODE.model_copy(update={"packages": ["no-such-thing"]}))
    monkeypatch.setenv("JUDGEBOX_BACKEND", "no-such-thing")
    with pytest.raises(UserError, match="no-such-thing"):
        judged(programs, ground_truth)


def test_a_suite_of_other_problems_than_the_ground_truths(
    ground_truth: GroundTruth, tmp_path: Path
) -> None:
    other = write_problems(tmp_path / "other", [problem(0)])
    completions = write_completions(tmp_path / "completions", {"s": {"t/0": "x"}})
    truths = {"s": ground_truth.directory}
    with pytest.raises(UserError, match=r"truth: was made from another problems"):
        score(completions, {"s": other}, truths, None, tmp_path / "out", settings())
    assert not (tmp_path / "out").exists()
    none = GroundTruth(tmp_path, CodeJudging(), {})
    with pytest.raises(UserError, match=r"has no tests for items of the suite: t/0; run the rules"):
        programs_of([Completion("t/0", "x", "stop", 1, 1)], none, CODE)

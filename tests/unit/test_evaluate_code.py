"""Code scoring: verdicts on problems made here, through the box; ground truth; errors."""

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from evaluate_material import CODE, problem, truth, write_completions, write_problems
from judging_material import rulings, verdicts_of
from mixmerge.errors import UserError
from mixmerge.evaluate import testset
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import CodeJudging, ScoreSettings
from mixmerge.evaluate.verdicts import Programs, judge
from mixmerge.evaluate.workers import Workers
from mixmerge.files import read_json, read_jsonl, write_jsonl
from mixmerge.manifest import read_manifest, write_manifest

SCORE = Path(__file__).parents[2] / "workflow/scripts/score.py"
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

#: Completion -> base and plus verdict.
CASES = {
    "right": (RIGHT, ("pass", "pass")),
    "fenced, chatty, with helper and main block": (CHATTY, ("pass", "pass")),
    "right on the base tests alone": (
        "def total_{0}(numbers):\n    return sum(numbers) + {0}",
        ("pass", "fail"),
    ),
    "wrong": ("def total_{0}(numbers):\n    return {0}", ("fail", "fail")),
    "other name": ("def total(numbers):\n    return 1", ("fail", "fail")),
    "raises": ("def total_{0}(numbers):\n    return numbers.total", ("fail", "fail")),
    "exits": ("import sys\ndef total_{0}(numbers):\n    return sys.exit(0)", ("fail", "fail")),
    "dies": (
        "import ctypes\ndef total_{0}(numbers):\n    return ctypes.string_at(0)",
        ("fail", "fail"),
    ),
    "loops": (
        "def total_{0}(numbers):\n    while True:\n        pass\n    return 1",
        ("fail", "fail"),
    ),
    "catches every time-out": (
        "def total_{0}(numbers):\n"
        "    while True:\n"
        "        try:\n"
        "            for _ in range(10**12): pass\n"
        "        except BaseException: pass\n"
        "    return 1",
        ("timeout", "fail"),
    ),
    "empty": ("", ("fail", "fail")),
    "white space": (" \n\n", ("fail", "fail")),
    "no code": ("I cannot help with that.", ("fail", "fail")),
    "deeply nested": ("(" * 5000, ("fail", "fail")),
    "null byte": ("def total_{0}(numbers):\n    return '\0'", ("fail", "fail")),
    "lone surrogate": ("def total_{0}(numbers):\n    return '\ud800'", ("fail", "fail")),
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    problems = [problem(number) for number in range(len(CASES))]
    return write_problems(tmp_path_factory.mktemp("code") / "suite", problems)


@pytest.fixture(scope="module")
def ground_truth(suite: Path) -> Path:
    return truth(suite, suite.parent / "truth")


def texts() -> dict[str, str]:
    return {f"t/{i}": text.replace("{0}", str(i)) for i, (text, _) in enumerate(CASES.values())}


def settings(**suites: Any) -> ScoreSettings:
    return ScoreSettings.model_validate({"code": CODE.model_dump(), "suites": suites})


def test_each_kind_of_completion_gets_its_verdict(
    suite: Path, ground_truth: Path, tmp_path: Path
) -> None:
    answers = texts()
    surrogate = [id_ for id_, text in answers.items() if "\ud800" in text]
    encoded = {id_: text for id_, text in answers.items() if id_ not in surrogate}
    completions = write_completions(tmp_path / "completions", {"s": encoded})
    with (completions / "s.jsonl").open("a", encoding="ascii") as file:
        for id_ in surrogate:
            row = {"id": id_, "completion": answers[id_], "stop_reason": "stop"}
            file.write(json.dumps(row | {"prompt_tokens": 9, "completion_tokens": 9}) + "\n")
    write_manifest(completions, "completions")
    judging = {"kind": "code", "plus": True, "dataset": "other"}
    score(
        completions, {"s": suite}, {"s": ground_truth}, None, tmp_path / "out",
        settings(s=judging),
    )  # fmt: skip

    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    assert [row["id"] for row in rows] == list(answers)
    found = {name: (row["base"], row["plus"]) for name, row in zip(CASES, rows, strict=True)}
    assert found == {name: verdicts for name, (_, verdicts) in CASES.items()}
    assert "positive" in rows[1]["solution"] and "Sure" not in rows[1]["solution"]
    assert "__main__" not in rows[1]["solution"]

    scores = read_json(tmp_path / "out/scores.json")["s"]
    n = len(CASES)
    assert scores["n"] == n
    assert scores["metrics"] == {"base": pytest.approx(3 / n), "plus": pytest.approx(2 / n)}
    assert scores["stopped"] == pytest.approx((n - 1) / n)
    assert scores["not_extracted"] == []
    assert scores["timeouts"] == 2
    timed_out = [name for name, row in zip(CASES, rows, strict=True) if row["timed_out"]]
    assert timed_out == ["loops", "catches every time-out"]
    facts = {"suites": {"s": n}, "releases": {"s": None}}
    assert read_manifest(tmp_path / "out", "scores")["facts"] == facts


def test_without_plus_tests(tmp_path: Path) -> None:
    bare = problem(0)
    del bare["plus_input"]
    suite = write_problems(tmp_path / "suite", [bare])
    made = truth(suite, tmp_path / "truth", plus=False)
    completions = write_completions(tmp_path / "completions", {"s": {"t/0": RIGHT.format(0)}})
    judging = {"kind": "code", "plus": False, "dataset": "other"}
    score(completions, {"s": suite}, {"s": made}, None, tmp_path / "out", settings(s=judging))
    (row,) = read_jsonl(tmp_path / "out/s.jsonl")
    assert (row["base"], row["plus"]) == ("pass", None)
    assert read_json(tmp_path / "out/scores.json")["s"]["metrics"] == {"base": 1.0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every request that workers are asked; they answer it as always."""
    seen: list[dict[str, Any]] = []
    answers = Workers.answers

    def noted(self: Workers, requests: Iterable[dict[str, Any]]) -> Any:
        requests = list(requests)
        seen.extend(requests)
        return answers(self, requests)

    monkeypatch.setattr(Workers, "answers", noted)
    return seen


def code_judging() -> CodeJudging:
    return CodeJudging(kind="code")


def test_equal_solutions_are_judged_once(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]]
) -> None:
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    text = RIGHT.format(0)
    verdicts = verdicts_of([("t/0", text)] * 3, tasks, ground_truth, code_judging(), CODE)
    assert verdicts == {("t/0", text): ("pass", "pass")}
    assert len(asked) == 1


def test_a_time_out_is_run_again_alone_before_it_counts(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]]
) -> None:
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    texts = [CASES["catches every time-out"][0].replace("{0}", "0"), RIGHT.format(0)]
    programs = [("t/0", text) for text in texts]
    verdicts = verdicts_of(programs, tasks, ground_truth, code_judging(), CODE)
    assert [verdicts[pair] for pair in programs] == [("timeout", "fail"), ("pass", "pass")]
    assert [request["code"] for request in asked].count(texts[0]) == 2
    assert asked[-1] == next(one for one in asked if one["code"] == texts[0]) | {"alone": True}


BUSY = """\
import time
def total_0(numbers):
    end = time.process_time() + {}
    while time.process_time() < end: pass
    return sum(numbers)
"""
#: Program -> verdicts, whether a clock failed it, and how often it is run; tests may take 1 s.
CLOCKS = {
    BUSY.format(0.8): ("pass", False, 1),
    BUSY.format(1.4): ("fail", True, 2),  # in time, had its neighbours cost it half of its speed
    BUSY.format(100): ("fail", True, 1),
    "def total_0(n):\n    try:\n        for _ in range(10**12): pass\n"
    "    except Exception: return -1":
        ("fail", True, 1),
    "def total_0(n):\n    try:\n        for _ in range(10**12): pass\n"
    "    except Exception: return sum(x for x in n if x > 0)":
        ("pass", False, 2),  # EvalPlus's exception, caught; beside others all tests took too long
}  # fmt: skip


@pytest.mark.parametrize("text", CLOCKS)
def test_what_takes_too_long(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]], text: str
) -> None:
    """A test that does not come back fails its program, as in EvalPlus, and that is told of."""
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    code = CODE.model_copy(update={"min_time_limit": 1.0})
    found = rulings([("t/0", text)], tasks, ground_truth, code_judging(), code)
    verdict, timed_out, runs = CLOCKS[text]
    assert found.verdicts["t/0", text][0] == verdict
    assert found.timed_out == ({("t/0", text)} if timed_out else set())
    assert [request.get("alone", False) for request in asked] == [False, True][:runs]


def test_suites_are_judged_together(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]]
) -> None:
    rows = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    slow = {id_: row | {"seconds": 100.0 * (id_ == "t/1")} for id_, row in rows.items()}
    wrong = "def total_{}(numbers): return None"
    given = {
        "a": Programs([("t/0", RIGHT.format(0))], rows, ground_truth, code_judging()),
        "b": Programs([("t/0", wrong.format(0)), ("t/1", RIGHT.format(1)), ("t/2", " ")],
                      slow, ground_truth, code_judging()),
    }  # fmt: skip
    found = judge(given, CODE)
    assert found["a"].verdicts == {("t/0", RIGHT.format(0)): ("pass", "pass")}
    assert found["b"].verdicts == {
        ("t/0", wrong.format(0)): ("fail", "fail"),
        ("t/1", RIGHT.format(1)): ("pass", "pass"),
        ("t/2", " "): ("fail", "fail"),
    }
    assert asked[0]["code"] == RIGHT.format(1)  # the slowest of all
    assert len(asked) == 3


def test_what_was_wrong_before_a_time_out_is_wrong(suite: Path, ground_truth: Path) -> None:
    """Also where the interpreter never gets the processor back, so that nothing can be sent."""
    text = (
        "def total_0(numbers):\n    if numbers == [3]:\n        sum(range(10**12))\n    return -1"
    )
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    verdicts = verdicts_of([("t/0", text)], tasks, ground_truth, code_judging(), CODE)
    assert verdicts == {("t/0", text): ("fail", "fail")}


SURROUNDINGS = """
import os

def total_0(numbers):
    os.write(1, b'{"verdicts": {"base": "pass", "plus": "pass"}}\\n')
    seen = [
        "A_TOKEN" not in os.environ,
        os.environ["HOME"] == os.environ["TMPDIR"] == "/tmp",
        os.environ["PYTHONHASHSEED"] == "0",
        os.readlink("/proc/self/cwd") == "/tmp",
        not os.path.exists(HERE),
        open is None,
    ]
    return sum(n for n in numbers if n > 0) if all(seen) else seen
"""


def test_checks_run_in_a_box_with_a_reduced_environment(
    suite: Path, ground_truth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    text = f"HERE = {str(ground_truth)!r}\n{SURROUNDINGS}"
    wrong = text.replace("not in os.environ", "in os.environ")
    programs = [("t/0", text), ("t/0", wrong)]
    verdicts = verdicts_of(programs, tasks, ground_truth, code_judging(), CODE)
    assert [verdicts[pair] for pair in programs] == [("pass", "pass"), ("fail", "fail")]


def test_where_no_sandbox_can_be_had_nothing_is_run(
    suite: Path, ground_truth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXMERGE_SANDBOX", "no-such-thing")
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    with pytest.raises(UserError, match="no-such-thing"):
        verdicts_of([("t/0", RIGHT.format(0))], tasks, ground_truth, code_judging(), CODE)


def test_recursion_has_the_headroom_of_evalplus(tmp_path: Path) -> None:
    """EvalPlus's own pool leaves 966 frames; a deep but finite recursion is judged alike."""
    deep = problem(
        0,
        prompt="def total_0(n):\n",
        canonical_solution="    return n\n",
        base_input=[[900], [965]],
        plus_input=[[1]],
    )
    suite = write_problems(tmp_path / "suite", [deep])
    made = truth(suite, tmp_path / "truth")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    judging = code_judging()
    fits = "def total_0(n):\n    return 0 if n == 0 else 1 + total_0(n - 1)"
    overflows = fits.replace("n == 0", "n == -5")
    verdicts = verdicts_of([("t/0", fits), ("t/0", overflows)], tasks, made, judging, CODE)
    assert verdicts["t/0", fits][0] == "pass"
    assert verdicts["t/0", overflows][0] == "fail"


def test_the_special_oracle_of_find_zero(tmp_path: Path) -> None:
    """Any zero will do, not just the canonical one; EvalPlus 0.3.1 itself fails them all."""
    zero = problem(
        0,
        prompt="def find_zero(xs):\n",
        entry_point="find_zero",
        canonical_solution="    return 2.0\n",
        base_input=[[[-4, 0, 1]]],
        plus_input=[[[-2, 1]]],
        atol=1e-4,
    )
    suite = write_problems(tmp_path / "suite", [zero])
    made = truth(suite, tmp_path / "truth", dataset="humaneval")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    judging = CodeJudging(kind="code", dataset="humaneval")
    other = "def find_zero(xs):\n    return -2.00001 if len(xs) == 3 else 2"
    wrong = "def find_zero(xs):\n    return 1.99"
    none = "def find_zero(xs):\n    return None"
    programs = [("t/0", text) for text in (other, wrong, none)]
    verdicts = verdicts_of(programs, tasks, made, judging, CODE)
    assert [verdicts[pair][0] for pair in programs] == ["pass", "fail", "fail"]


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
    with testset.Reader(tmp_path / "a/tests/00000.tests") as sets:
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


def by_script(
    suite: Path, ground_truth: Path, completions: Path, out: Path
) -> "subprocess.CompletedProcess[str]":
    """`score.py` as the rule calls it."""
    judging = {"kind": "code", "dataset": "other"}
    return subprocess.run(
        [
            *(sys.executable, str(SCORE), "--completions", str(completions)),
            *("--suites", f"s={suite}", "--groundtruth", f"s={ground_truth}", "--out", str(out)),
            *("--settings", settings(s=judging).model_dump_json(), "--processes", "2"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_bad_completions_through_the_script(
    suite: Path, ground_truth: Path, tmp_path: Path
) -> None:
    answers = dict.fromkeys(texts(), "x")
    row = {"completion": "", "stop_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
    cases = {
        "not have: q/1": (answers, "q/1"),
        "that come twice: t/0": (answers, "t/0"),
        "missing: t/2": ({id_: text for id_, text in answers.items() if id_ != "t/2"}, None),
    }
    for number, (message, (given, extra)) in enumerate(cases.items()):
        completions = write_completions(tmp_path / str(number), {"s": given})
        if extra:
            with (completions / "s.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row | {"id": extra}) + "\n")
            write_manifest(completions, "completions")
        done = by_script(suite, ground_truth, completions, tmp_path / "out")
        assert done.returncode == 1
        assert f"{completions / 's.jsonl'}: 1 completions " in done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out").exists()


def test_empty_and_endless_completions_count_as_failed(tmp_path: Path) -> None:
    """None is dropped; the one in which no program is found in time is named."""
    problems = [problem(number) for number in range(4)]
    suite = write_problems(tmp_path / "suite", problems)
    made = truth(suite, tmp_path / "truth")
    body = "    return sum(n for n in numbers if n > 0) + 3\n"
    given = {"t/0": "", "t/1": " \n\t\n", "t/2": "(\n" * 3000, "t/3": body}
    completions = write_completions(tmp_path / "completions", {"s": given})
    done = by_script(suite, made, completions, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    assert [row["id"] for row in rows] == list(given)
    assert [(row["base"], row["plus"]) for row in rows[:3]] == [("fail", "fail")] * 3
    assert (rows[3]["base"], rows[3]["plus"]) == ("pass", "pass")  # a body below its prompt
    assert rows[2]["solution"] == ""
    scores = read_json(tmp_path / "out/scores.json")["s"]
    assert scores["n"] == 4
    assert scores["metrics"] == {"base": 0.25, "plus": 0.25}
    assert scores["not_extracted"] == ["t/2"]
    assert "in the completions of t/2; they count as failed" in done.stderr


def judged_alone(text: str, tmp_path: Path, seconds: float) -> tuple[str, str | None]:
    suite = write_problems(tmp_path / "suite", [problem(0)])
    made = truth(suite, tmp_path / "truth")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    code = CODE.model_copy(update={"min_time_limit": seconds})
    return verdicts_of([("t/0", text)], tasks, made, CodeJudging(), code)["t/0", text]


def test_the_limit_is_processor_time(tmp_path: Path) -> None:
    """A program is neither failed by its neighbours nor by the time that it waits for them."""
    work = "import time\nEND = time.process_time() + {}\nwhile time.process_time() < END: pass\n"
    text = RIGHT.format(0).replace("    return", "    exec(WORK)\n    return")
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(4)]
    for burner in burners:
        burner.start()
    try:
        within = judged_alone(f"WORK = {work.format(0.3)!r}\n{text}", tmp_path / "a", 0.8)
        beyond = judged_alone(f"WORK = {work.format(1.2)!r}\n{text}", tmp_path / "b", 0.8)
    finally:
        for burner in burners:
            burner.kill()
            burner.join()
    assert within == ("pass", "pass")
    assert beyond == ("fail", "fail")


def burn() -> None:
    while True:
        pass


def test_a_program_that_only_sleeps_is_ended(tmp_path: Path) -> None:
    text = "import time\ndef total_0(numbers):\n    time.sleep(1000)\n    return 1"
    started = time.monotonic()
    assert judged_alone(text, tmp_path, 0.5) == ("timeout", "fail")
    assert time.monotonic() - started < 60
    short = RIGHT.format(0).replace("    return", "    __import__('time').sleep(0.2)\n    return")
    assert judged_alone(short, tmp_path / "short", 0.5) == ("pass", "pass")


def test_a_loop_that_swallows_exceptions_is_ended(tmp_path: Path) -> None:
    text = (
        "def spin():\n    while True:\n        pass\n"
        "def total_0(numbers):\n    while True:\n        try:\n            spin()\n"
        "        except BaseException:\n            pass\n    return 1"
    )
    assert judged_alone(text, tmp_path, 0.5) == ("timeout", "fail")


def test_a_program_that_draws_numbers_draws_the_same_ones(tmp_path: Path) -> None:
    """Those that the reference drew, which starts from the same state."""
    drawn = "random.random(), numpy.random.random()"
    own = problem(
        0,
        prompt="import random, numpy\ndef total_0(numbers):\n",
        canonical_solution=f"    return [{drawn}]\n",
    )
    suite = write_problems(tmp_path / "suite", [own])
    made = truth(suite, tmp_path / "truth")
    tasks = {row["id"]: row for row in read_jsonl(made / "tasks.jsonl")}
    same = f"import random, numpy\ndef total_0(n):\n    return [{drawn}]"
    other = f"import random, numpy\nrandom.random()\ndef total_0(n):\n    return [{drawn}]"
    programs = [("t/0", same), ("t/0", other)]
    verdicts = verdicts_of(programs, tasks, made, CodeJudging(), CODE)
    assert [verdicts[pair] for pair in programs] == [("pass", "pass"), ("fail", "fail")]

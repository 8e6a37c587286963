"""The clocks of code suites: what takes too long, and whose fault it is."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import CODE, problem, truth, write_problems
from fixtures.code_worlds import CASES, RIGHT, code_judging, noted_requests, write_suite
from fixtures.verdicts import rulings, verdicts_of
from mixmerge.core.io import read_jsonl
from mixmerge.evaluate.settings import CodeJudging

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("code") / "suite")


@pytest.fixture(scope="module")
def ground_truth(suite: Path) -> Path:
    return truth(suite, suite.parent / "truth")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return noted_requests(monkeypatch)


def test_a_time_out_is_run_again_alone_before_it_counts(
    suite: Path, ground_truth: Path, asked: list[dict[str, Any]]
) -> None:
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    texts = [CASES["catches every time-out"][0].replace("{0}", "0"), RIGHT.format(0)]
    programs = [("t/0", text) for text in texts]
    verdicts = verdicts_of(programs, tasks, ground_truth, code_judging(), CODE)
    assert [verdicts[pair] for pair in programs] == [("timeout", "fail"), ("pass", "pass")]
    assert [request["program"]["code"] for request in asked].count(texts[0]) == 2
    assert asked[-1] == next(one for one in asked if one["program"]["code"] == texts[0]) | {
        "alone": True
    }


#: Busy by the very clock that ends a test: the kernel counts it in ticks, which differ from
#: `time.process_time` by more than a tenth where many processes want few cores.
BUSY = """\
from signal import ITIMER_PROF, getitimer
def total_0(numbers):
    end = getitimer(ITIMER_PROF)[0] - {}
    while getitimer(ITIMER_PROF)[0] > end: pass
    return sum(numbers)
"""

#: Program -> verdicts, whether a clock failed it, and how often it is run; tests may take 1 s.
CLOCKS = {
    BUSY.format(0.8): ("pass", False, 1),
    BUSY.format(1.25): ("fail", True, 2),  # beside others that may have been their fault
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


def test_what_was_wrong_before_a_time_out_is_wrong(suite: Path, ground_truth: Path) -> None:
    """Also where the interpreter never gets the processor back, so that nothing can be sent."""
    text = (
        "def total_0(numbers):\n    if numbers == [3]:\n        sum(range(10**12))\n    return -1"
    )
    tasks = {row["id"]: row for row in read_jsonl(ground_truth / "tasks.jsonl")}
    verdicts = verdicts_of([("t/0", text)], tasks, ground_truth, code_judging(), CODE)
    assert verdicts == {("t/0", text): ("fail", "fail")}


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

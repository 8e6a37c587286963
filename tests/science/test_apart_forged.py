"""Tests and solution apart: solutions that try to pass without being right, and none does."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from apart_forged import FORGED
from apart_material import ASKED, REFERENCE, YES, closed, opened, run
from mixmerge.evaluate.bench import Bench

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = opened()
    yield made
    closed(made)


@pytest.fixture(scope="module")
def interface(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    answer = run(bench, tmp_path_factory.mktemp("reference"), REFERENCE, ASKED)
    assert answer["verdicts"] == {"base": "pass"} and answer["passed"] == 4
    found: list[str] = answer["interface"]
    return found


@pytest.mark.parametrize("name", FORGED)
def test_no_solution_passes_without_being_right(
    name: str, bench: Bench, interface: list[str], tmp_path: Path
) -> None:
    code = dedent(FORGED[name])
    for test in ASKED.split("def test_"):
        if ":" not in test:
            continue
        # Each test alone: one that a forger can't meet must not hide one that it can.
        one = "import math\nimport numpy as np\ndef test_" + test
        answer = run(bench, tmp_path, code, one, interface, seconds=2)
        assert answer["verdicts"]["base"] in ("fail", "timeout")
    script = "def check(f):\n    assert f(2) == 4\n"
    answer = run(bench, tmp_path, code, script, interface, form="check", seconds=2)
    assert answer["verdicts"]["base"] in ("fail", "timeout")
    # The box is none the worse for it.
    assert run(bench, tmp_path, REFERENCE, ASKED, interface)["verdicts"] == {"base": "pass"}


def test_comparing_objects_of_its_own_is_left_to_the_solution_only_where_the_reference_did(
    bench: Bench, tmp_path: Path
) -> None:
    test = "def test_a():\n    assert f(1) == f(1)\n"
    plain = run(bench, tmp_path, REFERENCE, test)
    assert plain["verdicts"] == {"base": "pass"} and plain["interface"] == ["f: callable"]
    yes = YES.replace("BASE", "object")
    assert run(bench, tmp_path, yes, test)["verdicts"] == {"base": "pass"}
    assert run(bench, tmp_path, yes, test, plain["interface"])["verdicts"] == {"base": "fail"}


def test_an_error_that_tests_expect_is_not_what_a_dead_solution_gives(
    bench: Bench, tmp_path: Path
) -> None:
    test = "def test_a():\n    with pytest.raises(BaseException):\n        f(1)\n"
    raising = run(bench, tmp_path, "def f(x):\n    raise ValueError\n", test)
    assert raising["verdicts"] == {"base": "pass"}
    for code in FORGED["ends the process"], FORGED["sends what is no message"]:
        answer = run(bench, tmp_path, code, test, raising["interface"])
        assert answer["verdicts"] == {"base": "fail"}


def test_tests_that_wait_and_tests_that_compute_for_ever_end(bench: Bench, tmp_path: Path) -> None:
    test = "def test_a():\n    while True:\n        pass\n"
    answer = run(bench, tmp_path, REFERENCE, test, seconds=1)
    assert answer["verdicts"] == {"base": "timeout"}
    busy = "def f(x):\n    while True:\n        pass\n"
    answer = run(bench, tmp_path, busy, ASKED, seconds=1)
    assert answer["verdicts"] == {"base": "timeout"} and answer["seconds"] < 4

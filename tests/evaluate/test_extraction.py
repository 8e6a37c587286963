"""From completion to program: against EvalPlus's own sanitizer, and where that gives up."""

import importlib.util
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from fixtures.code_suites import judged, problem, truth, write_problems
from mixmerge.evaluate import extraction
from mixmerge.evaluate.extraction import GivenUp, longest_code, solution
from mixmerge.evaluate.program import programs_in
from mixmerge.evaluate.scoring import programs_of
from mixmerge.evaluate.settings import CodeJudging, CodeScoring
from mixmerge.evaluate.suite import Completion

CASES = yaml.safe_load(Path(__file__).with_name("completions.yaml").read_text("utf-8"))

PROMPT = 'def double(n):\n    """Twice n."""\n'
COMPLETIONS = CASES["completions"]


@pytest.fixture(scope="module")
def evalplus() -> ModuleType:
    """EvalPlus's sanitizer, a copy of the module that ours does not touch."""
    extraction._sanitizer()
    spec = importlib.util.find_spec("evalplus.sanitize")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(program: str, argument: int) -> Any:
    scope: dict[str, Callable[[int], Any]] = {}
    exec(program, scope)
    return scope["double"](argument)


@pytest.mark.parametrize("kind", COMPLETIONS)
def test_the_same_as_evalplus(kind: str, evalplus: ModuleType) -> None:
    text = COMPLETIONS[kind]
    found = solution(text, "double", PROMPT)
    assert found == evalplus.sanitize(text, "double")
    if kind.startswith("nothing"):
        return
    assert call(found, 4) == 8
    for gone in ("```", "Sure", "__main__", "other", "next_one"):
        assert gone not in found


def test_a_body_alone_is_put_below_its_prompt(evalplus: ModuleType) -> None:
    body = "    twice = n + n\n    return twice\n"
    found = solution(body, "double", PROMPT)
    # What EvalPlus's own command does with a field `completion`.
    assert found == evalplus.sanitize(PROMPT + "\n" + body, "double")
    assert call(found, 4) == 8
    assert solution(body, "double") != found  # nothing to put it below
    assert solution(" \n\t\n", "double", PROMPT) == ""


@pytest.mark.parametrize(
    "body",
    CASES["bodies"],
)
def test_a_body_without_its_indentation(body: str) -> None:
    assert call(solution(body, "double", PROMPT), 4) == 8


@pytest.mark.parametrize("text", ["x = 1\0\ny = 2", "x = '\ud800'\ny = 1"])
def test_what_the_parser_refuses_is_judged_as_it_stands(text: str) -> None:
    assert solution(text, "double") == text


def test_the_longest_run_is_evalplus_s_on_random_mixtures(evalplus: ModuleType) -> None:
    dice = random.Random(0)
    lines = [line for text in COMPLETIONS.values() for line in text.split("\n")]
    lines += ["", "   ", '"""', "'''", "x = (", ")", "\\", "@", "  # c", "\tx = 1", "else:", "["]
    lines += ["f(", "a: b", "def f(x):", "    pass", "if x: pass"]
    found = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(300):
            start = dice.randrange(len(lines))
            count = dice.randint(1, 25)
            mixed = lines[start : start + count] + dice.choices(lines, k=dice.randint(0, 6))
            if dice.random() < 0.3:
                dice.shuffle(mixed)
            text = "\n".join(mixed)
            assert longest_code(text) == evalplus.code_extract(text), text
            found += longest_code(text).count("\n") > 2
    assert found > 100


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("def double(n):\n    return 2 * n\n" + "print(double(1))\n" * 3000, "def double"),
        ("This is a sentence, and it goes on.\n" * 3000, "This"),
        ("x = 1\n" * 3000 + "y = (", "x = 1"),
        (("def f(x):\n    return x\n" * 5 + "and so on.\n") * 300, "def f"),
    ],
    ids=["repeated calls", "chatter", "cut off", "code and chatter"],
)
def test_long_completions_take_seconds(text: str, start: str) -> None:
    """EvalPlus parses each of their millions of runs of lines."""
    assert longest_code(text).startswith(start)


def test_a_search_that_leads_nowhere_is_given_up() -> None:
    with pytest.raises(GivenUp, match="no program found in 2 lines"):
        longest_code("(\n#" + "x" * 11_000_000)


ANSWERS = {
    f"{kind}: {name}": text
    for kind, answers in yaml.safe_load(
        Path(__file__).with_name("answers.yaml").read_text("utf-8")
    ).items()
    for name, text in answers.items()
}
HELPED = "from typing import List\n\ndef plus(a, b):\n    return a + b\n\n" + PROMPT


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answers_program_as_it_stands(kind: str) -> None:
    task = {"entry_point": "double", "prompt": HELPED}
    [program] = programs_in(None, ANSWERS[kind], task, ["whole"])
    assert program is not None
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1200)
    try:
        assert call(program, 4) == 8, program
    finally:
        sys.setrecursionlimit(limit)


def test_what_unit_tests_name_may_stand_in_several_blocks() -> None:
    text = (
        "```python\nclass Refused(Exception): pass\ndef double(n): return 0\n```\nThen:\n"
        "```python\ndef double(n):\n    return n + n\n```\n"
    )
    task = {"entry_point": "double", "names": ["double", "Refused"], "prompt": ""}
    [program] = programs_in(None, text, task, CodeJudging(tests="pytest").extractions("evalplus"))
    assert program is not None and "class Refused" in program
    assert call(program, 4) == 8


def test_two_extractions_of_one_program_are_one_text() -> None:
    plain = "```python\n# Twice.\ndef double(n):\n    return n + n  # so\n```"
    task = {"entry_point": "double", "prompt": PROMPT}
    own, other = programs_in(None, plain, task, ["evalplus", "whole"])
    assert own == other == solution(plain, "double", PROMPT)
    own, other = programs_in(None, plain + "\nTwice = 2\n\n\nx = 1", task, ["whole", "evalplus"])
    assert own == other
    changed = plain.replace("# Twice.", "import os\nassert os.name")
    own, other = programs_in(
        None, changed.replace("def", "@print\ndef"), task, ["whole", "evalplus"]
    )
    assert own is not None and "@print" in own and own != other


#: An honest completion, as models write them.
HONEST = "Sure:\n```python\ndef solve(numbers):\n    return sum(numbers) + 123456789\n```\nDone."


@pytest.mark.slow
def test_completions_that_attack_the_search_fail(root: Path, tmp_path: Path) -> None:
    table = root / "packages/judgebox/tests/hostile/extraction.yaml"
    texts = [HONEST]
    for text in yaml.safe_load(table.read_text(encoding="utf-8")).values():
        scope: dict[str, Any] = {}
        exec(text, scope)
        texts.append(scope["completion"]())
    assert len(texts) >= 11
    changed = {"prompt": "def solve(numbers):\n", "entry_point": "solve"}
    body = "    return sum(numbers) + 123456789\n"
    suite = write_problems(tmp_path / "suite", [problem(0, canonical_solution=body, **changed)])
    code = CodeScoring(workers=2, min_time_limit=0.6, memory_bytes=512 * 2**20)
    made = truth(suite, tmp_path / "truth", code)
    found = programs_of([Completion("t/0", text, "stop", 1, 1) for text in texts], made, code)
    assert [*found] == ["whole", "evalplus"]
    for programs in found.values():
        honest, *hostile = (row.base for row in judged(programs, made, code))
        assert honest == "pass"
        assert {*hostile} <= {"fail", "timeout"}

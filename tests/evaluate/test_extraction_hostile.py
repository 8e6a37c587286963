"""Completions that attack the search for their program: it survives, and what it finds fails."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from judgebox import Program, Workers
from judgebox.evalplus import expect_request
from judgebox.verdict import Clocks
from judgebox.workers import WorkerDied, judge_request

pytestmark = pytest.mark.slow

TABLE = Path("packages", "judgebox", "tests", "hostile", "extraction.yaml")
CLOCKS = Clocks(min_time_limit=0.6, memory_bytes=512 * 2**20)
#: An honest completion, as models write them.
HONEST = "Sure:\n```python\ndef solve(numbers):\n    return sum(numbers) + 123456789\n```\nDone."


@pytest.fixture(scope="module")
def programs(root: Path) -> dict[str, str | None]:
    """What a scorer's worker finds in each completion; None where it gave up or died."""
    completions = {"honest": HONEST}
    for name, text in yaml.safe_load((root / TABLE).read_text(encoding="utf-8")).items():
        scope: dict[str, Any] = {}
        exec(text, scope)
        completions[name] = scope["completion"]()
    requests = [
        {"do": "extract", "completion": text, "entry_point": "solve", "prompt": ""}
        for text in completions.values()
    ]
    found: dict[str, str | None] = {}
    with Workers(2, module="mixmerge.evaluate.extraction") as workers:
        for number, answer in workers.answers(requests):
            died = isinstance(answer, WorkerDied)
            found[[*completions][number]] = None if died else answer["program"]
    return found


def test_hostile_completions_fail_and_honest_ones_pass(
    programs: dict[str, str | None], tmp_path: Path
) -> None:
    assert len(programs) >= 11
    problem = {
        "task_id": "h/0",
        "prompt": "def solve(numbers):\n",
        "entry_point": "solve",
        "canonical_solution": "    return sum(numbers) + 123456789\n",
        "base_input": [[[1, 2]], [[3]]],
        "atol": 0,
    }
    cases = tmp_path / "0.tests"
    whole = [name for name, program in programs.items() if program is not None]
    with Workers(2, CLOCKS.memory_bytes) as workers:
        request = expect_request(problem, "other", False, tmp_path / "0.draft", cases)
        ((_, made),) = workers.answers([request])
        assert not isinstance(made, WorkerDied) and made["error"] is None
        requests = [
            judge_request(cases, Program(programs[name] or "", "solve"), CLOCKS) for name in whole
        ]
        verdicts = {
            whole[number]: "fail" if isinstance(answer, WorkerDied) else answer["verdicts"]["base"]
            for number, answer in workers.answers(requests)
        }
    assert verdicts.pop("honest") == "pass"
    assert {*verdicts.values()} <= {"fail", "timeout"}, verdicts

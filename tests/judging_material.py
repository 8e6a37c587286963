"""Programs of one suite, judged: what several test files ask."""

from pathlib import Path
from typing import Any

from mixmerge.evaluate.settings import CodeJudging, CodeScoring
from mixmerge.evaluate.verdicts import Programs, Rulings, judge


def rulings(
    programs: list[tuple[str, str]],
    tasks: dict[str, dict[str, Any]],
    truth: Path,
    judging: CodeJudging,
    code: CodeScoring,
) -> Rulings:
    """What becomes of programs, task and solution each."""
    return judge({"s": Programs(programs, tasks, truth, judging)}, code)["s"]


def verdicts_of(
    programs: list[tuple[str, str]],
    tasks: dict[str, dict[str, Any]],
    truth: Path,
    judging: CodeJudging,
    code: CodeScoring,
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Their base and plus verdicts."""
    return rulings(programs, tasks, truth, judging, code).verdicts

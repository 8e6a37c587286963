"""Completions of a small code suite and the verdicts on them, for tests of judging."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from evaluate_material import CODE, problem, write_problems
from judgebox.workers import Workers
from mixmerge.evaluate.settings import CodeJudging, ScoreSettings

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


def texts() -> dict[str, str]:
    """The completions of `CASES`, by their tasks."""
    return {f"t/{i}": text.replace("{0}", str(i)) for i, (text, _) in enumerate(CASES.values())}


def settings(**suites: Any) -> ScoreSettings:
    """How suites are scored."""
    return ScoreSettings.model_validate({"code": CODE.model_dump(), "suites": suites})


def code_judging() -> CodeJudging:
    """Of a suite of inputs."""
    return CodeJudging(kind="code")


def write_suite(directory: Path) -> Path:
    """A suite with a problem a completion."""
    return write_problems(directory, [problem(number) for number in range(len(CASES))])


def noted_requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every request that workers are asked from now on; they answer it as always."""
    seen: list[dict[str, Any]] = []
    answers = Workers.answers

    def noted(self: Workers, requests: Iterable[dict[str, Any]]) -> Any:
        requests = list(requests)
        seen.extend(requests)
        return answers(self, requests)

    monkeypatch.setattr(Workers, "answers", noted)
    return seen

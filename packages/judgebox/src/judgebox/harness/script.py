"""Tests as HumanEval has them: a program that defines ``check(candidate)``; no pytest."""

import importlib
import random
from typing import Any

import numpy.random

from judgebox import codec
from judgebox.harness.examiner import ExaminerLink, finish
from judgebox.harness.lending import TESTS
from judgebox.harness.link import Channel
from judgebox.harness.offering import offer_solution
from judgebox.harness.reliability import swallow


def run(request: bytes, channel: Channel) -> None:
    """Run the tests and say whether they passed.

    The problem's prompt, whose helpers tests may use, runs here as it is: its function is the
    solution's, its helpers are not.

    Args:
        request: ``{"prelude", "test", "entry_point", "interface"}``.
        channel: pipes to the judge.
    """
    program = codec.unpack(request)
    link = ExaminerLink(channel, program["interface"])
    random.seed(0)
    numpy.random.seed(0)
    offer_solution(link)
    names: dict[str, Any] = {"__name__": TESTS}
    passed = 0
    try:
        with swallow():
            solution = importlib.import_module("solution")
            exec(compile(program["prelude"], "<prelude>", "exec"), names)
            candidate = getattr(solution, program["entry_point"])
            names[program["entry_point"]] = candidate
            exec(compile(program["test"], "<tests>", "exec"), names)
            names["check"](candidate)
        passed = 1
    finally:
        finish(link, passed)

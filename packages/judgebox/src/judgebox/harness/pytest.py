"""Tests as KodCode has them: a file for pytest that imports the module `solution`."""

import os
import random
from pathlib import Path
from typing import Any

import numpy.random
import pytest

from judgebox import codec
from judgebox.harness.examiner import ExaminerLink, finish
from judgebox.harness.files import Files
from judgebox.harness.lending import TESTS
from judgebox.harness.link import Channel
from judgebox.harness.offering import offer_solution

# Plugins of pytest's own that no test sees, but that cost time in each check. (Not `debugging`,
# whose option is asked for by tests of unittest's form.)
_NEEDLESS = (
    *("cacheprovider", "unraisableexception", "threadexception", "faulthandler"),
    *("doctest", "junitxml", "pastebin", "stepwise", "setuponly", "setupplan"),
)


def run(request: bytes, channel: Channel) -> None:
    """Run the tests and say how many passed, if all did.

    Args:
        request: ``{"test", "interface", "files"}``.
        channel: pipes to the judge.
    """
    program = codec.unpack(request)
    link = ExaminerLink(channel, program["interface"])
    directory = str(Path.cwd())
    if program["files"]:
        link.files = Files(Path.cwd())
    file = Path(directory, f"{TESTS}.py")
    file.write_text(program["test"], encoding="utf-8")
    random.seed(0)
    numpy.random.seed(0)
    offer_solution(link)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    count = _Count()
    # Nothing above the directory is read: neither configuration nor folders.
    options = ["-c", os.devnull, "--rootdir", directory, "--confcutdir", directory]
    options += ["-q", "-x", "--capture=no", "--assert=plain", "--noconftest", "-W", "ignore"]
    options += [f"-pno:{name}" for name in _NEEDLESS]
    passed = 0
    try:
        if pytest.main([*options, str(file)], plugins=[count]) == pytest.ExitCode.OK:
            passed = count.passed
    finally:
        finish(link, passed)


class _Count:
    """A plugin of pytest that counts the tests that passed; skipped ones don't count."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.passed += report.when == "call" and report.outcome == "passed"

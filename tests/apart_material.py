"""Judging by unit tests, with tests and solution in checks of their own, for tests of that."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

from judgebox.box import PACKAGES
from mixmerge.evaluate.bench import Bench
from mixmerge.evaluate.unittests import judge

REFERENCE = "def f(x):\n    return x * 2\n"
ASKED = """
    import math
    import numpy as np
    def test_a():
        assert f(2) == 4 and f("a") == "aa" and f([1]) == [1, 1]
    def test_b():
        assert f(0.1) == pytest.approx(0.2) and abs(f(1.5) - 3.0) < 1e-9 and math.isclose(f(1.5), 3)
    def test_c():
        assert f("ab").startswith("ab") and 3 in f([3]) and f([1]).count(1) == 2 and f(3) in (6, 7)
    def test_d():
        assert np.allclose(f([1.5]), [1.5, 1.5]) and sorted(f("ba")) == ["a", "a", "b", "b"]
        assert (f(np.array([1, 2])) == np.array([2, 4])).all() and len(f([1, 2])) == 4
"""

#: An object that agrees to everything, of as many kinds as there are.
YES = """
class Yes(BASE):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *a, **k: True
    def _yes(self, *a):
        return True
    def _self(self, *a):
        return self
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = _yes
    __ne__ = lambda self, other: False
    __sub__ = __rsub__ = __add__ = __radd__ = __truediv__ = _self
    __abs__ = __float__ = lambda self: 0.0
    __hash__ = lambda self: hash(4)
    __call__ = _self
def f(x):
    return Yes()
"""


def opened() -> Bench:
    """A bench whose box starts when it is first used; close it with `closed`."""
    return Bench(2 * 1024**3, PACKAGES)


def closed(bench: Bench) -> None:
    """End a bench's box."""
    bench.box.__exit__(None, None, None)


def run(
    bench: Bench,
    directory: Path,
    code: str,
    test: str,
    interface: list[str] | None = None,
    form: str = "pytest",
    seconds: float = 5,
) -> dict[str, Any]:
    """The answer of a judge."""
    code, test = dedent(code), dedent(test)
    if form == "pytest":
        test = "import pytest\nfrom solution import *\n" + test
    program = {
        "form": form,
        "prelude": "",
        "test": test,
        "entry_point": "f",
        "passed": 1,
        "interface": interface,
    }
    path = directory / "tests.json"
    path.write_text(json.dumps(program), encoding="utf-8")
    return judge(bench, str(path), code, seconds)


def seen_as_in_one_process(bench: Bench, directory: Path, code: str, test: str) -> None:
    """Tests pass on a solution, also when held to its interface, and fail on one that raises."""
    answer = run(bench, directory, code, test)
    assert answer["verdicts"] == {"base": "pass"}
    assert run(bench, directory, code, test, answer["interface"])["verdicts"] == {"base": "pass"}
    broken = dedent(code) + "\nfor name, value in list(vars().items()):\n"
    broken += "    if callable(value): vars()[name] = lambda *a, **k: 1 / 0\n"
    assert run(bench, directory, broken, test)["verdicts"] == {"base": "fail"}

"""Tests and solution apart: loopholes of pytest, numpy and `import *`, and tests of any form."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apart_material import REFERENCE, closed, opened, run
from mixmerge.evaluate.bench import Bench

pytestmark = pytest.mark.slow

#: What an array without a number is close to.
CLOSE = {
    "approx": "assert f(2) == pytest.approx(4) and pytest.approx(4) == f(2)",
    "numpy": "assert np.allclose(f([1.5]), [1.5, 1.5])",
    "all": "assert np.all(f(np.array([1, 2])) == np.array([2, 4]))",
}
#: Name -> a solution that returns one, or sends it as something else.
HOLLOW = {
    "an array": "import numpy\ndef f(x):\n    return numpy.empty((0, 2))\n",
    "a flat array": "import numpy\ndef f(x):\n    return numpy.array([])\n",
    "as a plain value": """
        import numpy
        from judgebox.harness.graph import Encoder
        number = Encoder.number
        def forged(self, value):
            if value is Encoder:
                return self._append(["d", numpy.empty((0, 2))])
            return number(self, value)
        Encoder.number = forged
        def f(x):
            return Encoder
        """,
    "as an item": """
        import numpy
        from judgebox.harness.graph import Encoder
        Encoder._flat = lambda self, values: True
        def f(x):
            return [numpy.empty((0, 2))]
        """,
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = opened()
    yield made
    closed(made)


@pytest.mark.parametrize("way", CLOSE)
def test_an_array_without_numbers_is_close_to_nothing(
    way: str, bench: Bench, tmp_path: Path
) -> None:
    test = f"import numpy as np\ndef test_a():\n    {CLOSE[way]}\n"
    found = run(bench, tmp_path, REFERENCE, test)
    assert found["verdicts"] == {"base": "pass"}
    for code in HOLLOW.values():
        answer = run(bench, tmp_path, code, test, found["interface"])
        assert answer["verdicts"] == {"base": "fail"}


def test_an_array_without_numbers_comes_through_where_the_reference_had_one(
    bench: Bench, tmp_path: Path
) -> None:
    code = "import numpy as np\ndef f(x):\n    return np.array(x) * 2\n"
    test = "def test_a():\n    assert f([]).shape == (0,) and f([1]).tolist() == [2]\n"
    found = run(bench, tmp_path, code, test)
    answer = run(bench, tmp_path, code, test, found["interface"])
    assert found["verdicts"] == answer["verdicts"] == {"base": "pass"}
    # Where it had a list, it becomes one: most that tests ask of it can be asked of that as well.
    test = "def test_a():\n    assert len(f([])) == 0 and list(f([])) == []\n"
    found = run(bench, tmp_path, REFERENCE, test)
    assert run(bench, tmp_path, code, test, found["interface"])["verdicts"] == {"base": "pass"}


def test_names_that_the_tests_have_are_not_the_solutions(bench: Bench, tmp_path: Path) -> None:
    """Of a reference that imports `math` itself, `import *` would bring it along, for all."""
    reference = "import math\n" + REFERENCE
    test = "import math\nfrom solution import *\ndef test_a():\n    assert math.isclose(f(2), 4)\n"
    found = run(bench, tmp_path, reference, test)
    assert found["verdicts"] == {"base": "pass"} and found["interface"] == ["f: callable"]
    agrees = "import math\nmath.isclose = lambda *a, **k: True\ndef f(x):\n    return 0\n"
    for interface in (found["interface"], None):
        assert run(bench, tmp_path, agrees, test, interface)["verdicts"] == {"base": "fail"}


def test_names_that_the_solution_imports_are_not_offered(bench: Bench, tmp_path: Path) -> None:
    reference = "import math\nfrom math import sqrt\nK = 3\n" + REFERENCE
    for name in ("math", "sqrt"):
        test = f"def test_a():\n    assert {name}\n"
        assert run(bench, tmp_path, reference, test)["verdicts"] == {"base": "fail"}
    test = "def test_a():\n    assert K == 3\n"
    assert run(bench, tmp_path, reference, test)["verdicts"] == {"base": "pass"}


def test_tests_of_unittests_form(bench: Bench, tmp_path: Path) -> None:
    test = """
        import unittest
        class TestF(unittest.TestCase):
            def setUp(self):
                self.given = 2
            def test_a(self):
                self.assertEqual(f(self.given), 4)
            def test_b(self):
                with self.assertRaises(TypeError):
                    f(None)
        """
    assert run(bench, tmp_path, REFERENCE, test)["passed"] == 2
    wrong = "def f(x):\n    return x + 1\n"
    assert run(bench, tmp_path, wrong, test)["verdicts"] == {"base": "fail"}

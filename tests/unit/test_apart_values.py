"""Tests and solution apart: values that go between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apart_material import closed, opened, seen_as_in_one_process
from mixmerge.evaluate.bench import Bench

#: Name -> a solution, and what tests see of it just as if it were in their own process.
SAME: dict[str, tuple[str, str]] = {
    "arguments changed in place": (
        """
        def fill(items, n):
            items.extend(range(n))
            items.sort(reverse=True)
        def tidy(d, s, b, q):
            d["x"] = {"y": [1]}; d.pop("old"); s.add(3); b += b"z"; q.rotate(1)
        """,
        """
        from collections import deque
        def test_a():
            items = [7]
            assert fill(items, 3) is None and items == [7, 2, 1, 0]
            d, s, b, q = {"old": 0}, {1}, bytearray(b"a"), deque([1, 2, 3], maxlen=4)
            tidy(d, s, b, q)
            assert d == {"x": {"y": [1]}} and s == {1, 3} and b == b"az"
            assert list(q) == [3, 1, 2] and q.maxlen == 4
        """,
    ),
    "identity and aliases": (
        """
        def same(a, b):
            a.append(1)
            return a is b and b[-1] == 1
        def back(a):
            return a
        def twice():
            row = [0]
            return [row, row]
        def circle():
            a = []
            a.append(a)
            return a
        """,
        """
        def test_a():
            a = []
            assert same(a, a) and a == [1] and not same(a, [])
            assert back(a) is a and back([a])[0] is a
            grid = twice()
            grid[0][0] = 5
            assert grid == [[5], [5]]
            loop = circle()
            assert loop[0] is loop
        """,
    ),
    "lists that the solution keeps": (
        """
        class Keeper:
            def __init__(self, items):
                self.items = items
            def add(self, x):
                self.items.append(x)
            def total(self):
                return sum(self.items)
        """,
        """
        def test_a():
            items = [1]
            keeper = Keeper(items)
            keeper.add(2)
            assert items == [1, 2]
            items.append(10)
            assert keeper.total() == 13
            keeper.items.append(100)
            assert keeper.total() == 113 and items == [1, 2, 10, 100]
        """,
    ),
    "many calls with fresh lists": (
        "def total(items):\n    return sum(items)\n",
        """
        def test_a():
            for n in range(1000):
                assert total([n, [n, 1][1]]) == n + 1
        """,
    ),
    "generators and iterators": (
        """
        LOG = []
        def count():
            n = 0
            while True:
                LOG.append(n)
                got = yield n
                n = got if got is not None else n + 1
        def finite():
            yield 1
            return 9
        def first(items):
            return next(items), list(items)
        def squares(n):
            return map(lambda x: x * x, range(n))
        def drawn():
            return len(LOG)
        """,
        """
        import itertools, types
        def test_a():
            numbers = count()
            assert list(itertools.islice(numbers, 3)) == [0, 1, 2] and drawn() == 3
            assert numbers.send(10) == 10 and isinstance(numbers, types.GeneratorType)
            assert list(finite()) == [1] and list(squares(3)) == [0, 1, 4] and 4 in squares(9)
            assert first(x for x in "abc") == ("a", ["b", "c"])
            with pytest.raises(StopIteration):
                next(squares(0))
        """,
    ),
    "numbers and arrays": (
        """
        import numpy as np
        from decimal import Decimal
        from fractions import Fraction
        import datetime
        def scale(a, k):
            a *= k
            return a.T
        def kinds():
            return (np.float32(1.5), np.int64(3), 10**40, float("nan"), 1 + 2j, Decimal("1.10"),
                    Fraction(1, 3), datetime.date(2020, 1, 2), range(3), b"x", None, True, ...)
        def back(x):
            return x
        """,
        """
        import numpy as np, math, datetime
        from decimal import Decimal
        from fractions import Fraction
        def test_a():
            a = np.arange(6.0).reshape(2, 3)
            found = scale(a, 2)
            assert np.array_equal(found, a.T) and a[1, 2] == 10 and found.shape == (3, 2)
            f, i, big, nan, c, d, q, day, r, b, none, true, dots = kinds()
            assert type(f) is np.float32 and f == 1.5 and type(i) is np.int64 and big == 10**40
            assert math.isnan(nan) and c == 1 + 2j and str(d) == "1.10" and q == Fraction(1, 3)
            assert day == datetime.date(2020, 1, 2) and r == range(3) and b == b"x"
            assert none is None and true is True and dots is ...
            for x in ({"k": {1, (2, "3")}}, frozenset({1}), "é\\ud800", {1: 2}.keys(), int, len):
                assert back(x) == x
        """,
    ),
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = opened()
    yield made
    closed(made)


@pytest.mark.parametrize("name", SAME)
def test_tests_see_a_solution_as_in_their_own_process(
    name: str, bench: Bench, tmp_path: Path
) -> None:
    seen_as_in_one_process(bench, tmp_path, *SAME[name])

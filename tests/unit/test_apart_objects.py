"""Tests and solution apart: objects of the solution, which stay where they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apart_material import closed, opened, seen_as_in_one_process
from mixmerge.evaluate.bench import Bench

#: Name -> a solution, and what tests see of it just as if it were in their own process.
SAME: dict[str, tuple[str, str]] = {
    "objects": (
        """
        import functools
        @functools.total_ordering
        class Money:
            rate = 2
            made = []
            def __init__(self, n, unit="x"):
                self.n, self.unit, self.parts = n, unit, [n]
            @property
            def double(self):
                return self.rate * self.n
            @classmethod
            def parse(cls, text):
                return cls(int(text))
            @staticmethod
            def name():
                return "money"
            def __add__(self, other):
                if not isinstance(other, (Money, int)):
                    return NotImplemented
                return Money(self.n + getattr(other, "n", other))
            __radd__ = __add__
            def __eq__(self, other):
                return isinstance(other, Money) and self.n == other.n
            def __lt__(self, other):
                return self.n < other.n
            def __hash__(self):
                return hash(self.n)
            def __len__(self):
                return self.n
            def __iter__(self):
                return iter(self.parts)
            def __contains__(self, x):
                return x in self.parts
            def __getitem__(self, i):
                return self.parts[i]
            def __setitem__(self, i, x):
                self.parts[i] = x
            def __str__(self):
                return f"{self.n} {self.unit}"
            def __repr__(self):
                return f"Money({self.n})"
            def __enter__(self):
                self.unit = "in"
                return self
            def __exit__(self, kind, error, trace):
                self.unit = str(kind and kind.__name__)
                return kind is KeyError
            def __call__(self, n):
                return self.n * n
            def _secret(self):
                return 42
        class Coin(Money):
            pass
        """,
        """
        import copy
        def test_a():
            m = Money(3)
            assert (m.n, m.double, m._secret(), Money.rate, Money.name()) == (3, 6, 42, 2, "money")
            assert isinstance(m, Money) and isinstance(Coin(1), Money) and issubclass(Coin, Money)
            assert not isinstance(m, Coin) and type(m).__name__ == "Money"
            assert m + Money(2) == Money(5) and m + 2 == Money(5) and sum([m, m]) == Money(6)
            assert m != Money(4) and m < Money(4) and sorted([Money(2), Money(1)])[0].n == 1
            assert max(Money(1), Money(9)).n == 9 and len({Money(1), Money(1)}) == 1
            assert len(m) == 3 and list(m) == [3] and 3 in m and m[0] == 3 and m(7) == 21
            m[0] = 8
            assert m.parts == [8] and str(m) == "3 x" and repr(m) == "Money(3)" and f"{m}" == "3 x"
            with m as inner:
                assert inner is m and m.unit == "in"
                raise KeyError("gone")
            assert m.unit == "KeyError"
            m.n = 10
            assert m.double == 20 and Money.parse("5").n == 5
            Money.rate = 3
            assert m.double == 30
            with pytest.raises(TypeError):
                m + "x"
            with pytest.raises(AttributeError):
                m.nothing
            with pytest.raises(IndexError):
                m[5]
            del m.unit
            assert not hasattr(m, "unit") and m != 10
            other = copy.deepcopy(m)
            other.parts.append(1)
            assert other is not m and m.parts == [8]
        """,
    ),
    "linked nodes": (
        """
        class Node:
            def __init__(self, value, next=None):
                self.value, self.next = value, next
        def reverse(head):
            last = None
            while head:
                head.next, last, head = last, head, head.next
            return last
        """,
        """
        def test_a():
            tail = Node(2)
            head = Node(1, tail)
            assert head.next is tail and head != Node(1, tail)
            found = reverse(head)
            assert found is tail and found.next is head and head.next is None
            values = []
            while found:
                values.append(found.value)
                found = found.next
            assert values == [2, 1] and reverse(None) is None
        """,
    ),
    "dataclasses, enums, named tuples, subclasses of builtins": (
        """
        from collections import namedtuple, OrderedDict, Counter, defaultdict
        from dataclasses import dataclass, field
        from enum import Enum
        @dataclass
        class P:
            x: int
            y: list = field(default_factory=list)
        class Color(Enum):
            RED = 1
            BLUE = 2
        Pair = namedtuple("Pair", "left right")
        class Stack(list):
            def push(self, x):
                self.append(x)
        def pair():
            return Pair(1, [2])
        def other(color):
            return Color.BLUE if color is Color.RED else Color.RED
        def kinds():
            d = defaultdict(list); d["a"].append(1)
            return OrderedDict(a=1), Counter("aab"), d, Stack([1, 2])
        """,
        """
        def test_a():
            assert P(1) == P(1, []) and P(1) != P(2) and "P(x=1, y=[])" == repr(P(1))
            assert other(Color.RED) is Color.BLUE and Color.RED.value == 1
            assert [c.name for c in Color] == ["RED", "BLUE"] and Color["RED"] == Color(1)
            p = pair()
            assert p == (1, [2]) and p.left == 1 and isinstance(p, tuple)
            o, c, d, s = kinds()
            assert type(o).__name__ == "OrderedDict" and c["a"] == 2 and c == {"a": 2, "b": 1}
            assert d["new"] == [] and s == [1, 2]
            stack = Stack()
            stack.push(4)
            assert stack == [4] and len(stack) == 1 and stack == Stack([4]) and stack != [5]
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

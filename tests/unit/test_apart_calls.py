"""Tests and solution apart: functions and objects of either that the other uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apart_material import closed, opened, seen_as_in_one_process
from mixmerge.evaluate.bench import Bench

#: Name -> a solution, and what tests see of it just as if it were in their own process.
SAME: dict[str, tuple[str, str]] = {
    "functions, both ways": (
        """
        import functools
        def apply(f, *items, key=None):
            return [f(x) for x in sorted(items, key=key)]
        def adder(n):
            return lambda x: x + n
        def logged(f):
            @functools.wraps(f)
            def inner(*a, **k):
                inner.calls += 1
                return f(*a, **k)
            inner.calls = 0
            return inner
        @functools.lru_cache
        def fib(n):
            '''Numbers.'''
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        def retry(f):
            for _ in range(3):
                try:
                    return f()
                except ValueError as error:
                    last = error
            raise last
        """,
        """
        class Odd(ValueError):
            pass
        def test_a():
            seen = []
            def note(x):
                seen.append(x)
                return x * 2
            assert apply(note, 3, 1) == [2, 6] and seen == [1, 3]
            assert apply(str, -2, 1, key=abs) == ["1", "-2"] and apply(lambda x: [x], 1) == [[1]]
            assert adder(3)(4) == 7 and apply(adder(1), 1) == [2]
            f = logged(note)
            assert f(4) == 8 and f.calls == 1 and f.__name__ == "note"
            assert fib(20) == 6765 and fib.cache_info().misses == 21 and fib.__doc__ == "Numbers."
            def bad():
                seen.append("bad")
                raise Odd(3)
            with pytest.raises(Odd) as info:
                retry(bad)
            assert info.value.args == (3,) and seen.count("bad") == 3
            with pytest.raises(ZeroDivisionError):
                apply(lambda x: 1 / x, 0)
            assert apply(lambda f: fib(f), 10) == [55]
        """,
    ),
    "objects of the tests' own": (
        """
        def depth(node):
            return 0 if node is None else 1 + max(depth(node.left), depth(node.right))
        def mark(node):
            node.seen = [node.value]
            node.rename("new")
            return node
        def write(file):
            file.write("hello")
            return file
        def compare(a, b):
            return a == b, len(a), str(a), hasattr(a, "nothing")
        """,
        """
        import io
        class Tree:
            def __init__(self, value, left=None, right=None):
                self.value, self.left, self.right, self.name = value, left, right, ""
            def rename(self, name):
                self.name = name
            def __eq__(self, other):
                return self.value == other.value
            def __len__(self):
                return self.value
            def __str__(self):
                return "tree"
        def test_a():
            assert depth(Tree(1, Tree(2), Tree(3, Tree(4)))) == 3
            tree = Tree(5)
            assert mark(tree) is tree and tree.seen == [5] and tree.name == "new"
            assert compare(Tree(1), Tree(1)) == (True, 1, "tree", False)
            file = io.StringIO()
            assert write(file) is file and file.getvalue() == "hello"
        """,
    ),
    "coroutines": (
        """
        import asyncio
        async def later(x):
            await asyncio.sleep(0)
            return x + 1
        """,
        """
        import asyncio
        def test_a():
            assert asyncio.run(later(1)) == 2
            async def both():
                return await asyncio.gather(later(1), later(2))
            assert asyncio.run(both()) == [2, 3]
        """,
    ),
    "threads": (
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        total, lock = 0, threading.Lock()
        def add(n):
            global total
            with lock:
                total += n
        def read():
            return total
        def spread(f, items):
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(f, items))
        """,
        """
        import threading
        def test_a():
            threads = [threading.Thread(target=add, args=(n,)) for n in range(10)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            assert read() == 45
            for _ in range(40):  # each thread gets its own answers
                assert spread(lambda x: x + read(), [1, 2, 3, 4]) == [46, 47, 48, 49]
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

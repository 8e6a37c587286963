"""Tests and solution apart: what a module raises, prints, reads and holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apart_material import closed, opened, seen_as_in_one_process
from mixmerge.evaluate.bench import Bench

#: Name -> a solution, and what tests see of it just as if it were in their own process.
SAME: dict[str, tuple[str, str]] = {
    "exceptions": (
        """
        class Broke(ValueError):
            def __init__(self, need, have):
                super().__init__(need, have)
                self.need = need
            def __str__(self):
                return f"need {self.need}"
        class Worse(Broke):
            pass
        def pay(kind):
            if kind == "json":
                import json
                json.loads("{")
            if kind == "key":
                return {}["k"]
            if kind == "os":
                raise FileNotFoundError(2, "gone", "f.txt")
            if kind == "exit":
                raise SystemExit(3)
            raise (Worse if kind == "worse" else Broke)(5, 1)
        """,
        """
        import json
        def test_a():
            with pytest.raises(Broke, match="^need 5$") as info:
                pay("")
            assert info.value.args == (5, 1) and info.value.need == 5
            assert isinstance(info.value, ValueError) and type(info.value) is Broke
            with pytest.raises(Broke) as info:
                pay("worse")
            assert type(info.value).__name__ == "Worse"
            with pytest.raises(KeyError) as info:
                pay("key")
            assert info.value.args == ("k",)
            with pytest.raises(FileNotFoundError) as info:
                pay("os")
            assert (info.value.errno, info.value.filename) == (2, "f.txt")
            with pytest.raises(json.JSONDecodeError, match="Expecting property name") as info:
                pay("json")
            assert info.value.pos == 1
            with pytest.raises(SystemExit) as info:
                pay("exit")
            assert info.value.code == 3
            with pytest.raises(TypeError):
                pay()
        """,
    ),
    "output and input": (
        """
        import sys
        print("loaded")
        def show(x):
            print(x, "is", x, sep="-")
            print("oops", file=sys.stderr)
        def ask():
            return input("name? ") + sys.stdin.readline()
        """,
        """
        import contextlib, io, sys
        def test_a(capsys, monkeypatch):
            show(1)
            out = capsys.readouterr()
            assert out.out == "1-is-1\\n" and out.err == "oops\\n"
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                show("a")
            assert text.getvalue() == "a-is-a\\n"
            monkeypatch.setattr("builtins.input", lambda prompt: prompt + "Ann")
            monkeypatch.setattr("sys.stdin", io.StringIO(" B\\nC"))
            assert ask() == "name? Ann B\\n"
            monkeypatch.undo()
            with pytest.raises(EOFError):
                ask()
        """,
    ),
    "files of either": (
        """
        import csv, json, os
        from pathlib import Path
        def lines(path):
            with open(path) as file:
                return file.read().splitlines()
        def store(path, value):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "w") as file:
                json.dump(value, file)
        def names(folder):
            return sorted(os.listdir(folder))
        """,
        """
        import json
        def test_a(tmp_path):
            file = tmp_path / "in.txt"
            for n in range(5):
                file.write_text(f"a\\n{n}\\n")
                assert lines(file) == lines(str(file)) == ["a", str(n)]
            store(tmp_path / "deep" / "out.json", {"x": 1})
            assert json.loads((tmp_path / "deep" / "out.json").read_text()) == {"x": 1}
            (tmp_path / "empty").mkdir()
            assert names(str(tmp_path)) == ["deep", "empty", "in.txt"]
            with pytest.raises(FileNotFoundError):
                lines(tmp_path / "none")
        """,
    ),
    "constants, and names replaced by tests": (
        """
        LIMIT = 3
        TABLE = {"a": (1, {2})}
        RATE = 1
        def fetch(x):
            return "real"
        def use(x):
            return fetch(x) * RATE
        """,
        """
        import solution
        from unittest.mock import patch
        def test_a(monkeypatch):
            assert LIMIT == 3 and TABLE == {"a": (1, {2})} and solution.LIMIT == 3
            monkeypatch.setattr(solution, "RATE", 2)
            assert use(1) == "realreal"
            with patch("solution.fetch", return_value="mock") as fake:
                assert use(7) == "mockmock"
            fake.assert_called_once_with(7)
            assert solution.use(1) == "realreal"
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

"""Docstrings are removed, all of them and nothing else; the authors' way is one option beside."""

import ast
import re
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest
import yaml

from mixmerge.data.templates import without_docstrings, without_triple_quoted

#: Between « and » stands what goes, and behind a bar what takes its place.
CASES = yaml.safe_load(Path(__file__).with_name("docstrings.yaml").read_text("utf-8"))
CASES["python"].append(f'def f():\n    «{"(" * 3000}"""d"""{")" * 3000}\n    »return 1')


@pytest.mark.parametrize(
    ("kind", "marked"),
    [pytest.param(k, case, id=f"{k}{n}") for k in CASES for n, case in enumerate(CASES[k])],
)
def test_docstrings_go_with_their_lines_and_nothing_else(kind: str, marked: str) -> None:
    source = re.sub(r"«(.*?)(\|pass)?»", r"\1", marked, flags=re.DOTALL)
    left = re.sub(r"«.*?(?:\|(pass))?»", r"\1", marked, flags=re.DOTALL)
    cut = without_triple_quoted(source) if kind == "released" else without_docstrings(source, kind)
    assert cut == left


def _bare(tree: ast.AST) -> str:
    """A syntax tree as text, after Python's own idea of what a docstring is was taken away."""
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, scopes):
            while ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.Pass())
    return ast.dump(tree)


@pytest.mark.slow
def test_syntax_trees_of_the_standard_library_lose_docstrings_and_nothing_else() -> None:
    warnings.simplefilter("ignore")
    library = Path(sysconfig.get_path("stdlib"))
    files = [*sorted(library.glob("*.py")), *sorted(library.glob("[a-j]*/*.py"))]
    functions = 0
    for path in files[::15]:
        try:
            text = path.read_bytes().decode()
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue  # lib2to3 keeps Python 2 among its examples
        cut = without_docstrings(text)
        assert ast.dump(ast.parse(cut)) == _bare(ast.parse(text)), path
        lines = text.split("\n")
        whole = iter(lines)
        for line in cut.split("\n"):  # but for `pass`, and a comment that stood behind a docstring
            assert "pass" in line or line.lstrip().startswith("#") or line in whole, (path, line)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                functions += 1
                if functions % 5 == 0:  # as the corpora hold it: the first line without indentation
                    code = "\n".join(lines[node.lineno - 1 : node.end_lineno]).lstrip()
                    assert ast.dump(ast.parse(without_docstrings(code))) == _bare(ast.parse(code))
    assert functions > 150, f"only {functions} functions in {library} ({sys.version})"

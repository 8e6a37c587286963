"""Docstrings are removed, all of them and nothing else; the authors' way is one option beside."""

import ast
import re
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest

from mixmerge.data.templates import without_docstrings, without_triple_quoted

#: Between « and » stands what goes, and behind a bar what takes its place.
PYTHON = '''\
«"""Module."""
»import re

@decorated("""not a docstring""")
class A(B):
«    r"""Class \\d."""
»
    pattern = """
    data: '\\'
    """  # kept

    async def f(self, x="""default"""):
«        \'\'\'Method.

        With "quotes" and a line.
        \'\'\'
»        def inner(): «"Inner."; »return f"""{x} kept"""

        def bare():
            # Only a docstring below.
            «u"Bare."|pass»

        return inner() + """kept"""
'''
JAVA = '''\
«/**
 * A class.
 */
»@Entity(name = "/** a */")
public class A {\r
«\t/** A field. */\r
»\tint x = 1; // trailing
\tString text = """
\t\t/** data */""";

«\t// One line above,
\t// and another.
»\tpublic int f() {
\t\t/* kept */ return "/**".length(); // kept
\t}

\t// Apart from what follows, so kept.

\t«/** A constructor. */ »// NOSONAR
\tA() { /** no declaration's */ int y = 2; new Thread(new Runnable() {
«\t\t/** Inner. */
»\t\t@Override public void run() { /**/ }
\t}); }
\tenum E { «/** One. */ »ONE, /* plain */ TWO }
}
'''


PYTHON_CASES = [
    PYTHON,
    'def f(): «"doc"|pass»',
    'def f(): «"""d"""; »return 1',
    'def f():\n    «"""d"""; »return 1\n',
    'def f():\n    «"""d"""  »# noqa\n    return 1\n',
    "def f():\r\n\t«'''d\r\n\t'''\r\n\t»return 1\r\n",
    'def f():\r    «"""d"""\r    »return 1\r',
    'class A:\n\t«"""d"""\n\t»x = """data"""\n',
    'def f():\n    «("a"\n     R"b")\n    »return 1',
    "def f():\n    «" + "(" * 3000 + '"""d"""' + ")" * 3000 + "\n    »return 1",
    'def f():\n    «"""a" "b""" \\\n\n    »return 1',
    'class A:\n    «"""d"""\n    "also"\n    »x = 1\n    "no"',
    'def f() -> """int""":\n    «"""d"""\n    »return 1',
    # Methods as the corpora cut them out, with the indentation of their class or as a whole.
    'def f(self):\n        «"""D."""\n        »return 1',
    '  @d\n  def f(self):\n    «"""D."""\n    »g()\n',
    '    «"""The body alone."""\n    »return 1\n',
    'def f(x, (y, z)):\n    «ur"""d"""\n    »print >>e, "x", `y`\n    raise E, """kept"""\n',
    'def f(x):\n    «"""d"""\n    »return x +\n',
    'def f():\n    «"""ü \ud83d"""\n    »return "é\ud83d"',
    # What is no docstring.
    'def f():\n    f"""{x}"""\n    return 1',
    'def f():\n    "a" f"b"\n    return 1',
    'def f():\n    b"""x"""\n    return 1',
    'def f():\n    """x""" % y\n    return 1',
    'def f():\n    """x""".strip()\n    return 1',
    'def f():\n    """x""",\n    return 1',
    'def f():\n    x = 1\n    """not the first"""\n',
    'if x:\n    """no scope of its own"""\n',
    'def f():\n    """never closed\n    return 1\n',
    "",
]
JAVA_CASES = [
    JAVA,
    # Methods and constructors stand alone in the corpora.
    "«/** d */\r\n»public int f() { return 1; }",
    "«/** d */\n»public A(int x) { y = x; } // end",
    "  @Override /* why */\n  public int f() { return 1; }",
    'public int f() { return """\n/** x */\n""".length(); }',
    "// Apart.\n\npublic A(int x) { /* a */ }",
    "void f( {\n /** d */\n}",
    "/** never closed\nint f() {}",
]


RELEASED_CASES = [
    'def f():\n    "D."\n    return «"""x"""»',
    "def f():\n«    r'''A\n    b'''\n»    return 1",
    'def f(): «"""A."""»; return 1',
    'def f():\n«    """A \\""" b."""\n»    x = ""',
    '«"""Only."""»',
    "print 'Python 2'\n«    '''doc'''\n»",
    '@d(«"""not a docstring"""»)\ndef f(): g()',
]
CASES = {"python": PYTHON_CASES, "java": JAVA_CASES, "released": RELEASED_CASES}


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

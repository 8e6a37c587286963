"""Docstrings are removed, all of them and nothing else; the authors' way is one option beside."""

import ast
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest

from mixmerge.data.templates import without_docstrings, without_triple_quoted

SOURCE = '''\
"""Module."""
import re

@decorated("""not a docstring""")
class A(B):
    r"""Class \\d."""

    pattern = """
    data: '\\'
    """  # kept

    async def f(self, x="""default"""):
        \'\'\'Method.

        With "quotes" and a line.
        \'\'\'
        def inner(): "Inner."; return f"""{x} kept"""

        def bare():
            # Only a docstring below.
            u"Bare."

        return inner() + """kept"""
'''
LEFT = '''\
import re

@decorated("""not a docstring""")
class A(B):

    pattern = """
    data: '\\'
    """  # kept

    async def f(self, x="""default"""):
        def inner(): return f"""{x} kept"""

        def bare():
            # Only a docstring below.
            pass

        return inner() + """kept"""
'''


def test_a_whole_module_loses_its_docstrings_and_nothing_else() -> None:
    assert without_docstrings(SOURCE) == LEFT
    assert without_docstrings(LEFT) == LEFT
    # What was released takes data and defaults along, and here most of the class.
    released = without_triple_quoted(SOURCE)
    assert "@decorated()" in released and "def f" not in released


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ('def f():\n    "D."\n    return """x"""', 'def f():\n    "D."\n    return '),
        ("def f():\n    r'''A\n    b'''\n    return 1", "def f():\n    return 1"),
        ('def f(): """A."""; return 1', "def f(): ; return 1"),
        ('def f():\n    """A \\""" b."""\n    x = ""', 'def f():\n    x = ""'),
        ("x = \"a\" + 'b'", "x = \"a\" + 'b'"),
        ('"""Only."""', ""),
        ("print 'Python 2'\n    '''doc'''\n", "print 'Python 2'\n"),
    ],
)
def test_the_released_filter_removes_triple_quoted_strings_with_their_lines(
    code: str, left: str
) -> None:
    assert without_triple_quoted(code) == left


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ('def f(): "doc"', "def f(): pass"),
        ('def f(): """d"""; return 1', "def f(): return 1"),
        ('def f():\n    """d"""; return 1\n', "def f():\n    return 1\n"),
        ('def f():\n    """d"""  # noqa\n    return 1\n', "def f():\n    # noqa\n    return 1\n"),
        ("def f():\r\n\t'''d\r\n\t'''\r\n\treturn 1\r\n", "def f():\r\n\treturn 1\r\n"),
        ('def f():\r    """d"""\r    return 1\r', "def f():\r    return 1\r"),
        ('class A:\n\t"""d"""\n\tx = """data"""\n', 'class A:\n\tx = """data"""\n'),
        ('def f():\n    ("a"\n     R"b")\n    return 1', "def f():\n    return 1"),
        ('def f():\n    """a" "b""" \\\n\n    return 1', "def f():\n    return 1"),
        ('class A:\n    """d"""\n    "also"\n    x = 1\n    "no"', 'class A:\n    x = 1\n    "no"'),
        ('def f() -> """int""":\n    """d"""\n    return 1', 'def f() -> """int""":\n    return 1'),
        # Methods as the corpora cut them out, with the indentation of their class or as a whole.
        ('def f(self):\n        """D."""\n        return 1', "def f(self):\n        return 1"),
        ('  @d\n  def f(self):\n    """D."""\n    g()\n', "  @d\n  def f(self):\n    g()\n"),
        ('    """The body alone."""\n    return 1\n', "    return 1\n"),
        (
            'def f(x, (y, z)):\n    ur"""d"""\n    print >>e, "x", `y`\n    raise E, """kept"""\n',
            'def f(x, (y, z)):\n    print >>e, "x", `y`\n    raise E, """kept"""\n',
        ),
        ('def f(x):\n    """d"""\n    return x +\n', "def f(x):\n    return x +\n"),
        ('def f():\n    """ü \ud83d"""\n    return "é\ud83d"', 'def f():\n    return "é\ud83d"'),
        # What is no docstring.
        ('def f():\n    f"""{x}"""\n    return 1', None),
        ('def f():\n    "a" f"b"\n    return 1', None),
        ('def f():\n    b"""x"""\n    return 1', None),
        ('def f():\n    """x""" % y\n    return 1', None),
        ('def f():\n    """x""".strip()\n    return 1', None),
        ('def f():\n    """x""",\n    return 1', None),
        ('def f():\n    return """x"""\n', None),
        ('def f():\n    x = 1\n    """not the first"""\n', None),
        ('if x:\n    """no scope of its own"""\n', None),
        ('x = lambda: """no"""\n', None),
        ('def f():\n    """never closed\n    return 1\n', None),
        ("def f(): return 1", None),
        ("", None),
    ],
)  # fmt: skip
def test_python_docstrings_go_with_their_lines(code: str, left: str | None) -> None:
    assert without_docstrings(code) == (code if left is None else left)


JAVA = '''\
/**
 * A class.
 */
@Entity(name = "/** a */")
public class A {\r
\t/** A field. */\r
\tint x = 1; // trailing
\tString text = """
\t\t/** data */""";

\t// One line above,
\t// and another.
\tpublic int f() {
\t\t/* kept */ return "/**".length(); // kept
\t}

\t// Apart from what follows, so kept.

\t/** A constructor. */ // NOSONAR
\tA() { /** no declaration's */ int y = 2; new Thread(new Runnable() {
\t\t/** Inner. */
\t\t@Override public void run() { /**/ }
\t}); }
\tenum E { /** One. */ ONE, /* plain */ TWO }
}
'''
JAVA_LEFT = '''\
@Entity(name = "/** a */")
public class A {\r
\tint x = 1; // trailing
\tString text = """
\t\t/** data */""";

\tpublic int f() {
\t\t/* kept */ return "/**".length(); // kept
\t}

\t// Apart from what follows, so kept.

\t// NOSONAR
\tA() { /** no declaration's */ int y = 2; new Thread(new Runnable() {
\t\t@Override public void run() { /**/ }
\t}); }
\tenum E { ONE, /* plain */ TWO }
}
'''


def test_java_doc_comments_go_and_other_comments_stay() -> None:
    assert without_docstrings(JAVA, "java") == JAVA_LEFT


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("/** d */\r\npublic int f() { return 1; }", "public int f() { return 1; }"),
        ("/** d */\npublic A(int x) { y = x; } // end", "public A(int x) { y = x; } // end"),
        ("  @Override /* why */\n  public int f() { return 1; }", None),
        ("public int f() { return \"\"\"\n/** x */\n\"\"\".length(); }", None),
        ("public A(int x) { /* a */ }", None),
        ("void f( {\n /** d */\n}", None),
        ("/** never closed\nint f() {}", None),
    ],
)  # fmt: skip
def test_java_methods_and_constructors_stand_alone_in_the_corpora(
    code: str, left: str | None
) -> None:
    assert without_docstrings(code, "java") == (code if left is None else left)


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

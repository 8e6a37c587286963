"""Documented functions of one Python file: what becomes a row, and what is refused and why.

A row holds the function from its ``def`` line on, dedented, without decorators:

- ``code``: all of it, as written; ``docstring``: its docstring, cleaned as `inspect` does;
- ``summary``: the docstring's first paragraph on one line;
- ``signature`` and ``body``: the text before and after the docstring, so that ``signature``, a line
  break and ``body`` are the function without it; ``stub``: ``signature`` with the docstring.
"""

import ast
import io
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixmerge.data.settings import Quality

Row = dict[str, Any]
_Function = ast.FunctionDef | ast.AsyncFunctionDef

_TESTS = re.compile(r"(^|/)(tests?|conftest\.py|test_[^/]*\.py|[^/]*_tests?\.py)(/|$)")
_VENDORED = re.compile(r"(^|/)(_?vendor(ed)?|_?extern(al|als)?|third_?party|_distutils)(/|$)")
_GENERATED = re.compile(r"auto(matically|-)?\s*generated|generated (by|from)|do not edit", re.I)
_HEAD = 2000
_MAX_FILE = 1_000_000
_LAYOUT = re.compile(r"\s+|#[^\n]*")
#: Words of which an English sentence of some length holds at least one.
_ENGLISH = re.compile(
    r"\b(an?|the|of|to|in|is|are|be|for|and|or|if|with|from|by|on|as|this|that|it|returns?|not|all|"
    r"given|each|which|when|whether|into|using)\b",
    re.I,
)


def is_wanted(path: str) -> bool:
    """Whether a file, by its path inside the distribution, is neither a test nor vendored."""
    return not (_TESTS.search(path) or _VENDORED.search(path))


def read_functions(path: Path, quality: Quality) -> tuple[list[Row], Counter[str]]:
    """The rows of one file, in its order, and how many functions were refused for which reason.

    A row also has ``key``, for deduplication: the function without docstring, comments and layout.
    A file that is no Python 3, or is generated, gives no rows.

    Args:
        path: the file.
        quality: bounds.
    """
    text = _read(path)
    if text is None:
        return [], Counter({"file unreadable": 1})
    if '"""' not in text and "'''" not in text:
        return [], Counter()  # no docstring worth its parsing
    if len(text) > _MAX_FILE or _GENERATED.search(text[:_HEAD]):
        return [], Counter({"file generated or huge": 1})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], Counter({"file unreadable": 1})
    lines = text.splitlines(keepends=True)
    if len(lines) != text.count("\n") + (not text.endswith("\n")):
        # Form feeds and the like: Python's parser counts lines in another way than str does.
        lines = io.StringIO(text).readlines()
    rows, refused = [], Counter[str]()
    for name, node in _functions(tree.body):
        found = _row(name, node, lines, quality)
        if isinstance(found, str):
            refused[found] += 1
        else:
            rows.append(found)
    return rows, refused


def _read(path: Path) -> str | None:
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def _functions(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[tuple[str, _Function]]:
    """Functions and methods with their qualified names; those inside functions do not count."""
    for node in body:
        if isinstance(node, _Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _functions(getattr(node, part, []), prefix)


def _row(name: str, node: _Function, lines: list[str], quality: Quality) -> Row | str:
    """The row of one function, or the reason why it gives none."""
    first = node.body[0]
    docstring = ast.get_docstring(node)
    if docstring is None or not docstring.strip():
        return "no docstring"
    if node.name.startswith(("__", "test")):
        return "dunder or test"
    if all(_is_empty(statement) for statement in node.body[1:]):
        return "no body"
    summary = " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())
    if reason := _poor_text(docstring, summary, quality):
        return reason
    assert first.end_lineno is not None and node.end_lineno is not None
    start, end = first.lineno, first.end_lineno
    if start <= node.lineno or node.body[1].lineno <= end:
        return "docstring shares a line"
    indent = lines[node.lineno - 1][: node.col_offset]
    if indent.strip():
        return "docstring shares a line"
    signature = _dedent(lines[node.lineno - 1 : start - 1], indent)
    literal = _dedent(lines[start - 1 : end], indent)
    body = _dedent(lines[end : node.end_lineno], indent).strip("\n")
    stub = signature + literal.rstrip()
    code = f"{stub}\n{body}"
    if len(code) > quality.max_code:
        return "too long"
    counted = [line for line in body.splitlines() if line.strip() and line.strip()[0] != "#"]
    if len(counted) < quality.min_lines:
        return "too short"
    signature = signature.rstrip()
    if not _compiles(f"{signature}\n{body}"):
        return "does not compile"
    return {
        "name": name,
        "code": code,
        "docstring": docstring.strip(),
        "summary": summary,
        "signature": signature,
        "stub": stub,
        "body": body,
        "key": _LAYOUT.sub("", f"{signature}\n{body}"),
    }


def _is_empty(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: `pass`, `...`, another string, NotImplementedError."""
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id.startswith("NotImplemented")
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def _poor_text(docstring: str, summary: str, quality: Quality) -> str | None:
    words = re.findall(r"[A-Za-z][A-Za-z'-]*", summary)
    if len(words) < quality.min_words:
        return "summary too short"
    if len(summary) > quality.max_summary:
        return "summary too long"
    if sum(map(str.isascii, docstring)) < quality.min_ascii * len(docstring):
        return "not ASCII"
    if not _ENGLISH.search(summary):
        return "not English prose"
    if summary.startswith((">>>", ":", "..", "@")) or "://" in summary:
        return "not English prose"
    return None


def _dedent(lines: list[str], indent: str) -> str:
    """Lines without the function's own indentation; a string's flush lines stay as they are."""
    return "".join(line.removeprefix(indent) for line in lines)


def _compiles(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<function>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True

"""The program in a completion as EvalPlus's sanitizer finds it: what `extraction: evalplus` takes.

Of the longest run of lines that parses it keeps what the entry point needs. EvalPlus tries every
pair of lines; here the run is found from the longest down.
"""

import ast
import codeop
import re
import symtable
import sys
import textwrap
import types
import warnings
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, cast

#: Characters that may be parsed for one completion, some ten seconds, and an attempt's least cost.
_BUDGET, _ATTEMPT = 20_000_000, 100
#: Parse, and tell a text that may yet become a program from one that cannot.
_PARTIAL = ast.PyCF_ONLY_AST | codeop.PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]

#: A fenced block; for a function's body its marks must begin their lines.
_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)


class GivenUp(Exception):
    """The search for a completion's program took too long."""


def solution(completion: str, entry_point: str, prompt: str = "") -> str:
    """The program in a completion, with the function ``entry_point``; empty for an empty one.

    Where the completion lacks the function, but the problem's prompt is its head, the completion is
    taken for the function's body, with or without its indentation, as EvalPlus does. `GivenUp`: by
    what was parsed, not by time, so that it strikes the same completions everywhere.
    """
    if not completion.strip():
        return ""
    sanitize = _sanitizer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of odd literals in the model's code
        try:
            program = sanitize(completion, entry_point)
            is_head = _defines(f"{prompt}\n    pass", entry_point)
            if not is_head or _defines(program, entry_point):
                return program
            wholes = (sanitize(f"{prompt}\n{body}", entry_point) for body in bodies(completion))
            return next((whole for whole in wholes if implements(whole, entry_point)), program)
        except (RecursionError, ValueError):
            # Nesting deeper than the parser goes, or text that is not UTF-8: judged as it stands.
            return completion


@lru_cache(8)
def longest_code(text: str) -> str:
    """The longest run of lines that parses, as EvalPlus's `code_extract` finds it.

    Of runs with equally many lines that are not blank, the first, of two lines at least; else the
    first line. A null byte or a lone surrogate is a ValueError.
    """
    lines = text.split("\n")
    if len(lines) > 1 and "\0" in text:
        raise ValueError("null byte")
    filled = list(accumulate((bool(line.strip()) for line in lines), initial=0))
    ends = list(accumulate((len(line) + 1 for line in lines), initial=0))
    best, first, last, spent = 0, 0, 0, 0

    def parse(start: int, end: int, flags: int = ast.PyCF_ONLY_AST) -> str | None:  # its message
        nonlocal spent
        spent += _ATTEMPT + ends[end] - ends[start]
        if spent > _BUDGET:
            raise GivenUp(f"no program found in {len(lines)} lines")
        try:
            compile("\n".join(lines[start:end]), "<completion>", "exec", flags)
        except SyntaxError as error:
            return str(error.msg)
        except MemoryError:
            return "incomplete input"
        return None

    for start, line in enumerate(lines):
        if filled[-1] - filled[start] <= best:
            break
        if line[:1] in (" ", "\t") and line.strip()[:1] not in ("", "#") and "\f" not in line:
            continue  # no program begins with an indented line
        # From where the parser gives up for good, no longer run parses.
        size = 2
        while start + size <= len(lines):
            if parse(start, start + size, _PARTIAL) not in (None, "incomplete input"):
                break
            size *= 2
        for end in range(min(start + size - 1, len(lines)), start + 1, -1):
            count = filled[end] - filled[start]
            if count <= best:
                break
            if parse(start, end) is None:
                # Blank lines at the end add nothing, and the shorter run came first.
                shorter = range(max(start + 2, filled.index(filled[end])), end)
                last = next((n for n in shorter if parse(start, n) is None), end) - 1
                best, first = count, start
                break
    return "\n".join(lines[first : last + 1])


def bodies(completion: str) -> Iterator[str]:
    """What the function's body may be: the fenced code or all; as it is, or indented."""
    fenced = _FENCED.search(completion)
    for text in [fenced.group(1), completion] if fenced else [completion]:
        yield text
        stripped = text.strip("\n")
        head, _, rest = stripped.partition("\n")
        if rest.strip() and not head.startswith((" ", "\t")):
            # Only the first line lost its indentation, as where an answer is stripped.
            yield f"    {head}\n{rest}"
        yield textwrap.indent(textwrap.dedent(stripped), "    ")


def implements(program: str, entry_point: str) -> bool:
    """Whether a program compiles, and its function returns something of its own."""
    try:
        compile(program, "<completion>", "exec")  # unlike parsing, it refuses a stray `return`
    except (SyntaxError, MemoryError):
        return False
    inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(
        isinstance(part, ast.Return | ast.Yield | ast.YieldFrom)
        for node in ast.parse(program).body
        if isinstance(node, ast.FunctionDef) and node.name == entry_point
        for statement in node.body
        if not isinstance(statement, inner)
        for part in ast.walk(statement)
    )


def _defines(program: str, name: str) -> bool:
    """Whether a program parses and binds the name at its top level."""
    try:
        symbol = symtable.symtable(program, "<completion>", "exec").lookup(name)
    except (SyntaxError, MemoryError, KeyError):
        return False
    return symbol.is_assigned() or symbol.is_imported()


@cache
def _sanitizer() -> Callable[[str, str], str]:
    """EvalPlus's `sanitize` over `longest_code`."""
    # It imports `datasets` (seconds, hundreds of megabytes) for a benchmark that is not used here.
    empty: Any = types.ModuleType("datasets")
    empty.load_dataset = None
    taken = sys.modules.setdefault("datasets", empty)
    try:
        from evalplus import sanitize
    finally:
        if taken is empty:
            del sys.modules["datasets"]
    sanitize.code_extract = longest_code
    return cast("Callable[[str, str], str]", sanitize.sanitize)

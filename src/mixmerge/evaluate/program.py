"""The program in an answer, as it stands: what `extraction: whole` takes.

Thinking is cut away. Of the blocks of code the last counts that defines what is asked for, with
what it needs from earlier ones, the first of which is the problem's own prompt. Statements that do
nothing for it (examples, tests, input) go, and what it does without cannot fail it.
"""

import ast
import builtins
import dis
import re
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice, zip_longest
from types import CodeType
from typing import Any

from mixmerge.evaluate.extraction import GivenUp, bodies, implements, longest_code, solution
from mixmerge.evaluate.settings import Extraction

_TAG = r"[\[<◁](?:\w+:)?{}(?:think|thinking|thoughts?|reasoning|analysis|reflection)[\]>▷]"
_OPEN, _CLOSE = _TAG.format(""), _TAG.format("/")
#: Thoughts in marks at the start of a line, which may be cut off; thoughts whose mark the prompt
#: opened; and the channels before the last, whose marks are special tokens and may be gone.
_THOUGHTS = re.compile(
    rf"^[ \t]*{_OPEN}.*?(?:{_CLOSE}|\Z)"
    rf"|\A(?:(?!^[ \t]*{_OPEN}).)*(?:^[ \t]*{_CLOSE}|{_CLOSE}[ \t]*$)"
    r"|\A.*<\|channel\|>final<\|message\|>|\A.*<channel\|>|\Aanalysis.*?assistantfinal",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
#: The mark that begins or ends a fenced block, and what follows it.
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^`]*)")
_ONE_LINE = re.compile(r"^[ \t]*```(?:\w+[ \t])?([^`\n]+)```", re.MULTILINE)
#: What was typed in a transcript.
_TYPED = re.compile(r"^[ \t]*(?:>>>|\.\.\.:?|In \[\d+\]:)(?: |$)(.*)", re.MULTILINE)
#: Marks tried as the end of a block that does not parse: a docstring may hold some.
_ENDS = 8

_Imports, _Functions = (ast.Import, ast.ImportFrom), (ast.FunctionDef, ast.AsyncFunctionDef)
_Named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def whole(completion: str, asked: Iterable[str], prompt: str = "") -> str | None:
    """The program in a text without thoughts that defines the names asked for; None: none does.

    Below a prompt that begins a function the text may be its body. `GivenUp` as `longest_code`.
    """
    text, names = completion.replace("\r\n", "\n"), set(asked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of odd literals in the model's code
        try:
            for blocks in (list(_blocks(text)), [text], ["\n".join(_TYPED.findall(text))]):
                if program := _program([prompt, *blocks], names):
                    return program
            for body in bodies(text) if not names & {*re.findall(r"\bdef\s+(\w+)", text)} else ():
                program = _program([longest_code(f"{prompt}\n{body}")], names)
                if program and all(implements(program, name) for name in names):
                    return program
        except (RecursionError, ValueError, MemoryError):
            pass  # nesting deeper than the parser goes, text that is not UTF-8
    return None


def _blocks(text: str) -> Iterator[str]:
    """What stands between marks, without the indentation of the first."""
    yield from _ONE_LINE.findall(text)
    lines = text.split("\n")
    marks = [(n, match) for n, line in enumerate(lines) if (match := _FENCE.fullmatch(line))]
    at = 0
    while at < len(marks):
        start, (margin, mark, _) = marks[at][0], marks[at][1].groups()
        later = (k for k in range(at + 1, len(marks)) if marks[k][1][2].startswith(mark))
        ends = list(islice(later, _ENDS))
        contents = []
        for end in [marks[k][0] for k in ends] or [len(lines)]:
            inner = (re.sub(rf"^[ \t]{{0,{len(margin)}}}", "", x) for x in lines[start + 1 : end])
            contents.append(textwrap.dedent("\n".join(inner)))
        fit = next((n for n, content in enumerate(contents) if _parsed(content)), 0)
        yield contents[fit]
        if not ends:
            return
        # A mark with a language opens the next block: this one was never closed.
        at = ends[fit] + (not marks[ends[fit]][1][3][:1].isalpha())


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


class _Statement:
    """A statement at the top level: its text, the names that it binds, looks up and may change."""

    def __init__(self, node: ast.stmt, text: str) -> None:
        self.node, self.text = node, text
        code = compile(ast.Module([node], []), "<answer>", "exec")
        self.binds = {name for operation, name in _names(code) if operation.startswith("STORE")}
        self._at_once = {name for operation, name in _names(code) if operation == "LOAD_NAME"}
        self.uses = {name for _, name in _names(code, within=True)}
        self.changes = {*_changed(node)} & self.uses
        self.is_definition = isinstance(node, (*_Named, *_Imports))
        if isinstance(node, _Imports) and node.names[0].name == "*":
            self.binds = {"*"}
        if isinstance(node, _Functions) and all(map(_says_nothing, node.body)):
            self.binds = set()  # a signature, such as the prompt's

    def kept(self, is_needed: bool) -> str:
        """The text; within a `try` where it may fail what does without it."""
        dump = ast.dump(self.node)
        plain = isinstance(self.node, ast.Assign | ast.AnnAssign) and "Call(" not in dump
        if (is_needed and (self.is_definition or plain)) or self._is_harmless:
            return self.text
        text = f"try:\n{textwrap.indent(self.text, '    ')}\nexcept BaseException:\n    pass"
        module = _parsed(text)  # a string of several lines may not be indented
        body = module.body[0].body if module and isinstance(module.body[0], ast.Try) else []
        return text if [*map(ast.dump, body)] == [dump] else self.text

    @property
    def _is_harmless(self) -> bool:
        """Whether it is a function that needs nothing yet, or an import of Python's own library."""
        if isinstance(self.node, _Functions):
            return self._at_once <= {*dir(builtins)}
        if isinstance(self.node, ast.ImportFrom) and not self.node.level:
            names = [str(self.node.module)]
        else:
            names = (
                [a.name for a in self.node.names] if isinstance(self.node, ast.Import) else ["."]
            )
        return {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def _names(code: CodeType, within: bool = False) -> Iterator[tuple[str, str]]:
    """Global names in a code object, or also in those within it, each with the operation."""
    for step in dis.get_instructions(code):
        if step.opname.endswith(("_NAME", "_GLOBAL")):
            yield step.opname, step.argval
        elif within and isinstance(step.argval, CodeType):
            yield from _names(step.argval, within)


def _says_nothing(node: ast.stmt) -> bool:
    """Whether a statement leaves a function's body unwritten."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_open = isinstance(node, ast.Raise) and "NotImplemented" in ast.dump(node)
    return is_text or is_open or isinstance(node, ast.Pass)


def _changed(node: ast.AST) -> Iterator[str]:
    """Names of what may be changed in a statement, or by the functions that it defines."""
    for part in ast.walk(node):
        match part:
            case ast.Global():
                yield from part.names
            case ast.Call(function, arguments):
                yield from (value.id for value in arguments if isinstance(value, ast.Name))
                yield from _root(function) if isinstance(function, ast.Attribute) else ()
            case ast.Attribute() | ast.Subscript() if not isinstance(part.ctx, ast.Load):
                yield from _root(part)


def _root(node: ast.AST) -> Iterator[str]:
    """The name at the root of ``a.b[c].d()``."""
    inner: ast.AST | None = node
    while inner is not None and not isinstance(inner, ast.Name):
        inner = getattr(inner, "func", None) or getattr(inner, "value", None)
    yield from [inner.id] if inner else []


def _statements(text: str) -> list[_Statement]:
    """The statements of a block, or of the longest part of it that is a program."""
    module = _parsed(text)
    if module is None:
        text = longest_code(text)
        module = _parsed(text) or ast.Module([], [])
    lines, statements, ended = text.split("\n"), list[_Statement](), 0
    for node, after in zip_longest(module.body, module.body[1:]):
        first = min([node, *getattr(node, "decorator_list", ())], key=lambda n: n.lineno).lineno
        source = "\n".join(lines[first - 1 : node.end_lineno])
        if first == ended or (after and after.lineno == node.end_lineno):
            source = ast.unparse(node)  # one of several on a line
        ended = node.end_lineno or 0
        with suppress(SyntaxError):  # `return` or `await` outside of a function
            if not _is_example(node):
                statements.append(_Statement(node, source))
    return statements


def _is_example(node: ast.stmt) -> bool:
    """Whether it is a script's main part, or puts a result in the function's place."""
    match node:
        case ast.If(test=test):
            return "__name__" in ast.dump(test)
        case ast.Assign([ast.Name(name)], ast.Call(ast.Name(function))):
            return name == function
    return False


def _program(blocks: Iterable[str], asked: set[str]) -> str | None:
    """What defines the names, from the last block that does, and what that needs from others."""
    kept: list[_Statement] = []
    needed: set[_Statement] = set()
    missing = set(asked)
    for block in reversed([_statements(text) for text in blocks]):
        mine = _needed(block, missing)
        if not kept and not any(statement.binds & asked for statement in mine):
            continue
        needed |= mine
        kept = [s for s in block if s in mine or (not kept and s.is_definition)] + kept
        known = {name for statement in kept for name in statement.binds}
        missing = asked.union(*(s.uses for s in needed)) - known - {*dir(builtins)}
    # Imports from the future come first.
    kept.sort(key=lambda statement: "module='__future__'" not in ast.dump(statement.node)[:40])
    return "\n".join(statement.kept(statement in needed) for statement in kept) or None


def _needed(block: list[_Statement], names: set[str]) -> set[_Statement]:
    """The statements that bind or may change the names, or what those need in turn."""
    made = {s.node.name: s for s in block if isinstance(s.node, _Named)}
    modules = {name for s in block if isinstance(s.node, _Imports) for name in s.binds}
    calls = {s: s.uses & made.keys() for s in block}
    changes: dict[str, set[str]] = {}
    grown = {name: s.changes - modules for name, s in made.items()}
    while changes != grown:  # what they call may change more
        changes = grown
        grown = {n: changes[n].union(*(changes[f] for f in calls[s])) for n, s in made.items()}
    touched = {s: {*s.binds} for s in block}
    for s in (s for s in block if not s.is_definition):
        touched[s] |= (s.changes - modules).union(*(changes[name] for name in calls[s]))
        if s.changes & modules and not calls[s]:
            touched[s].add(".")  # such as `sys.setrecursionlimit(10**6)`
    needed, wanted = set[_Statement](), names | {"*"}
    while found := [s for s in block if s not in needed and not touched[s].isdisjoint(wanted)]:
        needed.update(found)
        wanted = wanted.union(".", *(s.uses for s in found))
    return needed


def programs_in(
    box: object, completion: str, task: dict[str, Any], extractions: Sequence[Extraction]
) -> list[str | None]:
    """A judge's worker's part, which needs no box: a program by each extraction.

    Where two are the same program they are one text. None: the search was given up.
    """
    entry_point, prompt = task["entry_point"], task["prompt"]
    programs: dict[str | None, str | None] = {}  # by syntax tree
    found = []
    for extraction in extractions:
        text = completion if extraction == "evalplus" else _THOUGHTS.sub("", completion)
        try:
            names = task.get("names") or [entry_point]
            program = None if extraction == "evalplus" else whole(text, names, prompt)
            program = solution(text, entry_point, prompt) if program is None else program
        except GivenUp:
            program = None
        module = program and _parsed(program)
        try:
            found.append(programs.setdefault(ast.dump(module) if module else program, program))
        except RecursionError:
            found.append(program)
    return found

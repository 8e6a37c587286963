"""Templates of turns, in the manner of `str.format`, and the filters of code in them.

Only a template is parsed, never a value: ``{chat[user]}``, ``{code:FILTER[ARGUMENT]:strip}``.
"""

import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile

import tree_sitter_java
import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.columns import ChatTurn, FieldError, text_in
from mixmerge.data.rows import Row

#: The authors' regular expression. A literal that has its lines to itself takes them along; one
#: within a line leaves the rest.
_TRIPLE = r"[rRbBuUfF]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?''')"
_ALONE = re.compile(rf"^[ \t]*{_TRIPLE}[ \t]*;?[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)

_SPACE = rb"(?:[ \t\f]|\\\r?\n)*"
#: What goes with a docstring, and with a doc comment, behind it, and the line's end if it is there.
_AFTER = re.compile(rb"(" + _SPACE + rb"(?:;" + _SPACE + rb")?)(\r?\n|\Z)?")
_BLANK = re.compile(rb"([ \t\f]*)(\r?\n|\Z)?")
_TEXT_LITERAL = re.compile(rb"u?r?[\"']", re.IGNORECASE)

_PYTHON, _JAVA = Language(tree_sitter_python.language()), Language(tree_sitter_java.language())
_SCOPES = "(function_definition body: (block) @node) (class_definition body: (block) @node)"
_BODIES = Query(_PYTHON, _SCOPES)
_VALUES = [f"{kind}_declaration" for kind in ("field", "constant", "annotation_type_element")]
_CODE = ("class", "interface", "enum", "record", "annotation_type", "method", "constructor")
#: Right above these any comment goes: CodeSearchNet, where CodeXGLUE's pairs come from, took those
#: for the docstring.
_COMMENTED = [f"{kind}_declaration" for kind in (*_CODE, "compact_constructor")]
_DECLARATIONS = Query(_JAVA, f"[({') ('.join([*_VALUES, *_COMMENTED, 'enum_constant'])})] @node")

Cut = tuple[int, int, bytes]  # start, end, and what takes the place


def without_triple_quoted(code: str) -> str:
    """Remove every triple-quoted string, docstring or not, as the paper's authors did."""
    return re.sub(_TRIPLE, "", _ALONE.sub("", code), flags=re.DOTALL)


def without_docstrings(code: str, language: str = "python") -> str:
    """Remove docstrings or doc comments from a file, a function or a fragment."""
    # A lone surrogate (half an emoji) has no UTF-8 of its own, but must survive.
    source = code.encode("utf-8", "surrogatepass")
    left = []
    place = 0
    # A lone \r ends a line in both languages, which the parsers don't know; no place moves.
    for start, end, instead in sorted(LANGUAGES[language](re.sub(rb"\r(?!\n)", b"\n", source))):
        left += [source[place:start], instead]
        place = max(place, end)
    return b"".join([*left, source[place:]]).decode("utf-8", "surrogatepass")


def _parsed(query: Query, language: Language, source: bytes) -> tuple[Node, list[Node]]:
    """A syntax tree, and the nodes in it that a query asks for."""
    root = Parser(language).parse(source).root_node
    return root, QueryCursor(query).captures(root).get("node", [])


def _python_cuts(source: bytes) -> Iterator[Cut]:
    """Bare string literals at the head of modules, classes and functions; of several all go."""
    root, bodies = _parsed(_BODIES, _PYTHON, source)
    for body in [root, *bodies]:
        statements = [child for child in body.named_children if child.type != "comment"]
        docstrings = list(takewhile(_is_string, statements))
        is_empty = len(docstrings) == len(statements) and body.type == "block"
        for statement in docstrings:
            if is_empty and statement == docstrings[-1]:
                yield statement.start_byte, statement.end_byte, b"pass"
            else:
                yield _whole_lines(source, statement.start_byte, statement.end_byte, _AFTER)


def _is_string(statement: Node) -> bool:
    """Whether a statement is nothing but text literals, no f-string and no bytes."""
    pending = [statement]
    for node in pending:
        if node.type in ("expression_statement", "parenthesized_expression", "concatenated_string"):
            pending += [child for child in node.children if child.type not in ("(", ")", "comment")]
        elif node.type != "string" or node.has_error or not _TEXT_LITERAL.match(node.text or b""):
            return False
    return True


def _java_cuts(source: bytes) -> Iterator[Cut]:
    """The last ``/** */`` before a declaration, as javadoc takes it; some comments besides."""
    # A constructor or a method with its annotations stands alone in the corpora; where it doesn't
    # parse so, it may within a class.
    shift, before, after = 0, b"class _{", b"\n}"
    root, declarations = _parsed(_DECLARATIONS, _JAVA, source)
    if root.has_error:
        wrapped, within = _parsed(_DECLARATIONS, _JAVA, before + source + after)
        if not wrapped.has_error:
            declarations, shift = within, len(before)
    for node in declarations:
        below, attached = node, node.type in _COMMENTED
        while (above := below.prev_sibling) and above.type in ("line_comment", "block_comment"):
            start, end = above.start_byte - shift, above.end_byte - shift
            gap = source.count(b"\n", end, below.start_byte - shift)
            attached = attached and gap <= 1 and _leads_line(source, start)
            is_doc = source.startswith(b"/**", start) and end - start > len(b"/**/")
            if is_doc or attached:
                yield _whole_lines(source, start, end, _BLANK)
            if is_doc:
                break
            below = above


def _leads_line(source: bytes, place: int) -> bool:
    """Whether only white space stands before a place on its line."""
    return not source[source.rfind(b"\n", 0, place) + 1 : place].strip()


def _whole_lines(source: bytes, start: int, end: int, after: re.Pattern[bytes]) -> Cut:
    """A cut with what follows it (``after``), and with its lines if nothing else is on them."""
    follows = after.match(source, end)
    assert follows is not None
    if follows[2] is not None and _leads_line(source, start):
        return source.rfind(b"\n", 0, start) + 1, follows.end(), b""
    return start, follows.end(1), b""


#: What finds the cuts, by language.
LANGUAGES = {"python": _python_cuts, "java": _java_cuts}

#: Filters by name; the first takes a language besides the text.
FILTERS: dict[str, Callable[..., str]] = {
    "without_docstrings": without_docstrings,
    "without_triple_quoted": without_triple_quoted,
    "strip": str.strip,
}
_FILTER = re.compile(rf"({'|'.join(FILTERS)})|(without_docstrings)\[(.+)\]")


@dataclass(frozen=True)
class Turn:
    """A rendered template and where in it each field's value stands."""

    text: str
    spans: tuple[tuple[str, int, int], ...]
    """(field, start, end) in characters of `text`."""
    places: tuple[ChatTurn, ...] = ()
    """Which turns of chats went into it."""

    @property
    def blank(self) -> bool:
        """Whether no field brought anything but white space."""
        return not any(self.text[start:end].strip() for _, start, end in self.spans)


class Template:
    """A parsed template; ``fields`` are all that it reads, those that name a language last."""

    def __init__(self, text: str, where: str, role: str | None = None) -> None:
        """Parse; ``where`` is the template's place in the config, for messages.

        Fields that name a chat's turn by position take it from this ``role`` alone.
        """
        self._role = role
        try:
            parsed = list(string.Formatter().parse(text))
            if any(field == "" or conversion for _, field, _, conversion in parsed):
                raise ValueError("a field without a name, or with a conversion")
        except ValueError as error:
            way_out = "write a field as {name}, write a literal brace twice: {{ }}"
            raise UserError(f"{where}: not a template ({error}); {way_out}") from None
        #: Literal text, the field after it, and the field's filters with their languages.
        self._pieces: list[tuple[str, str | None, list[tuple[str, str | None]]]] = []
        for literal, field, spec, _ in parsed:
            filters = []
            for name in filter(None, (spec or "").split(":")):
                if (match := _FILTER.fullmatch(name)) is None:
                    problem = f"unknown filter {name!r}{nearest(name, FILTERS)}"
                    raise UserError(f"{where}: {{{field}:{spec}}}: {problem}")
                filters.append((match[1] or match[2], match[3]))
            self._pieces.append((literal, field, filters))
        fields = [field for _, field, _ in self._pieces if field is not None]
        if not fields:
            raise UserError(f"{where}: names no field; write the column to fill in as {{column}}")
        languages = [language for *_, filters in self._pieces for _, language in filters]
        fields += [language for language in languages if language and language not in LANGUAGES]
        self.fields = tuple(dict.fromkeys(fields))

    def render(self, row: Row, columns: dict[str, str]) -> Turn:
        """Fill in a row's values, by field or its column; cut blank lines around the text."""
        text = ""
        spans, places = [], []
        for literal, field, filters in self._pieces:
            text += literal
            if field is not None:
                value, place = text_in(row, columns.get(field, field), self._role)
                places += [place] if place else []
                for name, argument in filters:
                    languages = [_language(row, argument, columns)] if argument else []
                    value = FILTERS[name](value, *languages)
                spans.append((field, len(text), len(text) + len(value)))
                text += value
        text = text.rstrip()
        start = text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1

        def moved(place: int) -> int:
            return min(max(place, start), len(text)) - start

        moved_spans = tuple((field, moved(a), moved(b)) for field, a, b in spans)
        return Turn(text[start:], moved_spans, tuple(places))


def _language(row: Row, argument: str, columns: dict[str, str]) -> str:
    """A language named in brackets, or the row's by the field that is named there."""
    column = columns.get(argument, argument)
    language = argument if argument in LANGUAGES else text_in(row, column)[0]
    if language not in LANGUAGES:
        raise FieldError(
            f"column {column!r} says {language!r}, but docstrings can be told apart only in "
            f"{' and '.join(LANGUAGES)}; leave those rows out, or use `without_triple_quoted`"
        )
    return language

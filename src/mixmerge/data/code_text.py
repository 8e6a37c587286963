"""Source text without its docstrings or doc comments, by syntax; the rest byte for byte.

**Python.** A docstring is a bare string literal at the head of a module, class or function: plain,
raw or `u`-prefixed, of any quotes, concatenated or in parentheses; never an f-string, a bytes
literal or a string that is used. It goes with the lines it has to itself; what shares its line
stays. A body that held nothing else gets ``pass``, so that valid code stays valid. Where several
bare strings stand at the head all of them go, or the second would become the docstring.

**Java.** A doc comment is what javadoc takes for one: the last ``/** */`` before a type, method,
constructor, field, enum constant or annotation element. The comments of any kind that stand
directly above a type, method or constructor go as well, because CodeSearchNet, where CodeXGLUE's
pairs come from, took those for its docstring.

The parser (tree-sitter) is tolerant: methods without their class, indented fragments and Python 2
are read like anything else. Around a syntax error it still finds the definitions that it can make
out. Texts that hold no string, or no comment, aren't parsed at all.
"""

import re
from collections.abc import Callable, Iterator
from itertools import takewhile

import tree_sitter_java
import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor

#: The authors' regular expression. A literal that has its lines to itself takes them along; one
#: within a line leaves the rest.
_TRIPLE = r"[rRbBuUfF]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?''')"
_ALONE = re.compile(rf"^[ \t]*{_TRIPLE}[ \t]*;?[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_ANYWHERE = re.compile(_TRIPLE, re.DOTALL)

_SPACE = rb"(?:[ \t\f]|\\\r?\n)*"
#: What goes with a docstring, and with a doc comment, behind it.
_AFTER, _BLANK = re.compile(_SPACE + rb"(?:;" + _SPACE + rb")?"), re.compile(rb"[ \t\f]*")
_LINE_END = re.compile(rb"\r?\n|\r|\Z")
_OLD_MAC = re.compile(rb"\r(?!\n)")

_PYTHON, _JAVA = Language(tree_sitter_python.language()), Language(tree_sitter_java.language())
_BODIES = Query(
    _PYTHON,
    "(function_definition body: (block) @node) (class_definition body: (block) @node)",
)
#: Below these a comment right above counts as well as a doc comment.
_CODE = {
    "class_declaration", "interface_declaration", "enum_declaration", "record_declaration",
    "annotation_type_declaration", "method_declaration", "constructor_declaration",
    "compact_constructor_declaration",
}  # fmt: skip
_DECLARATIONS = Query(
    _JAVA,
    f"[({') ('.join(sorted(_CODE))}) (field_declaration) (constant_declaration) (enum_constant)"
    " (annotation_type_element_declaration)] @node",
)

Cut = tuple[int, int, bytes]
"""Start, end, and what takes the place."""


def without_triple_quoted(code: str) -> str:
    """Remove every triple-quoted string, docstring or not, as the paper's authors did."""
    return _ANYWHERE.sub("", _ALONE.sub("", code))


def without_docstrings(code: str, language: str = "python") -> str:
    """Remove docstrings or doc comments from a file, a function or a fragment."""
    find_cuts, signs = LANGUAGES[language]
    if not any(sign in code for sign in signs):
        return code
    # A lone surrogate (half an emoji) has no UTF-8 of its own, but must survive.
    source = code.encode("utf-8", "surrogatepass")
    for start, end, instead in sorted(find_cuts(source), reverse=True):
        source = source[:start] + instead + source[end:]
    return source.decode("utf-8", "surrogatepass")


def _parsed(query: Query, language: Language, source: bytes) -> tuple[Node, list[Node]]:
    """A syntax tree, and the nodes in it that a query asks for."""
    # A lone \r ends a line in both languages, which the parsers don't know; no place moves.
    root = Parser(language).parse(_OLD_MAC.sub(b"\n", source)).root_node
    return root, QueryCursor(query).captures(root).get("node", [])


def _python_cuts(source: bytes) -> Iterator[Cut]:
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


def _is_string(node: Node) -> bool:
    """Whether a statement is nothing but a text literal."""
    if node.type in ("expression_statement", "parenthesized_expression"):
        inner = [child for child in node.children if child.type not in ("(", ")", "comment")]
        return len(inner) == 1 and _is_string(inner[0])
    if node.type == "concatenated_string":
        return all(_is_string(child) for child in node.children if child.type != "comment")
    if node.type != "string" or node.has_error:
        return False
    return (node.children[0].text or b"").rstrip(b"\"'").lower() in (b"", b"r", b"u", b"ur")


def _java_cuts(source: bytes) -> Iterator[Cut]:
    # A constructor or a method with its annotations stands alone in the corpora; where it doesn't
    # parse so, it may within a class.
    shift, before, after = 0, b"class _{", b"\n}"
    root, declarations = _parsed(_DECLARATIONS, _JAVA, source)
    if root.has_error:
        wrapped, within = _parsed(_DECLARATIONS, _JAVA, before + source + after)
        if not wrapped.has_error:
            declarations, shift = within, len(before)
    for node in declarations:
        below, attached = node, node.type in _CODE
        while (above := below.prev_sibling) and above.type in ("line_comment", "block_comment"):
            start, end = above.start_byte - shift, above.end_byte - shift
            between = source[end : below.start_byte - shift]
            attached = attached and between.count(b"\n") <= 1 and _leads_line(source, start)
            is_doc = source.startswith(b"/**", start) and end - start > len(b"/**/")
            if is_doc or attached:
                yield _whole_lines(source, start, end, _BLANK)
            if is_doc:
                break
            below = above


def _leads_line(source: bytes, place: int) -> bool:
    """Whether only white space stands before a place on its line."""
    return not source[_line_start(source, place) : place].strip()


def _line_start(source: bytes, place: int) -> int:
    return max(source.rfind(b"\n", 0, place), source.rfind(b"\r", 0, place)) + 1


def _whole_lines(source: bytes, start: int, end: int, after: re.Pattern[bytes]) -> Cut:
    """A cut with what follows it (``after``), and with its lines if nothing else is on them."""
    follows = after.match(source, end)
    assert follows is not None
    line_end = _LINE_END.match(source, follows.end())
    if line_end and _leads_line(source, start):
        return _line_start(source, start), line_end.end(), b""
    return start, follows.end(), b""


LANGUAGES: dict[str, tuple[Callable[[bytes], Iterator[Cut]], tuple[str, ...]]] = {
    "python": (_python_cuts, ('"', "'")),
    "java": (_java_cuts, ("/*", "//")),
}
"""Language -> what finds its cuts, and the signs without one of which there are none."""

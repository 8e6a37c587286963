"""Strict YAML: what a parser passes over without a word is refused here, with file and line.

YAML lets a key come twice in a mapping and takes the last: of two models of one name, one would
silently be gone. It lets an alias stand inside what it names, and a few aliases of aliases be
millions of values.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mixmerge.core.errors import UserError, not_a_file

#: Values that a document may have, aliases written out; the largest study has a few thousand.
_MOST = 200_000

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"

#: Bytes that some editors begin a text with, and the encoding that they tell of.
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_yaml(path: Path) -> Any:
    """Read a YAML (or JSON) file.

    Raises:
        UserError: it cannot be read, is no UTF-8 or no YAML, has a key twice in one mapping, an
            alias that stands in itself, or a date or number that there is not. The message names
            file, line and the way out.
    """
    text = _text(path)
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON may be indented with tabs
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise UserError(f"{path}: holds nothing; write the study's sections into it")
            for part in _parts(node, path):
                _check(part, loader, path)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise UserError(_explained(error, path)) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(
            f"{path}:{line}: not valid YAML: holds the character {error.character:#04x}; delete it"
        ) from None


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: {not_a_file(path)}") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; check where it leads and who may read it"
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        kind = _MARKS.get(raw[:2])
        what = f"it is {kind}" if kind else f"byte {raw[error.start]:#04x}"
        raise UserError(f"{path}:{line}: not UTF-8 ({what}); save the file as UTF-8") from None


def _parts(root: yaml.Node, path: Path) -> Iterator[yaml.Node]:
    """Every node, aliases written out."""
    seen = 0
    todo: list[tuple[yaml.Node, tuple[int, ...]]] = [(root, ())]
    while todo:
        node, above = todo.pop()
        if id(node) in above:
            raise UserError(
                f"{_place(path, node)}: an alias (`*...`) stands inside of what it names; write "
                "the value out"
            )
        seen += 1
        if seen > _MOST:
            raise UserError(
                f"{path}: its aliases (`*...`) stand for more than {_MOST} values; write out what "
                "is meant"
            )
        yield node
        if isinstance(node, yaml.CollectionNode):
            inner = (*above, id(node))
            children = node.value
            if isinstance(node, yaml.MappingNode):
                children = [part for pair in node.value for part in pair]
            todo += [(child, inner) for child in reversed(children)]


def _check(node: yaml.Node, loader: yaml.SafeLoader, path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.tag != _TEXT:
                    read = loader.construct_object(key)
                    raise UserError(
                        f"{_place(path, key)}: the key {key.value} is read as {read!r}, not as a "
                        "name; put it in quotes"
                    )
                if key.value in first:
                    raise UserError(
                        f"{_place(path, key)}: {key.value!r} comes twice, first in line "
                        f"{first[key.value].start_mark.line + 1}; rename or delete one of the two"
                    )
                first[key.value] = key
    elif isinstance(node, yaml.ScalarNode) and node.tag != _MERGE:
        try:
            loader.construct_object(node)
        except ValueError as error:  # the 30th of February, or a number of thousands of digits
            shown = node.value if len(node.value) < 40 else f"{node.value[:30]}..."
            why = "too many digits" if "digits" in str(error) else str(error)
            raise UserError(
                f"{_place(path, node)}: {shown} is no value: {why}; put it in quotes if it is text"
            ) from None


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _explained(error: yaml.MarkedYAMLError, path: Path) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    why = " ".join(part for part in (error.context, error.problem) if part)
    advice = (
        "indent with blanks, not with tabs" if "\\t" in why else "mend the line, or the one above"
    )
    return f"{place}: not valid YAML: {why}; {advice}"

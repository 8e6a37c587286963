"""Reading a study's YAML into `StudyConfig`, with messages for people."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mixmerge.config.checks import problems
from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.redaction import exposed
from mixmerge.core.section import in_words

#: What pydantic puts into an error's location besides keys: tags of unions, and types.
_TAGS = {"hub", "local", "gguf", "embedded", "packages", "code", "summary"}
_TYPES = {"float", "int", "str", "list"}

#: Said in place of the value.
_SECRET = (
    "holds a token, key or password (or a URL with one, or what a variable of your environment "
    "holds that is named so), which would be copied into logs and records; take it out, and give "
    "it in the environment: HF_TOKEN, HF_ENDPOINT, PIP_INDEX_URL, SNAKEMAKE_STORAGE_S3_ACCESS_KEY "
    "and _SECRET_KEY, or the programs' own login"
)

#: Values that a document may have, aliases written out; the largest study has a few thousand.
_MOST = 200_000

_MERGE = "tag:yaml.org,2002:merge"


def load_config(path: Path) -> StudyConfig:
    """Read and check one YAML file; raises `UserError` as `read_yaml` and `parse_config` do."""
    return parse_config(read_yaml(path), str(path))


def parse_config(data: Any, where: str) -> StudyConfig:
    """Check a study's configuration that is already in memory (Snakemake's merged ``config``).

    Raises `UserError`: a line for each problem, with ``where`` (usually the file) and the field.
    """
    if places := list(exposed(data)):
        raise UserError("\n".join(f"{where}: {place}: {_SECRET}" for place in places))
    try:
        config = StudyConfig.model_validate(data)
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for problem in error.errors():
            parts = [str(part) for part in problem["loc"]]
            if len(parts) > 2 and parts[0] in ("models", "sources", "suites") and parts[2] in _TAGS:
                del parts[2]
            field = ".".join(part for part in parts if "[" not in part and part not in _TYPES)
            # Of a value that may be of several types, pydantic tells of each; the first will do.
            if problem["type"] == "value_error" or field not in fields:
                lines = [f"{field}: {line}" for line in in_words(problem).splitlines()]
                fields.setdefault(field, []).extend(line.removeprefix(": ") for line in lines)
        mistakes = [line for lines in fields.values() for line in lines]
    else:
        mistakes = [line for text in problems(config) for line in text.splitlines()]
    if mistakes:
        raise UserError("\n".join(f"{where}: {line}" for line in dict.fromkeys(mistakes)))
    return config


def read_yaml(path: Path) -> Any:
    """Read a YAML (or JSON) file.

    Raises `UserError`, with file, line and way out: it cannot be read, is no UTF-8 or no YAML, or
    holds what `_value_of` refuses.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: {not_a_file(path)}") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; check where it leads and who may read it"
        ) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        is_utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")  # some editors begin with this mark
        what = "it is UTF-16" if is_utf16 else f"byte {raw[error.start]:#04x}"
        raise UserError(f"{path}:{line}: not UTF-8 ({what}); save the file as UTF-8") from None
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON may be indented with tabs
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        data = None if root is None else _value_of(root, loader, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        why = " ".join(filter(None, (error.context, error.problem)))
        advice = "mend the line, or the one above"
        if "\\t" in why:
            advice = "indent with blanks, not with tabs"
        raise UserError(f"{place}: not valid YAML: {why}; {advice}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deep to be read; write it flatter") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(
            f"{path}:{line}: not valid YAML: holds the character {error.character:#04x}; delete it"
        ) from None
    if data is None:
        raise UserError(f"{path}: holds nothing; write the study's sections into it")
    return data


def _value_of(root: yaml.Node, loader: yaml.SafeLoader, path: Path) -> Any:
    """The value of a document; refuses what YAML takes for something else in silence.

    Of two equal keys it takes the last: of two models of one name, one would be gone. An alias may
    stand inside what it names, and a few aliases of aliases be millions of values.
    """
    todo = [(root, False)]
    count = 0
    while todo:
        node, is_key = todo.pop()
        count += 1
        place = f"{path}:{node.start_mark.line + 1}"
        parts: list[tuple[yaml.Node, bool]] = []
        if count > _MOST:
            raise UserError(
                f"{place}: its aliases (`*...`) stand for more than {_MOST} values, or an alias "
                "stands inside of what it names; write the values out"
            )
        if isinstance(node, yaml.SequenceNode):
            parts = [(item, False) for item in node.value]
        elif isinstance(node, yaml.MappingNode):
            names: dict[str, yaml.Node] = {}
            for key, value in node.value:
                if key.tag == _MERGE:
                    parts.append((value, False))
                    continue
                parts += [(key, True), (value, False)]
                first = names.setdefault(str(key.value), key)
                if first is not key and isinstance(key, yaml.ScalarNode):
                    raise UserError(
                        f"{path}:{key.start_mark.line + 1}: {key.value!r} comes twice, first in "
                        f"line {first.start_mark.line + 1}; rename or delete one of the two"
                    )
        else:
            shown = node.value if len(node.value) < 40 else f"{node.value[:30]}..."
            try:
                value = loader.construct_object(node)
            except (ValueError, LookupError, AttributeError) as error:  # such as 30 February
                why = "too many digits" if "digits" in str(error) else str(error)
                raise UserError(
                    f"{place}: {shown} is no value: {why}; put it in quotes if it is text"
                ) from None
            if is_key and not isinstance(value, str):
                raise UserError(
                    f"{place}: the key {shown} is read as {value!r}, no name; put it in quotes"
                )
        todo += reversed(parts)
    return loader.construct_document(root)

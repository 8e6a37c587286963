"""Reading a study's YAML into `StudyConfig`, with messages for people.

YAML takes the last of two equal keys: of two models of one name, one would silently be gone. It
lets an alias stand inside what it names, and a few aliases of aliases be millions of values.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mixmerge.config.checks import problems
from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError, not_a_file
from mixmerge.core.redaction import exposed
from mixmerge.core.section import in_words

#: Tags of discriminated unions, which pydantic puts into an error's location.
_TAGS = {"hub", "local", "gguf", "embedded", "packages", "code", "summary"}

#: Said in place of the value.
_SECRET = (
    "holds a token, key or password (or a URL with one, or what a variable of your environment "
    "holds that is named TOKEN, PASSWORD or the like), which would be copied into logs and "
    "records; take it out, and give it in the environment: HF_TOKEN, HF_ENDPOINT, PIP_INDEX_URL, "
    "SNAKEMAKE_STORAGE_S3_ACCESS_KEY and _SECRET_KEY, or the programs' own login"
)

#: Values that a document may have, aliases written out; the largest study has a few thousand.
_MOST = 200_000

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


def load_config(path: Path) -> StudyConfig:
    """Read and check one YAML file.

    Raises:
        UserError: missing file, invalid YAML, or any value that fails its check; the message has
            one line for each problem, with the file and the path of the field.
    """
    return parse_config(read_yaml(path), str(path))


def parse_config(data: Any, where: str) -> StudyConfig:
    """Check a study's configuration that is already in memory (Snakemake's merged ``config``).

    Args:
        data: the mapping.
        where: what to call it in messages, usually the file.
    """
    if not isinstance(data, dict):
        raise UserError(
            f"{where}: expected a mapping of sections, found {type(data).__name__}; begin with "
            "`study:` and its name"
        )
    if places := list(exposed(data)):
        raise UserError("\n".join(f"{where}: {place}: {_SECRET}" for place in places))
    try:
        config = StudyConfig.model_validate(data)
    except ValidationError as error:
        lines: dict[str, list[str]] = {}
        for problem in error.errors():
            field = ".".join(_location(problem["loc"]))
            # Of a value that may be of several types, pydantic tells of each; the first will do.
            if problem["type"] == "value_error" or field not in lines:
                messages = in_words(problem).splitlines()
                lines.setdefault(field, []).extend(
                    f"{field}: {line}" if field else line for line in messages
                )
        raise _refused(where, (line for messages in lines.values() for line in messages)) from None
    if mistakes := list(problems(config)):
        raise _refused(where, mistakes)
    return config


def _refused(where: str, problems: Iterable[str]) -> UserError:
    lines = [f"{where}: {line}" for problem in problems for line in problem.splitlines()]
    return UserError("\n".join(dict.fromkeys(lines)))


def _location(loc: tuple[int | str, ...]) -> list[str]:
    """The user's path to a field: without the union tags and type names pydantic adds."""
    parts = [str(part) for part in loc]
    if len(parts) > 2 and parts[0] in ("models", "sources", "suites") and parts[2] in _TAGS:
        del parts[2]
    types = ("float", "int", "str", "list")
    return [part for part in parts if "[" not in part and part not in types]


class _Loader(yaml.SafeLoader):
    """A loader that refuses what YAML's own silently takes for something else."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        # A mapping that was constructed already has the keys of what it merges among its own.
        seen = node in self.constructed_objects or node in self.recursive_objects
        if isinstance(node, yaml.MappingNode) and not seen:
            self._check_keys(node)
        try:
            return super().construct_object(node, deep=True)
        except ValueError as error:  # the 30th of February, or a number of thousands of digits
            shown = node.value if len(node.value) < 40 else f"{node.value[:30]}..."
            why = "too many digits" if "digits" in str(error) else str(error)
            raise _Refused(
                node, f"{shown} is no value: {why}; put it in quotes if it is text"
            ) from None

    def _check_keys(self, mapping: yaml.MappingNode) -> None:
        first: dict[str, yaml.Node] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.tag != _TEXT:
                read = self.construct_object(key)
                raise _Refused(
                    key,
                    f"the key {key.value} is read as {read!r}, not as a name; put it in quotes",
                )
            if key.value in first:
                raise _Refused(
                    key,
                    f"{key.value!r} comes twice, first in line "
                    f"{first[key.value].start_mark.line + 1}; rename or delete one of the two",
                )
            first[key.value] = key


class _Refused(Exception):
    """A node that is refused, and why."""

    def __init__(self, node: yaml.Node, why: str) -> None:
        super().__init__(why)
        self.line = node.start_mark.line + 1


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
        data = yaml.load(text, _Loader)
    except _Refused as refused:
        raise UserError(f"{path}:{refused.line}: {refused}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        why = " ".join(part for part in (error.context, error.problem) if part)
        advice = "mend the line, or the one above"
        if "\\t" in why:
            advice = "indent with blanks, not with tabs"
        if "recursive" in why:
            advice = "an alias (`*...`) stands inside of what it names; write the value out"
        raise UserError(f"{place}: not valid YAML: {why}; {advice}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(
            f"{path}:{line}: not valid YAML: holds the character {error.character:#04x}; delete it"
        ) from None
    if data is None:
        raise UserError(f"{path}: holds nothing; write the study's sections into it")
    todo, seen = [data], 0
    while todo:
        value, seen = todo.pop(), seen + 1
        if seen > _MOST:
            raise UserError(
                f"{path}: its aliases (`*...`) stand for more than {_MOST} values; write out what "
                "is meant"
            )
        if isinstance(value, dict | list):
            todo += value.values() if isinstance(value, dict) else value
    return data


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
        is_utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")  # some editors begin with this mark
        what = "it is UTF-16" if is_utf16 else f"byte {raw[error.start]:#04x}"
        raise UserError(f"{path}:{line}: not UTF-8 ({what}); save the file as UTF-8") from None

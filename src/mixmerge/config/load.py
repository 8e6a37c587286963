"""Reading a study's YAML into `StudyConfig`, with messages for people."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixmerge.config.document import read_yaml
from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError
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
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        lines = []
        told = set()
        for problem in error.errors():
            field = ".".join(_location(problem["loc"]))
            # Of a value that may be of several types, pydantic tells of each; the first will do.
            if problem["type"] != "value_error" and field in told:
                continue
            told.add(field)
            for line in in_words(problem).splitlines():
                lines.append(f"{where}: {field + ': ' if field else ''}{line}")
        raise UserError("\n".join(dict.fromkeys(lines))) from None


def _location(loc: tuple[int | str, ...]) -> list[str]:
    """The user's path to a field: without the union tags and type names pydantic adds."""
    parts: list[str] = []
    for depth, part in enumerate(loc):
        text = str(part)
        is_tag = depth == 2 and text in _TAGS and loc[0] in ("models", "sources", "suites")
        is_type = "[" in text or text in ("float", "int", "str", "list")
        if not is_tag and not is_type:
            parts.append(text)
    return parts

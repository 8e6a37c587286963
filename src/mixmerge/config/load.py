"""Reading a study's YAML into `StudyConfig`, with messages for people."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mixmerge.config.study import StudyConfig
from mixmerge.errors import UserError

#: Tags of discriminated unions, which pydantic puts into an error's location.
_TAGS = {"hub", "local", "gguf", "embedded", "packages", "code", "summary"}


def load_config(path: Path) -> StudyConfig:
    """Read and check one YAML file.

    Raises:
        UserError: missing file, invalid YAML, or any value that fails its check; the message has
            one line for each problem, with the file and the path of the field.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: file not found") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    return parse_config(data, str(path))


def parse_config(data: Any, where: str) -> StudyConfig:
    """Check a study's configuration that is already in memory (Snakemake's merged ``config``).

    Args:
        data: the mapping.
        where: what to call it in messages, usually the file.
    """
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected a mapping of sections, found {type(data).__name__}")
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            field = ".".join(_location(problem["loc"]))
            message = problem["msg"].removeprefix("Value error, ")
            shown = ""
            if problem["type"] != "value_error" and problem["type"] != "missing":
                shown = f" (found {problem['input']!r})"
            for line in message.splitlines():
                lines.append(f"{where}: {field + ': ' if field else ''}{line}{shown}")
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

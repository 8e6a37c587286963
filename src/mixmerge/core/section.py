"""What all config sections share: strictness, and names that are safe in paths."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mixmerge.core.errors import UserError, nearest

_NAME = r"^[a-z0-9][a-z0-9._]*(-[a-z0-9._]+)*$"

#: A key that becomes part of a path and of a Snakemake wildcard: lower case, no separators. Names
#: of several are joined into one file's, of which file systems take 255 bytes.
Name = Annotated[str, Field(pattern=_NAME, max_length=80)]


class Section(BaseModel):
    """A frozen section that refuses keys it does not know and names the nearest one it does."""

    # Fields' docstrings are read by `tools/config_reference.py` alone: beside torch's modules it
    # takes pydantic 50 ms a section.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        # pydantic's own message ("Extra inputs are not permitted") has no way out in it.
        for key, value in data.items() if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {key!r}{nearest(str(key), cls.model_fields)}")
            if isinstance(value, int) and abs(value) >= 2**63:  # libraries keep 64 bits
                raise ValueError(f"{key}: {str(value)[:9]}... is larger than any machine counts")
        return data


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit, and no tag or branch."""
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


class Pinned(Section):
    """What every entry says that comes from the hub."""

    revision: str = Field(
        description="Commit: 40 hexadecimal digits. A tag or a branch can move and needs "
        "`allow_moving`."
    )
    allow_moving: bool = Field(
        False,
        description="Accept a tag or a branch as `revision`. The commit at which it stood is "
        "recorded with what was fetched, and the job stops where it has moved since.",
    )

    @model_validator(mode="after")
    def _is_pinned(self) -> "Pinned":
        if not (self.allow_moving or is_commit(self.revision)):
            raise ValueError(
                f"revision: {self.revision!r} is no commit but a tag or a branch, which may move; "
                "write the commit (40 hexadecimal digits), or set allow_moving: true"
            )
        return self


def validated(kind: Any, value: Any, where: str) -> Any:
    """Validate decoded JSON or YAML as a section or a union of sections, named ``where``."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise explained(error, where) from None


def explained(error: ValidationError, where: str) -> UserError:
    """A validation error as a message for people: one line for each problem."""
    lines = []
    for problem in error.errors():
        parts = (where, ".".join(map(str, problem["loc"])), in_words(problem))
        lines.append(": ".join(filter(None, parts)))
    return UserError("\n".join(dict.fromkeys(lines)))


def in_words(problem: ErrorDetails) -> str:
    """What is wrong with a value and what would be right, from pydantic's finding."""
    kind, message, context = problem["type"], problem["msg"], problem.get("ctx", {})
    match kind:
        case "value_error":
            return message.removeprefix("Value error, ")
        case "missing":
            return "missing; add it"
        case "union_tag_invalid":
            names = [name.strip("' ") for name in context["expected_tags"].split(",")]
            hint = nearest(context["tag"], names).partition("; known")[0]
            field = context["discriminator"].strip("'")
            return f"{field}: {context['tag']!r} is none of {', '.join(names)}{hint}"
        case "union_tag_not_found":
            message = f"{context['discriminator'].strip(chr(39))} is missing; add it"
        case "string_pattern_mismatch" if context["pattern"] == _NAME:
            message = "is no name; write lower-case letters, digits, dots, underscores, "
            message += "with single hyphens in between"
        case "too_short" | "too_long":
            bound = "least {min_length}" if kind == "too_short" else "most {max_length}"
            message = f"{{actual_length}} given, but it takes at {bound}".format(**context)
        case "dict_type" | "model_type" | "model_attributes_type":
            message = "expected a section, `key: value` on lines of their own"
    shown = repr(problem["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{message} (found {shown})"

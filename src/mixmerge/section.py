"""What all config sections share: strictness, and names that are safe in paths."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from mixmerge.errors import UserError, nearest

#: A key that becomes part of a path and of a Snakemake wildcard: lower case, no separators.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._]*(-[a-z0-9._]+)*$")]


class Section(BaseModel):
    """A frozen section that refuses keys it does not know and names the nearest one it does."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        # pydantic's own message ("Extra inputs are not permitted") has no way out in it.
        if isinstance(data, dict):
            known = set(cls.model_fields)
            for key in data:
                if key not in known:
                    raise ValueError(f"unknown key {key!r}{nearest(str(key), known)}")
        return data


def validated(kind: Any, value: Any, where: str) -> Any:
    """Validate a section's values, such as a job's settings from the command line.

    Args:
        kind: a section, or a union of sections.
        value: the decoded JSON or YAML.
        where: what to call it in messages, such as ``--settings``.

    Raises:
        UserError: one line for each problem, with the path of the field.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise explained(error, where) from None


def explained(error: ValidationError, where: str) -> UserError:
    """A validation error as a message for people: one line for each problem."""
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {field + ': ' if field else ''}{message}")
    return UserError("\n".join(dict.fromkeys(lines)))

"""What jobs of the data stage are told: only what their output depends on.

A title that changes must not train anything again, so jobs get these small sections instead of
the study's `Task` and `Suite`.
"""

from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from mixmerge.errors import UserError
from mixmerge.section import Section

T = TypeVar("T")


class Templates(Section):
    """How a row becomes a conversation; see `mixmerge.data.template` for the language."""

    system: str | None = None
    """System message, taken literally; none by default."""

    prompt: str
    """Template of the user's turn."""

    answer: str
    """Template of the assistant's turn."""


class Columns(Section):
    """What of a source matters for mapping its rows."""

    columns: dict[str, str] = {}
    """Field of the templates -> column; other fields are columns of their own name."""

    id_column: str | None = None
    """Column with a unique id; a hash of the content where null."""

    on_empty: Literal["error", "drop"] = "error"
    """What happens to rows whose prompt or answer is blank."""


def parse_settings(kind: Any, value: Any, where: str) -> Any:
    """Validate a job's settings, which come from the command line as JSON.

    Args:
        kind: a section, or a union of sections.
        value: the decoded JSON.
        where: what to call it in messages, such as ``--settings``.

    Raises:
        UserError: one line for each problem, with the path of the field.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            field = ".".join(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{where}: {field + ': ' if field else ''}{message}")
        raise UserError("\n".join(dict.fromkeys(lines))) from None

"""What jobs of the data stage are told: only what their output depends on.

A title that changes must not train anything again, so jobs get these small sections instead of
the study's `Task` and `Suite`.
"""

from typing import Literal

from mixmerge.core.section import Section


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

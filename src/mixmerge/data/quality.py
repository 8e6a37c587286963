"""Which documented functions make good rows: bounds, in the manner of CodeSearchNet."""

import re
from typing import Annotated

from pydantic import Field

from mixmerge.core.section import Section


class Quality(Section):
    """Bounds on a documented function; tests, generated and vendored files never count."""

    min_words: Annotated[int, Field(gt=0)] = 3
    """Fewest words of the docstring's first paragraph (CodeXGLUE: 3 tokens)."""

    max_summary: Annotated[int, Field(gt=0)] = 400
    """Most characters of the docstring's first paragraph."""

    min_lines: Annotated[int, Field(gt=0)] = 1
    """Fewest lines of the body that are neither blank nor comments (CodeSearchNet: functions of 3
    lines, docstring and all)."""

    max_code: Annotated[int, Field(gt=0)] = 6000
    """Most characters of the function, docstring included."""

    min_ascii: Annotated[float, Field(ge=0, le=1)] = 0.98
    """Least share of ASCII characters in the docstring; one of the commonest English words must
    stand in its first paragraph besides."""


def canonical(name: str) -> str:
    """A distribution's name as indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

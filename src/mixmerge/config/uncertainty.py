"""Intervals and tests."""

from typing import Annotated

from pydantic import Field

from mixmerge.core.section import Section


class Uncertainty(Section):
    """How sure the numbers are; docs/uncertainty.md has the methods."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of intervals; a difference counts as one where its p-value, corrected after Holm, is
    below one minus this."""

    resamples: Annotated[int, Field(ge=1000)] = 10_000
    """Bootstrap resamples of each suite's items. No p-value can be below 2 / (resamples + 1)."""

"""What the uncertainty rule is told about a model: its checkpoints and columns, but no titles."""

from typing import Any

from mixmerge.report.settings import Layout
from mixmerge.uncertainty.settings import Arm, Measure, Uncertainty, UncertaintySettings


def uncertainty_settings(layout: Layout, model: str, uncertainty: Uncertainty) -> dict[str, Any]:
    """Settings of `uncertainty.py` for one model.

    Args:
        layout: the study's report; what only matters in print is left out, so that a new title
            does not make the rule run again.
        model: key of the model.
        uncertainty: the section of the config.
    """
    entry = layout.model(model)
    settings = UncertaintySettings(
        uncertainty=uncertainty,
        measures=[
            Measure(**column.model_dump(include=set(Measure.model_fields)))
            for column in layout.columns
        ],
        arms=[
            Arm(**variant.model_dump(include=set(Arm.model_fields))) for variant in entry.variants
        ],
        specialists=entry.specialists,
        tasks=[task.key for task in layout.tasks],
        mixture=entry.mixture,
    )
    return settings.model_dump(mode="json")

"""Made-up evidence for the report's tests: simple, with known answers."""

from typing import Any

from mixmerge.report import comparison
from mixmerge.report.layout import Layout, Model
from mixmerge.report.scores import Scores
from mixmerge.study.uncertainty import uncertainty_settings
from mixmerge.uncertainty.analysis import Match, matches
from mixmerge.uncertainty.settings import Uncertainty, UncertaintySettings


def evidence(study: Layout, model: Model, found: Scores) -> dict[str, Any]:
    """A model's intervals and comparisons: 0.05 to each side, and distinguishable unless equal."""
    settings = UncertaintySettings.model_validate(
        uncertainty_settings(study, model.key, Uncertainty())
    )
    averages = {
        variant.name: {
            role: _interval(average, 1.0)
            for role in ("test", "validation")
            if (average := _average(study, model, variant.name, role, found)) is not None
        }
        for variant in model.variants
    }
    return {
        "confidence": 0.95,
        "resamples": 10_000,
        "correction": "holm",
        "intervals": {
            variant.name: {
                column.key: _interval(found[model.key, variant.name].values[column.key], 0.05)
                for column in study.columns
            }
            for variant in model.variants
        },
        "averages": averages,
        "comparisons": [
            _comparison(study, model, match, found)
            for match in matches(settings)
            if match.column != "avg" or "test" in averages[match.variant]
        ],
    }


def _average(study: Layout, model: Model, variant: str, role: Any, found: Scores) -> float | None:
    return comparison.of_variant(study, model, variant, role, found).average


def _interval(value: float, reach: float) -> dict[str, float]:
    return {"value": value, "low": value - reach, "high": value + reach}


def _comparison(study: Layout, model: Model, match: Match, found: Scores) -> dict[str, Any]:
    def value(variant: str) -> float:
        if match.column != "avg":
            return found[model.key, variant].values[match.column]
        return 0.0 if "+" in variant else _average(study, model, variant, "test", found) or 0.0

    difference = value(match.variant) - value(match.reference)
    p = 1.0 if difference == 0 else 0.001
    return {
        **vars(match),
        "difference": difference,
        "low": difference - 0.05,
        "high": difference + 0.05,
        "p": p,
        "p_adjusted": p,
        "method": "bootstrap" if match.column == "avg" else "mcnemar",
        "distinguishable": p < 0.05,
    }

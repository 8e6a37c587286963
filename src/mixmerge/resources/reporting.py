"""What tables, figures and intervals take."""

from collections.abc import Mapping

from mixmerge.resources.estimate import Assumed
from mixmerge.resources.sizes import Sizes


def uncertainty(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Resampled scores of all checkpoints of a model."""
    cells = len(sizes.study.variants[wildcards["model"]]) * (
        sizes.code_items() + sizes.summary_items()
    )
    return Assumed(3, cells / 5000, 400 + cells * 300 / 1e6, 5)


def tables(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Every score, read and printed."""
    del wildcards
    return Assumed(2, len(sizes.study.checkpoints()) * 0.05, 300, 5)


def figures(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Statistics of every layer, drawn."""
    del wildcards
    return Assumed(10, len(sizes.study.checkpoints()) * 0.1, 500, 20)


def verdict(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Scores, statistics of layers and benchmarks, read and weighed."""
    return tables(sizes, wildcards)


def timing(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Every benchmark file, read."""
    return tables(sizes, wildcards)

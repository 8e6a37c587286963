"""Which line of the paper stands opposite a checkpoint of ours."""

from collections.abc import Sequence
from pathlib import Path

from mixmerge.report import paper_tables as sweeps
from mixmerge.report.layout import Model, Paper, Variant
from mixmerge.report.paper_tables import BASE, MIXTURE, SPECIALISTS, Line, read_results


class Peers:
    """The paper's lines, found by our names.

    Attributes:
        lines: Tables 3 and 5-9 of the paper.
        far: lines and columns whose percentages are far off what the printed scores give.
        means: lines whose average is not the mean of their percentages.
        twins: lines that repeat another one of their sweep, which they lead to.
    """

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self.lines = read_results(Path(paper.results))
        self.far = sweeps.far_off(self.lines)
        self.means = {line for line in self.lines if not sweeps.follows(line)}
        self.twins = {pair.line: pair.twin for pair in sweeps.repetitions(self.lines)}

    def block(self, model: Model, table: str) -> list[Line]:
        """The lines about a model in one of the paper's tables."""
        name = self._paper.models.get(model.key)
        return [line for line in self.lines if (line.model, line.table) == (name, table)]

    def specialists(self, block: Sequence[Line]) -> Line | None:
        """A block's line of specialists."""
        return next((line for line in block if line.strategy == SPECIALISTS), None)

    def merge(self, strategy: str | None, block: Sequence[Line]) -> Line | None:
        """A block's first line of a strategy of ours: the only one in Table 3."""
        name = self._paper.strategies.get(str(strategy))
        return next((line for line in block if line.strategy == name), None)

    def same(self, variant: Variant, block: Sequence[Line]) -> Line | None:
        """A block's line about the same checkpoint: base, mixture, or a merge at its ratio."""
        if variant.kind in ("base", "mix"):
            name = BASE if variant.kind == "base" else MIXTURE
            return next((line for line in block if line.strategy == name), None)
        weight = self.weight(variant)
        if weight is None:
            return None
        name = self._paper.strategies.get(str(variant.strategy), "")
        found = (line for line in block if line.strategy == name and line.weight is not None)
        return next((line for line in found if _equal(line.weight, weight)), None)

    def at(self, weight: float | None, variants: Sequence[Variant]) -> Variant | None:
        """The merge of ours at a ratio that the paper prints; None where there is none."""
        found = (variant for variant in variants if _equal(self.weight(variant), weight))
        return next(found, None)

    def weight(self, variant: Variant) -> float | None:
        """The weight that the paper would print; None where ours is no merge of w and 1 - w."""
        weights = variant.weights or {}
        if len(weights) != 2 or self._paper.task not in weights:
            return None
        return weights[self._paper.task] if _equal(sum(weights.values()), 1) else None

    def ratio(self, line: Line) -> float | None:
        """A line's ratio: as printed, or that of the line with the same scores in its sweep."""
        if line.weight is not None:
            return line.weight
        found = sweeps.sweep_line(self.lines, line)
        return None if found is None else found.weight


def _equal(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) < 1e-9

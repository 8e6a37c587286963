"""Sums over two paired vectors that arrive in pieces, kept in float64.

Means and centred sums are combined piece by piece with the pairwise update of Chan, Golub and
LeVeque (1983), "Algorithms for computing the sample variance". The textbook formula
sum(xy) - n mean(x) mean(y) cancels where the mean is large beside the spread.
"""

import math
from dataclasses import dataclass

from mixmerge.checkpoint.tensors import Floats


@dataclass
class PairMoments:
    """Moments of the pairs (x, y) seen so far."""

    count: int = 0
    """Number of pairs."""

    mean_x: float = 0.0
    mean_y: float = 0.0
    """Means."""

    centred_xx: float = 0.0
    centred_yy: float = 0.0
    centred_xy: float = 0.0
    """Sums of products of deviations from the means."""

    square_x: float = 0.0
    square_y: float = 0.0
    product: float = 0.0
    """Plain sums x·x, y·y and x·y."""

    both_moved: int = 0
    """Pairs in which neither is 0."""

    opposed: int = 0
    """Of these, pairs of different sign."""

    def add(self, x: Floats, y: Floats) -> None:
        """Take in a piece: two vectors of equal length."""
        if not x.size:
            return
        piece = PairMoments(count=x.size, mean_x=float(x.mean()), mean_y=float(y.mean()))
        centred_x, centred_y = x - piece.mean_x, y - piece.mean_y
        product = x * y
        piece.centred_xx = float((centred_x * centred_x).sum())
        piece.centred_yy = float((centred_y * centred_y).sum())
        piece.centred_xy = float((centred_x * centred_y).sum())
        piece.square_x = float((x * x).sum())
        piece.square_y = float((y * y).sum())
        piece.product = float(product.sum())
        moved = (x != 0) & (y != 0)
        piece.both_moved = int(moved.sum())
        # Not the sign of the product, which underflows to 0 for tiny updates.
        piece.opposed = int((moved & ((x < 0) != (y < 0))).sum())
        self.merge(piece)

    def merge(self, other: "PairMoments") -> None:
        """Take in the moments of another set of pairs."""
        total = self.count + other.count
        if not total:
            return
        step_x, step_y = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        weight = self.count * other.count / total
        self.centred_xx += other.centred_xx + step_x * step_x * weight
        self.centred_yy += other.centred_yy + step_y * step_y * weight
        self.centred_xy += other.centred_xy + step_x * step_y * weight
        self.mean_x += step_x * other.count / total
        self.mean_y += step_y * other.count / total
        self.count = total
        self.square_x += other.square_x
        self.square_y += other.square_y
        self.product += other.product
        self.both_moved += other.both_moved
        self.opposed += other.opposed

    @property
    def pearson(self) -> float | None:
        """Pearson's r; None where one of the vectors is constant."""
        return _ratio(self.centred_xy, math.sqrt(self.centred_xx) * math.sqrt(self.centred_yy))

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle; None where one of the vectors is 0."""
        return _ratio(self.product, math.sqrt(self.square_x) * math.sqrt(self.square_y))

    @property
    def sign_conflict(self) -> float | None:
        """Share of opposed pairs among those in which both moved; None where there are none."""
        return self.opposed / self.both_moved if self.both_moved else None

    @property
    def norm_ratio(self) -> float | None:
        """Norm of x over norm of y; None where y is 0."""
        return math.sqrt(self.square_x) / math.sqrt(self.square_y) if self.square_y else None


def _ratio(above: float, below: float) -> float | None:
    """A correlation: bounded by 1, which rounding may overstep."""
    return max(-1.0, min(1.0, above / below)) if below else None

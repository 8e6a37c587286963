"""The paper's tables as printed (arXiv 2601.21115), read from ``resources/paper`` without rounding.

Numbers are kept as exact fractions of what the paper prints, so that arithmetic on them says
something about the paper and nothing about floats.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mixmerge.core.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A column of the paper's tables."""

    header: str
    """Printed head."""

    digits: int
    """Printed decimals of its values."""

    problems: int | None = None
    """Problems whose share it is; None for the means of summary metrics. For MBPP the paper
    prints 379, EvalPlus 0.2.0 has 378; see ``docs/paper-audit.md``."""

    @property
    def half(self) -> Fraction:
        """Half a unit of the last printed digit: the most that rounding can have changed."""
        return Fraction(1, 2 * 10**self.digits)


#: The paper's columns, in its order.
METRICS: Mapping[str, Metric] = {
    "humaneval": Metric("HumanEval", 3, 164),
    "humaneval_plus": Metric("HumanEval+", 3, 164),
    "mbpp": Metric("MBPP", 3, 378),
    "mbpp_plus": Metric("MBPP+", 3, 378),
    "bleu4": Metric("BLEU-4", 4),
    "chrfpp": Metric("chrF++", 4),
    "rouge_l": Metric("ROUGE-L", 4),
    "meteor": Metric("METEOR", 4),
}

#: The paper's columns in its Table 4.
SCALE_METRICS = ("humaneval_plus", "bleu4")

#: What the paper's tables show, in the words of `mixmerge.report.entries.Entry.kind`.
TABLES: Mapping[str, tuple[str, ...]] = {
    "strategies": ("3",),
    "ablation": ("5", "6", "7", "8"),
    "compact": ("9",),
}

#: Names of the lines that are no merges.
BASE, SPECIALISTS, MIXTURE = "base", "sft", "mix"


@dataclass(frozen=True, eq=False)
class Line:
    """One line of Tables 3 and 5-9; two lines are the same only where they are one."""

    table: str
    """Number of the table."""

    model: str
    """Key of the model in the file."""

    strategy: str
    """``base``, ``sft`` (each column from that task's specialist), ``mix`` or a strategy."""

    weight: float | None
    """Weight of the code-generation specialist; None where none is printed."""

    values: Mapping[str, Fraction]
    """Column -> score."""

    percents: Mapping[str, Fraction]
    """Column -> printed change in percent against the specialists."""

    average: Fraction
    """Printed AVG in percent."""


@dataclass(frozen=True)
class ScaleLine:
    """One line of Table 4: specialists trained on a share of their data."""

    model: str
    """Key of the model in the file."""

    percent: int
    """Share of the training data in percent."""

    values: Mapping[str, Fraction]
    """Column -> score."""


def read_results(path: Path) -> list[Line]:
    """Read the lines of Tables 3 and 5-9.

    Args:
        path: a CSV file with the columns of ``resources/paper/paper_results.csv``.

    Raises:
        UserError: the file or one of its columns is missing, or a value is no number.
    """
    wanted = [
        *("table", "model", "strategy", "codegen_weight", "avg_pct"),
        *METRICS,
        *(f"{metric}_pct" for metric in METRICS),
    ]
    return [
        Line(
            table=row["table"],
            model=row["model"],
            strategy=row["strategy"],
            weight=float(_number(path, at, row, "codegen_weight"))
            if row["codegen_weight"]
            else None,
            values={metric: _number(path, at, row, metric) for metric in METRICS},
            percents={metric: _number(path, at, row, f"{metric}_pct") for metric in METRICS},
            average=_number(path, at, row, "avg_pct"),
        )
        for at, row in _rows(path, wanted)
    ]


def read_scale(path: Path) -> list[ScaleLine]:
    """Read the lines of Table 4.

    Args:
        path: a CSV file with the columns of ``resources/paper/paper_data_scale.csv``.

    Raises:
        UserError: the file or one of its columns is missing, or a value is no number.
    """
    return [
        ScaleLine(
            model=row["model"],
            percent=int(_number(path, at, row, "percent")),
            values={metric: _number(path, at, row, metric) for metric in SCALE_METRICS},
        )
        for at, row in _rows(path, ["model", "percent", *SCALE_METRICS])
    ]


def blocks(lines: Sequence[Line]) -> dict[tuple[str, str], list[Line]]:
    """(table, model) -> its lines, in the order of the file."""
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line.table, line.model), []).append(line)
    return found


def specialists(lines: Sequence[Line]) -> Line:
    """A block's line of specialists, with which its percentages say they compare."""
    return next(line for line in lines if line.strategy == SPECIALISTS)


def _rows(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in wanted if name not in (reader.fieldnames or [])]
            if missing:
                raise UserError(f"{path}: no column {missing[0]!r}; restore the file from git")
            return [(reader.line_num, {name: row[name] or "" for name in wanted}) for row in reader]
    except FileNotFoundError:
        raise UserError(f"{path}: file not found") from None


def _number(path: Path, at: int, row: Mapping[str, str], column: str) -> Fraction:
    try:
        return Fraction(row[column])
    except (ValueError, ZeroDivisionError):
        raise UserError(
            f"{path}:{at}: {column} {row[column]!r} is no number; restore the file from git"
        ) from None

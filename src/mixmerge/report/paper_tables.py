"""The paper's printed tables (arXiv 2601.21115), and what its audit says of their lines.

Read from ``resources/paper`` without rounding: numbers are exact fractions of what the paper
prints. ``python -m paper_audit`` checks them against each other and writes what is off into a file
beside them; ``docs/paper-audit.md`` has the evidence.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from mixmerge.core.errors import UserError


class Metric(NamedTuple):
    """A column of the paper's tables: its head, and the decimals of its values."""

    header: str
    digits: int

    @property
    def half(self) -> Fraction:
        """Half a unit of the last printed digit: the most that rounding can have changed."""
        return Fraction(1, 2 * 10**self.digits)


#: The paper's columns, in its order.
METRICS: Mapping[str, Metric] = {
    "humaneval": Metric("HumanEval", 3),
    "humaneval_plus": Metric("HumanEval+", 3),
    "mbpp": Metric("MBPP", 3),
    "mbpp_plus": Metric("MBPP+", 3),
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

    table: str  # number of the table
    model: str  # key of the model in the file
    # ``base``, ``sft`` (each column from its task's specialist), ``mix`` or a strategy
    strategy: str
    weight: float | None  # of the code-generation specialist; None where none is printed
    values: Mapping[str, Fraction]  # column -> score
    percents: Mapping[str, Fraction]  # column -> printed change in percent against the specialists
    average: Fraction  # printed AVG in percent


@dataclass(frozen=True)
class ScaleLine:
    """One line of Table 4: a model's specialists trained on a share (percent) of their data."""

    model: str
    percent: int
    values: Mapping[str, Fraction]


class Finding(NamedTuple):
    """What the audit says of a line."""

    weight: float | None  # as printed, or in Table 3 that of the line with the same scores
    far: Sequence[str]  # columns whose percentage is far off what the printed scores give
    follows: bool  # whether percentages that print as the line's can have its average
    repeats: float | None  # weight of another line of the sweep that has the same scores
    better: float | None  # weight that is the best of the sweep, where Table 3 shows another


def read_results(path: Path) -> list[Line]:
    """Read the lines of Tables 3 and 5-9.

    Args:
        path: a CSV file with the columns of ``resources/paper/paper_results.csv``.

    Raises:
        UserError: the file or one of its columns is missing, or a value is no number.
    """
    return [
        Line(
            table=row["table"],
            model=row["model"],
            strategy=row["strategy"],
            weight=_weight(row["codegen_weight"]),
            values={metric: Fraction(row[metric]) for metric in METRICS},
            percents={metric: Fraction(row[f"{metric}_pct"]) for metric in METRICS},
            average=Fraction(row["avg_pct"]),
        )
        for row in _rows(
            path,
            texts=("table", "model", "strategy"),
            numbers=(*METRICS, *(f"{metric}_pct" for metric in METRICS), "avg_pct"),
            weights=("codegen_weight",),
        )
    ]


def read_scale(path: Path) -> list[ScaleLine]:
    """Read the lines of Table 4, from a file as ``resources/paper/paper_data_scale.csv``."""
    return [
        ScaleLine(row["model"], int(row["percent"]), {m: Fraction(row[m]) for m in SCALE_METRICS})
        for row in _rows(path, texts=("model",), numbers=("percent", *SCALE_METRICS))
    ]


def read_findings(path: Path) -> list[Finding]:
    """Read what the audit says of each line of Tables 3 and 5-9, in their order."""
    weights = ("weight", "repeats", "better")
    return [
        Finding(
            far=row["far"].split(),
            follows=row["follows"] == "yes",
            **{name: _weight(row[name]) for name in weights},
        )
        for row in _rows(path, texts=("far", "follows"), weights=weights)
    ]


def _weight(text: str) -> float | None:
    return float(text) if text else None


def _rows(
    path: Path, texts: Sequence[str], numbers: Sequence[str] = (), weights: Sequence[str] = ()
) -> list[dict[str, str]]:
    """The lines of a CSV file; weights are numbers that may be missing."""
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="")
            for name in (*texts, *numbers, *weights):
                if name not in (reader.fieldnames or []):
                    raise UserError(f"{path}: no column {name!r}; restore the file from git")
            for row in reader:
                for name in (*numbers, *(name for name in weights if row[name])):
                    try:
                        Fraction(row[name])
                    except (ValueError, ZeroDivisionError, TypeError):
                        raise UserError(
                            f"{path}:{reader.line_num}: {name} {row[name]!r} is no number; "
                            "restore the file from git"
                        ) from None
                rows.append(row)
    except FileNotFoundError:
        raise UserError(f"{path}: file not found; restore it from git") from None
    return rows

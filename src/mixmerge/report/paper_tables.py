"""The paper's printed tables (arXiv 2601.21115), and what its audit says of their lines.

Read from ``resources/paper`` without rounding, as exact fractions; ``python -m paper_audit`` checks
them against each other and writes what is off into a file beside them (docs/paper-audit.md).
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from mixmerge.core.errors import UserError
from mixmerge.report.settings import PaperColumn

_T = TypeVar("_T")

#: The paper's columns, in its order; and those in its Table 4.
METRICS: tuple[PaperColumn, ...] = get_args(PaperColumn)
SCALE_METRICS = ("humaneval_plus", "bleu4")

#: What the paper's tables show, in the words of `mixmerge.report.layout.Entry.kind`.
TABLES = {"strategies": ["3"], "ablation": ["5", "6", "7", "8"], "compact": ["9"]}

#: Names of the lines that are no merges.
BASE, SPECIALISTS, MIXTURE = "base", "sft", "mix"


@dataclass(frozen=True, eq=False)
class Line:
    """One line of Tables 3 and 5-9, equal to itself alone; from `ratio` on what the audit says."""

    table: str  # number of the table
    model: str  # key of the model in the file
    strategy: str  # or ``base``, ``sft`` (each column from its task's specialist), ``mix``
    weight: float | None  # of the code-generation specialist; None where none is printed
    values: Mapping[str, Fraction]  # column -> score
    percents: Mapping[str, Fraction]  # column -> printed change in percent against the specialists
    average: Fraction  # printed AVG in percent
    ratio: float | None = None  # the weight; in Table 3 that of the line with the same scores
    far: Sequence[str] = ()  # columns whose percentage is far off what the printed scores give
    follows: bool = True  # whether percentages that print as the line's can have its average
    repeats: float | None = None  # weight of another line of the sweep that has the same scores
    better: float | None = None  # the sweep's best weight, where Table 3 shows another


class ScaleLine(NamedTuple):
    """One line of Table 4: a model's specialists trained on a share (percent) of their data."""

    model: str
    percent: int
    values: Mapping[str, Fraction]


def read_results(path: Path, audit: Path | None = None) -> list[Line]:
    """Read the lines of Tables 3 and 5-9, with what the audit, a file of `paper_audit`, says."""

    def weight(text: str) -> float | None:
        return float(text) if text else None

    def line(row: dict[str, str]) -> Line:
        return Line(
            table=row["table"],
            model=row["model"],
            strategy=row["strategy"],
            weight=weight(row["codegen_weight"]),
            values={metric: Fraction(row[metric]) for metric in METRICS},
            percents={metric: Fraction(row[f"{metric}_pct"]) for metric in METRICS},
            average=Fraction(row["avg_pct"]),
        )

    def audited(row: dict[str, str]) -> tuple[tuple[str, str, str], dict[str, Any]]:
        finding = {name: weight(row[name]) for name in ("ratio", "repeats", "better")}
        known = {"far": row["far"].split(), "follows": row["follows"] == "yes", **finding}
        return (row["table"], row["model"], row["strategy"]), known

    lines = _read(path, line)
    if audit is None:
        return lines
    findings = _read(audit, audited)
    if [place for place, _ in findings] != [(x.table, x.model, x.strategy) for x in lines]:
        raise UserError(f"{audit}: is not of the lines of {path}; `make docs` writes it anew")
    return [replace(line, **known) for line, (_, known) in zip(lines, findings, strict=True)]


def read_scale(path: Path) -> list[ScaleLine]:
    """Read the lines of Table 4, from a file as ``resources/paper/paper_data_scale.csv``."""

    def line(row: dict[str, str]) -> ScaleLine:
        values = {metric: Fraction(row[metric]) for metric in SCALE_METRICS}
        return ScaleLine(row["model"], int(row["percent"]), values)

    return _read(path, line)


def _read(path: Path, make: Callable[[dict[str, str]], _T]) -> list[_T]:
    """Make something of each line of a CSV file; raises UserError with file and line."""
    at, made = 1, []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="")
            for row in reader:
                at = reader.line_num
                made.append(make(row))
    except FileNotFoundError:
        raise UserError(f"{path}: file not found; restore it from git or mend its path") from None
    except KeyError as error:
        raise UserError(f"{path}: no column {error}; restore the file from git") from None
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"{path}:{at}: {error}; restore the file from git") from None
    return made

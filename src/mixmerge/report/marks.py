"""What of a table is not distinguishable: marks in print, intervals and p-values in CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mixmerge.report.evidence import AVERAGE, Against, Evidence, Interval
from mixmerge.report.layout import Layout
from mixmerge.report.table import Cell, Field, Row, number

#: Not distinguishable from the specialist of the column's task; in AVG, from the specialists.
SPECIALIST = "≈"

#: AVG not distinguishable from that of the mixture.
MIXTURE = "‡"

_SIGNS: dict[Against, str] = {"specialist": SPECIALIST, "mixture": MIXTURE}

#: Model -> its evidence.
EvidenceByModel = Mapping[str, Evidence]

#: Key of the field of AVG on the validation suites.
AVERAGE_VALIDATION = "avg_validation"

#: What a comparison is made against -> suffix of its column in CSV.
_P_VALUES: dict[Against, str] = {
    "specialist": "p_adjusted",
    "mixture": "p_adjusted_mixture",
}

#: Decimals of AVG, and of its interval in brackets.
_AVERAGE_DIGITS, _BRACKET_DIGITS = 2, 1


def mark_indistinct(
    rows: Sequence[Row], fields: Sequence[Field], layout: Layout, evidence: EvidenceByModel
) -> list[Row]:
    """Give cells their intervals, p-values and marks.

    Args:
        rows: the lines; `Row.shows` says whose value a cell is, `Row.ids` of which model.
        fields: the columns.
        layout: the study.
        evidence: models without evidence are left as they are.
    """
    digits = {column.key: column.digits for column in layout.columns}
    marked = []
    for row in rows:
        found = evidence.get(row.ids.get("model", ""))
        if found is None:
            marked.append(row)
            continue
        cells = [
            _marked(cell, found, row.shows[field.key], field.key, digits)
            if field.key in row.shows
            else cell
            for cell, field in zip(row.cells, fields, strict=True)
        ]
        marked.append(replace(row, cells=tuple(cells)))
    return marked


def _marked(
    cell: Cell, evidence: Evidence, variant: str, key: str, digits: Mapping[str, int]
) -> Cell:
    """A cell of one checkpoint's value or AVG with what is known about it."""
    if key == AVERAGE_VALIDATION:
        average = evidence.average(variant, "validation")
        return cell if average is None else replace(cell, extra=_ends(average))
    interval = evidence.average(variant) if key == AVERAGE else evidence.intervals[variant][key]
    if interval is None:
        return cell
    shown = _spelt(interval, digits.get(key, _AVERAGE_DIGITS))
    hints = [f"{100 * evidence.confidence:g} %: {shown}"]
    extra = _ends(interval)
    mark = ""
    for against, sign in _SIGNS.items():
        test = evidence.comparison(variant, against, key)
        extra[_P_VALUES[against]] = test.p_adjusted if test else None
        if test:
            hints.append(f"{_p(test.p_adjusted)} against the {against}")
            # Both marks in every column would hide what they are about; CSV has them all.
            if not test.distinguishable and (against == "specialist" or key == AVERAGE):
                mark += sign
    return replace(
        cell,
        mark=mark,
        interval=f"[{_spelt(interval, _BRACKET_DIGITS)}]" if key == AVERAGE else "",
        hint="; ".join(hints),
        extra=extra,
    )


def _ends(interval: Interval) -> dict[str, float | None]:
    return {"low": interval.low, "high": interval.high}


def _spelt(interval: Interval, digits: int) -> str:
    return f"{number(interval.low, digits)}, {number(interval.high, digits)}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"

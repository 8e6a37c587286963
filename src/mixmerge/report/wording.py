"""The verdict in words, for the terminal, and as a table."""

from collections.abc import Sequence
from itertools import combinations
from textwrap import wrap

from mixmerge.report.layout import Layout
from mixmerge.report.table import Cell, Field, Row, Table, label, number
from mixmerge.report.verdict import ModelVerdict


def verdict_text(layout: Layout, found: Sequence[ModelVerdict]) -> str:
    """The verdict in a few lines, for the terminal."""
    lines = [layout.title]
    for entry in found:
        lines += ["", entry.model.title]
        for sentence in _sentences(layout, entry):
            lines += wrap(sentence, 96, initial_indent="  ", subsequent_indent="    ")
    lines.append("")
    for sentence in _closing(found):
        lines += wrap(sentence, 96)
    return "\n".join(lines) + "\n"


def _sentences(layout: Layout, entry: ModelVerdict) -> list[str]:
    if entry.merge is None:
        share = _percent(entry.mixture.average)
        return [f"Data mixture: {share} against the specialists. Nothing was merged."]
    where = "the validation suites" if layout.select == "validation" else "the test suites"
    lines = [
        f"Best on {where}: {entry.picked.name}.",
        f"Test AVG against the specialists: {entry.mixture.name} "
        f"{_percent(entry.mixture.average)}, {entry.merge.name} {_percent(entry.merge.average)}.",
        _outcome(entry),
    ]
    if entry.problems:
        shown = [
            f"{head} {mixed} : {merged} of {count}" for head, mixed, merged, count in entry.problems
        ]
        lines.append(f"Problems solved, mixture : merge: {'; '.join(shown)}.")
    if entry.correlation is None or entry.correlations is None:
        lines.append("The correlation of the specialists' updates is not defined.")
        return lines
    low, high = entry.correlations
    side = "at or above" if entry.predicted == "mixing" else "below"
    lines.append(
        f"The specialists' updates correlate with r = {number(entry.correlation, 2)} "
        f"(mean over layers; {number(low, 2)} to {number(high, 2)}), {side} "
        f"{entry.threshold:g}: the paper's rule says {_VERB[entry.predicted]}. {_called(entry)}"
    )
    return lines


_VERB = {"mixing": "mix", "merging": "merge", "neither": "either", None: "nothing"}


def _outcome(entry: ModelVerdict) -> str:
    if entry.margin is None:
        return "AVG is not defined, so neither leads."
    if entry.winner == "neither":
        return "Mixing and merging are level."
    return f"{str(entry.winner).capitalize()} leads by {number(abs(entry.margin), 2)} points."


def _called(entry: ModelVerdict) -> str:
    if entry.winner in (None, "neither") or entry.predicted is None:
        return "There is nothing for it to call."
    right = "right" if entry.winner == entry.predicted else "wrong"
    return f"That is {right} here."


def _closing(found: Sequence[ModelVerdict]) -> list[str]:
    lines = []
    points = [
        (entry.correlation, entry.margin)
        for entry in found
        if entry.correlation is not None and entry.margin is not None
    ]
    if len(points) > 1:
        orders = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(points, 2)]
        agree = sum(order > 0 for order in orders)
        lines.append(
            f"Over pairs of models, the one with the higher correlation leans more to mixing in "
            f"{agree} of {len(orders)}."
        )
    lines.append(
        "One training run a checkpoint and no intervals: a lead of a few problems or points may be "
        "chance."
    )
    return lines


def _percent(value: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{'+' if value > 0 else ''}{number(value, 2)} %"


def verdict_table(layout: Layout, found: Sequence[ModelVerdict]) -> Table:
    """The verdict as a table: one line a model."""
    rows = []
    for entry in found:
        merge, r = entry.merge, entry.correlation
        right = ""
        if entry.winner not in (None, "neither") and entry.predicted is not None:
            right = "yes" if entry.winner == entry.predicted else "no"
        merged = merge.average if merge else None
        cells = (
            label(entry.model.title),
            Cell(entry.picked.variant, entry.picked.name),
            Cell(entry.mixture.average, number(entry.mixture.average, 2)),
            Cell(merge.variant if merge else None, merge.name if merge else "–"),
            Cell(merged, number(merged, 2)),
            label(entry.winner or "–"),
            Cell(entry.margin, number(entry.margin, 2)),
            Cell(r, number(r, 3)),
            label(entry.predicted or "–"),
            label(right or "–"),
        )
        rows.append(Row(cells, ids={"key": entry.model.key}))
    where = "validation" if layout.select == "validation" else "test"
    return Table(
        name="verdict",
        title="Verdict. Data mix or model merge?",
        fields=(
            Field("model", "Model", align="left"),
            Field("picked", f"Best on {where}", align="left"),
            Field("mixture_avg", "Mixture, AVG"),
            Field("merge", "Best merge", align="left"),
            Field("merge_avg", "Merge, AVG"),
            Field("leads", "Leads on test", align="left"),
            Field("margin", "Mixture − merge"),
            Field("pearson", "Mean r"),
            Field("rule", "Paper's rule", align="left"),
            Field("right", "Right?", align="left"),
        ),
        rows=tuple(rows),
        notes=(
            "AVG: mean change in percent against the specialists on the test suites; margin in "
            f"points. The merge is the one with the highest AVG on the {where} suites.",
            "Mean r: Pearson correlation of the specialists' updates, mean over layers. The "
            f"paper's rule is read as: r of {layout.high_correlation:g} or more, mix; less, merge "
            "(the paper names no threshold).",
            *_closing(found),
        ),
    )

"""The verdict's files: a page of text and tables, each table as CSV, a few lines for the terminal.

RQ1 is mix or merge, RQ2 how much hangs on strategy, ratio and data, RQ3 what the weights say.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from textwrap import wrap
from typing import Any

from mixmerge.report.cost_tables import costs_table
from mixmerge.report.render import Section, p_value, prose, render, write_page, write_text
from mixmerge.report.settings import Layout, Variant
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, number, number_cell
from mixmerge.report.verdict import (
    Contender,
    ModelVerdict,
)

#: What to do, by side.
VERB = {"mixing": "mix", "merging": "merge"}

#: Heads of the columns that say what the paper's rule made of a model.
_RULE = {"rule": "Paper's rule", "better": "Better", "call": "Call"}

_SIMILARITY = {
    "pearson": ("pearson", "Pearson r"),
    "cosine": ("cosine", "Cosine"),
    "sign_conflict": ("sign_conflict_percent", "Sign conflict, %"),
}


def write_verdict(layout: Layout, verdicts: Sequence[ModelVerdict], out: Path) -> None:
    """Write all files of the verdict (`mixmerge.report.entries.VERDICT_FILES`)."""
    sections = verdict_sections(layout, verdicts)
    write_page("verdict", "Verdict: data mix or model merge?", sections, out)
    for table in (table for section in sections for table in section.tables):
        write_text(out / f"{table.name}.csv", render(table, "csv"))
    write_text(out / "verdict.txt", verdict_text(layout, verdicts))


def verdict_sections(layout: Layout, verdicts: Sequence[ModelVerdict]) -> list[Section]:
    """The verdict in one page: the answer, a text on each model, then the three questions."""
    bills = [(entry.model, bill) for entry in verdicts for bill in entry.bills]
    rq1 = [approaches_table(layout, verdicts), costs_table(layout, bills)]
    rq2 = [ratios_table(layout, verdicts), data_table(verdicts)]
    opening = prose("verdict", "opening", outcomes=[e.outcome for e in verdicts if e.outcome])
    return [
        Section("", opening, [verdict_table(layout, verdicts)]),
        *(Section(entry.model.title, paragraphs(layout, entry)) for entry in verdicts),
        Section("RQ1: mix or merge?", tables=rq1),
        Section("RQ2: how much hangs on strategy, ratio and data?", tables=rq2),
        Section("RQ3: what do the weights say?", tables=[weights_table(layout, verdicts)]),
        Section("What this can and cannot say", closing(verdicts)),
    ]


def paragraphs(layout: Layout, entry: ModelVerdict) -> list[str]:
    """Three paragraphs on one model: mix or merge (RQ1), what it hangs on (RQ2), weights (RQ3)."""
    return prose("verdict", "paragraphs", layout=layout, entry=entry)


def closing(verdicts: Sequence[ModelVerdict]) -> list[str]:
    """What all models together say of the paper's rule, and what the intervals leave out."""
    calls = [entry.call for entry in verdicts if entry.call]
    right, decided = calls.count("right"), len(calls) - calls.count("undecided")
    return prose(
        "verdict",
        "closing",
        calls=calls,
        chance=f"{number(100 * by_chance(right, decided), 0)} %",
        pairs=agreeing_pairs(verdicts),
    )


def by_chance(right: int, decided: int) -> float:
    """Probability that tossed coins call at least so many of the decided models right."""
    return sum(comb(decided, k) for k in range(right, decided + 1)) / float(2**decided)


def agreeing_pairs(verdicts: Sequence[ModelVerdict]) -> tuple[int, int]:
    """Pairs of models of which the one with the higher correlation leans more to mixing; all pairs.

    Whoever leads: models without AVG or correlation are left out.
    """
    points = [
        (entry.similarity["pearson"].mean, -entry.contest["difference"])
        for entry in verdicts
        if entry.similarity["pearson"] is not None and entry.contest is not None
    ]
    orders = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(points, 2)]
    return sum(order > 0 for order in orders), len(orders)


def verdict_text(layout: Layout, verdicts: Sequence[ModelVerdict]) -> str:
    """The verdict in a few lines, for the terminal."""
    lines = [layout.title]
    for entry in verdicts:
        lines += ["", entry.model.title]
        for sentence in prose("verdict", "lines", layout=layout, entry=entry):
            lines += wrap(sentence, 96, initial_indent="  ", subsequent_indent="    ")
    lines.append("")
    for sentence in closing(verdicts):
        lines += wrap(sentence, 96)
    return "\n".join(lines) + "\n"


def verdict_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """The verdict in one line a model."""
    rows = []
    for entry in verdicts:
        merge, pearson = entry.merge, entry.similarity["pearson"]
        test: Mapping[str, Any] = entry.contest or {}
        side, reason = entry.recommended or (None, None)
        cells = [
            label(entry.model.title),
            Cell(entry.picked.variant, entry.picked.name),
            number_cell(entry.mixture.average, 2),
            Cell(merge.variant if merge else None, merge.name if merge else UNDEFINED),
            number_cell(merge.average if merge else None, 2),
            number_cell(test.get("difference"), 2),
            _p_value(test),
            _word(entry.outcome),
            _word(VERB.get(str(side))),
            _word(reason),
            number_cell(pearson.mean if pearson else None, 3),
            _word(VERB.get(str(entry.predicted))),
            _word(entry.call),
        ]
        rows.append(Row(cells, ids={"key": entry.model.key}))
    fields = [
        Field("model", "Model", align="left"),
        Field("picked", f"Best on {layout.select}", align="left"),
        Field("mixture_avg", "Mixture, AVG"),
        Field("merge", "Best merge", align="left"),
        Field("merge_avg", "Merge, AVG"),
        Field("difference", "Merge − mixture"),
        Field("p_adjusted", "p"),
        Field("better", "Better", align="left"),
        Field("recommended", "Recommended", align="left"),
        Field("reason", "Reason", align="left"),
        Field("pearson", "Mean r"),
        Field("rule", "Paper's rule", align="left"),
        Field("call", "Call", align="left"),
    ]
    title, *notes = prose("verdict", "verdict", layout=layout)
    return Table("verdict", title, fields, rows, notes=notes)


def approaches_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ1: the mixture and each strategy at its chosen ratio."""
    rows = [
        Row(
            _approach(entry, contender),
            entry.model.title,
            {"model": entry.model.key, "variant": contender.variant},
        )
        for entry in verdicts
        for contender in (entry.mixture, *entry.strategies)
    ]
    validated = layout.select == "validation"
    fields = [
        Field("approach", "Approach", align="left"),
        Field("selection_avg", "AVG, validation" if validated else "AVG, choice"),
        Field("avg", "AVG, test"),
        Field("p_specialists", "p, specialists"),
        Field("difference", "Minus the mixture"),
        Field("p_mixture", "p, mixture"),
        Field("distinguishable", "Distinguishable", align="left"),
    ]
    level = f"{100 * verdicts[0].confidence:g} %" if verdicts else ""
    title, *notes = prose("verdict", "approaches", level=level)
    return Table("verdict-approaches", title, fields, rows, "Model", notes)


def _approach(entry: ModelVerdict, contender: Contender) -> list[Cell]:
    against = contender.against_mixture
    words = {None: None, True: "yes", False: "no"}
    return [
        Cell(contender.name, contender.name, best=contender is entry.picked),
        number_cell(contender.selection, 2),
        _bounded(contender.average, contender.interval),
        _p_value(contender.against_specialists),
        _bounded(against["difference"], (against["low"], against["high"]))
        if against
        else number_cell(None, 2),
        _p_value(against),
        _word(words[against["distinguishable"] if against else None]),
    ]


def ratios_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ2: each strategy over its ratios."""

    def ratio(variant: Variant) -> Cell:
        return Cell(variant.name, layout.ratio(variant) or UNDEFINED)

    rows = []
    for model, sweep in ((entry.model, sweep) for entry in verdicts for sweep in entry.sweeps):
        averages = sweep.averages
        cells = [
            label(sweep.strategy),
            Cell(sweep.merges, str(sweep.merges)),
            number_cell(min(averages.values(), default=None), 2),
            number_cell(max(averages.values(), default=None), 2),
            number_cell(sweep.spread, 2),
            ratio(sweep.chosen),
            number_cell(averages.get(sweep.chosen.name), 2),
            ratio(sweep.best),
            number_cell(averages.get(sweep.best.name), 2),
            number_cell(sweep.regret, 2),
        ]
        rows.append(Row(cells, model.title, {"model": model.key}))
    fields = [Field("strategy", "Strategy", align="left"), Field("merges", "Ratios")]
    fields += [Field(key, key, group="AVG on test") for key in ("lowest", "highest", "spread")]
    for key, head in (("chosen", "Chosen"), ("best", "Best on test")):
        fields += [Field(key, "ratio", group=head), Field(f"{key}_avg", "AVG", group=head)]
    fields.append(Field("regret", "Lost by choosing"))
    title, *notes = prose("verdict", "ratios", layout=layout)
    return Table("verdict-ratios", title, fields, rows, "Model", notes)


def data_table(verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ2: the specialists by share of the training data."""
    scales = [(entry.model, scale) for entry in verdicts for scale in entry.scales]
    shares = sorted({share for _, scale in scales for share in scale.changes})
    rows = [
        Row(
            [label(scale.task), *(number_cell(scale.changes.get(share), 2) for share in shares)],
            model.title,
            {"model": model.key},
        )
        for model, scale in scales
    ]
    fields = [Field("task", "Task", align="left")]
    fields += [Field(f"change_{share}", f"{share} %") for share in shares]
    title, *notes = prose("verdict", "data")
    return Table("verdict-data", title, fields, rows, "Model", notes)


def weights_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ3: what the weights say, and what the paper's rule made of it."""
    rows = []
    for entry in verdicts:
        cells = [label(entry.model.title)]
        for measure in _SIMILARITY:
            spread = entry.similarity[measure] or (None, None, None)
            digits, factor = (1, 100) if measure == "sign_conflict" else (3, 1)
            cells += [number_cell(value, digits, factor) for value in spread]
        ratio = entry.similarity["norm_ratio"]
        cells.append(number_cell(ratio.mean if ratio else None, 2))
        names = [*layout.specialists(entry.model), entry.mixture.variant]
        names.append(entry.merge.variant if entry.merge else "")
        cells += [number_cell(entry.distances.get(name), 1, 100) for name in names]
        cells += [_word(VERB.get(str(entry.predicted))), _word(entry.outcome), _word(entry.call)]
        rows.append(Row(cells, ids={"key": entry.model.key}))
    fields = [Field("model", "Model", align="left")]
    for key, head in _SIMILARITY.values():
        fields += [Field(f"{key}_{part}", part, group=head) for part in ("mean", "low", "high")]
    fields.append(Field("norm_ratio", "Norm ratio"))
    distance = "Distance from base, %"
    fields += [Field(f"distance_percent.{t.key}", t.title, distance) for t in layout.tasks]
    fields += [Field(f"distance_percent_{key}", key, distance) for key in ("mixture", "merge")]
    fields += [Field(key, head, align="left") for key, head in _RULE.items()]
    title, *notes = prose("verdict", "weights")
    return Table("verdict-weights", title, fields, rows, notes=notes)


def _bounded(value: float | None, ends: tuple[float, float] | None) -> Cell:
    """A value in percent or points with its interval, which has columns of its own in CSV."""
    if value is None or ends is None:
        return number_cell(value, 2)
    interval = f"[{', '.join(number(end, 1) for end in ends)}]"
    extra = dict(zip(("low", "high"), ends, strict=True))
    return Cell(value, number(value, 2), interval=interval, extra=extra)


def _word(text: str | None) -> Cell:
    """A word, or a dash where there is nothing to say."""
    return Cell(text, text or UNDEFINED)


def _p_value(test: Mapping[str, Any] | None) -> Cell:
    """A test's p-value as in the text, without its name."""
    if not test:
        return Cell(None, UNDEFINED)
    value = test["p_adjusted"]
    return Cell(value, p_value(value).removeprefix("p ").removeprefix("= "))

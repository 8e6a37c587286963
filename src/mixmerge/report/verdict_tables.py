"""The verdict's files: a page of text and tables, each table as CSV, a few lines for the terminal.

RQ1 is mix or merge, RQ2 how much hangs on strategy, ratio and data, RQ3 what the weights say.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from textwrap import wrap
from typing import Any

from mixmerge.report.costs import costs_table
from mixmerge.report.render import Section, prose, render, write_page, write_text
from mixmerge.report.settings import Layout
from mixmerge.report.table import (
    UNDEFINED,
    Cell,
    Field,
    Table,
    bracket,
    fields_of,
    number,
    row,
)
from mixmerge.report.verdict import ModelVerdict

#: What to do, by side.
VERB = {"mixing": "mix", "merging": "merge"}


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
    chance = f"{number(100 * by_chance(right, decided), 0)} %"
    return prose("verdict", "closing", calls=calls, chance=chance, pairs=agreeing_pairs(verdicts))


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
    fields, rows = fields_of("verdict", select=layout.select), []
    for entry in verdicts:
        merge, pearson, test = entry.merge, entry.similarity["pearson"], entry.contest or {}
        side, reason = entry.recommended or (None, None)
        values = {
            "model": entry.model.title,
            "picked": Cell(entry.picked.variant, entry.picked.name),
            "mixture_avg": entry.mixture.average,
            "merge": Cell(merge.variant, merge.name) if merge else None,
            "merge_avg": merge.average if merge else None,
            "difference": test.get("difference"),
            "p_adjusted": test.get("p_adjusted"),
            "recommended": VERB.get(str(side)),
            "reason": reason,
            "pearson": pearson.mean if pearson else None,
        }
        rows.append(row(fields, values | _rule(entry), ids={"key": entry.model.key}))
    return Table("verdict", prose("verdict", "verdict", layout=layout), fields, rows)


def _rule(entry: ModelVerdict) -> dict[str, str | None]:
    """What the paper's rule says of a model, and what came of it."""
    return {"rule": VERB.get(str(entry.predicted)), "better": entry.outcome, "call": entry.call}


def approaches_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ1: the mixture and each strategy at its chosen ratio."""
    choice = "validation" if layout.select == "validation" else "choice"
    fields, rows = fields_of("approaches", choice=choice), []
    for entry in verdicts:
        for contender in (entry.mixture, *entry.strategies):
            score, test = contender.test, contender.test.tests.get("mixture")
            values: dict[str, Any] = {
                "approach": Cell(contender.name, contender.name, best=contender is entry.picked),
                "selection_avg": contender.selection,
                "avg": _bounded(score.value, score.interval),
                "p_specialists": score.tests.get("specialist", {}).get("p_adjusted"),
            }
            if test:
                values["difference"] = _bounded(test["difference"], (test["low"], test["high"]))
                values["p_mixture"] = test["p_adjusted"]
                values["distinguishable"] = "yes" if test["distinguishable"] else "no"
            ids = {"model": entry.model.key, "variant": contender.variant}
            rows.append(row(fields, values, entry.model.title, ids))
    level = f"{100 * verdicts[0].confidence:g} %" if verdicts else ""
    texts = prose("verdict", "approaches", level=level)
    return Table("verdict-approaches", texts, fields, rows, "Model")


def _bounded(value: float | None, ends: tuple[float, float] | None) -> Cell:
    """A value in percent or points with its interval, which has columns of its own in CSV."""
    if value is None or ends is None:
        return Cell(value, number(value))
    extra: Mapping[str, float] = dict(zip(("low", "high"), ends, strict=True))
    return Cell(value, number(value), interval=bracket(ends), extra=extra)


def ratios_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ2: each strategy over its ratios."""
    fields, rows = fields_of("ratios"), []
    for model, sweep in ((entry.model, sweep) for entry in verdicts for sweep in entry.sweeps):
        averages = sweep.averages
        values = {
            "strategy": sweep.strategy,
            "merges": sweep.merges,
            "lowest": min(averages.values(), default=None),
            "highest": max(averages.values(), default=None),
            "spread": sweep.spread,
            "regret": sweep.regret,
        }
        for key, variant in (("chosen", sweep.chosen), ("best", sweep.best)):
            values[key] = Cell(variant.name, layout.ratio(variant) or UNDEFINED)
            values[f"{key}_avg"] = averages.get(variant.name)
        rows.append(row(fields, values, model.title, {"model": model.key}))
    return Table("verdict-ratios", prose("verdict", "ratios", layout=layout), fields, rows, "Model")


def data_table(verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ2: the specialists by share of the training data."""
    scales = [(entry.model, scale) for entry in verdicts for scale in entry.scales]
    shares = sorted({share for _, scale in scales for share in scale.changes})
    fields = [Field("task", "Task", form="text")]
    fields += [Field(f"change_{share}", f"{share} %", form="2") for share in shares]
    rows = []
    for model, scale in scales:
        values = {f"change_{share}": change for share, change in scale.changes.items()}
        ids = {"model": model.key}
        rows.append(row(fields, {"task": scale.task, **values}, model.title, ids))
    return Table("verdict-data", prose("verdict", "data"), fields, rows, "Model")


def weights_table(layout: Layout, verdicts: Sequence[ModelVerdict]) -> Table:
    """RQ3: what the weights say, and what the paper's rule made of it."""
    fields, distance = fields_of("weights"), "Distance from base, %"
    fields += [Field(f"distance_percent.{t.key}", t.title, distance, "1") for t in layout.tasks]
    fields += [Field(f"distance_percent_{k}", k, distance, "1") for k in ("mixture", "merge")]
    fields += fields_of("rule")
    rows = []
    for entry in verdicts:
        values: dict[str, Any] = {"model": entry.model.title, **_rule(entry)}
        for measure, spread in entry.similarity.items():
            if spread is not None and measure == "norm_ratio":
                values[measure] = spread.mean
            elif spread is not None:
                factor, unit = (100, "_percent") if measure == "sign_conflict" else (1, "")
                for part, value in spread._asdict().items():
                    values[f"{measure}{unit}_{part}"] = factor * value
        names = {f".{task.key}": entry.model.specialists[task.key] for task in layout.tasks}
        names |= {"_mixture": entry.mixture.variant}
        names |= {"_merge": entry.merge.variant} if entry.merge else {}
        for key, name in names.items():
            value = entry.distances.get(name)
            values[f"distance_percent{key}"] = None if value is None else 100 * value
        rows.append(row(fields, values, ids={"key": entry.model.key}))
    return Table("verdict-weights", prose("verdict", "weights"), fields, rows)

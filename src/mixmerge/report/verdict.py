"""The verdict: mix or merge, for each model; in sentences (``templates/verdict.j2``) and tables.

The mixture and the merges compete on the suites of the selection rule; what the winner is worth,
and whether its lead is more than chance, is read on the test suites. RQ1 is mix or merge, RQ2 how
much hangs on strategy, ratio and data, RQ3 what the weights say.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, NamedTuple

from mixmerge.report.costs import cheaper, costs_table, read_bills
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.render import (
    Field,
    Table,
    fields_of,
    prose,
    table,
    write_page,
    write_table,
    write_text,
)
from mixmerge.report.results import (
    AVERAGES,
    MEASURES,
    Results,
    Score,
    mean_change,
    read_distances,
    read_pairs,
    spread_of,
)

Side = Literal["mixing", "merging"]
Call = Literal["right", "wrong", "undecided"]

#: Why a side is recommended: the evidence, the cost where the evidence does not tell them apart,
#: or neither of these (the costs are the same, or not known).
Reason = Literal["evidence", "cost", "same cost", "unknown cost"]

AVG = AVERAGES["test"]


class Contender(NamedTuple):
    """One way to a multi-task model: the mixture, or a strategy at its chosen ratio."""

    name: str  # printed name
    variant: str  # name of the checkpoint
    selection: float | None  # AVG on the suites of the selection rule in percent
    test: Score  # AVG on the test suites in percent

    @property
    def average(self) -> float | None:
        """AVG on the test suites."""
        return self.test.value

    @property
    def lead(self) -> Mapping[str, Any] | None:
        """The test of AVG on the test suites against the mixture."""
        return self.test.tests.get("mixture")


class Sweep(NamedTuple):
    """One strategy over its ratios, by AVG on the test suites in percent."""

    strategy: str  # its printed name
    averages: dict[str, float]  # merge -> AVG, where that is defined
    chosen: Variant  # the merge at the chosen ratio
    best: Variant  # the merge with the highest AVG; the chosen one among equals
    merges: int  # number of merges
    spread: float | None  # highest minus lowest in points; None where there are not two to compare
    regret: float | None  # points that the chosen ratio lies below the best one


class Scale(NamedTuple):
    """One task's specialists by share of the training data."""

    task: str
    # percentage of the data -> mean change in percent, over the task's test columns, against the
    # specialist that is merged, which was trained on `reference` percent
    changes: dict[int, float | None]
    reference: int


class ModelVerdict:
    """What the study says about one model.

    Below the study's root lie statistics of weights, and benchmarks and provenance, which give the
    costs; on the shelf completions and scores.
    """

    def __init__(self, results: Results, model: Model, root: Path, shelf: Path) -> None:
        self.results, self.layout, self.model = results, results.layout, model
        mixture, chosen = model.variant(model.mixture), results.chosen(model)
        merge, picked = results.best(model, chosen), results.best(model, [mixture, *chosen])
        contenders = {variant.name: self._contender(variant) for variant in (mixture, *chosen)}
        #: The mixture, then each strategy at its chosen ratio.
        self.contenders = list(contenders.values())
        self.mixture, *self.strategies = self.contenders
        #: The best strategy, and the best contender, under the selection rule.
        self.merge = contenders[merge.name] if merge else None
        self.picked = contenders[picked.name] if picked else self.mixture
        #: The test of AVG, merge against mixture; None without a merge or AVG.
        self.contest = self.merge.lead if self.merge else None
        pairs = list(read_pairs(self.layout, model, root).values())
        #: How the specialists' updates compare, by measure; numbers of pairs of tasks and layers.
        self.similarity = {key: spread_of([pair[key] for pair in pairs]) for key in MEASURES}
        self.pairs, self.layers = len(pairs), max((len(p["pearson"]) for p in pairs), default=0)
        names = [*self.layout.specialists(model), model.mixture, *([merge.name] if merge else [])]
        #: Specialists, mixture and merge -> norm of the update over that of the base.
        self.distances = {name: read_distances(root, model.key, name)[1] for name in names}
        #: Correlation from which the paper's rule mixes, and level of all intervals.
        self.threshold = self.layout.high_correlation
        self.confidence = results.evidence[model.key].level
        #: Who leads on the test suites; None where that cannot be said.
        self.outcome: Side | Literal["undecided"] | None = None
        if self.contest:
            leader: Side = "merging" if self.contest["difference"] > 0 else "mixing"
            self.outcome = leader if self.contest["distinguishable"] else "undecided"
        #: What the paper's rule says: high correlation, mix; low, merge. And whether it was right.
        self.predicted: Side | None = None
        self.call: Call | None = None
        if pearson := self.similarity["pearson"]:
            self.predicted = "mixing" if pearson.mean >= self.threshold else "merging"
            if self.outcome:
                called: Call = "right" if self.predicted == self.outcome else "wrong"
                self.call = "undecided" if self.outcome == "undecided" else called
        self.bills = read_bills(self.layout, model, root, shelf)
        #: What it took to find the best merge: all strategies, or the only one there is.
        self.merging_bill = self.bills[-1] if len(self.bills) > 1 else None

    def _score(self, variant: str, column: str) -> Score:
        return self.results.score(self.model, variant, column)

    def _contender(self, variant: Variant) -> Contender:
        selection = self._score(variant.name, AVERAGES[self.layout.select]).value
        name = self.layout.label(self.model, variant)
        return Contender(name, variant.name, selection, self._score(variant.name, AVG))

    def cheaper(self, part: str) -> int | None:
        """Whose ``total`` or ``marginal`` cost is lower: -1 mixing's, 1 merging's, 0 the same."""
        if self.merging_bill is None:
            return None
        return cheaper(getattr(self.bills[0], part), getattr(self.merging_bill, part))

    @property
    def recommended(self) -> tuple[Side | None, Reason] | None:
        """What to do, and why; None where there is no outcome."""
        if self.outcome != "undecided":
            return (self.outcome, "evidence") if self.outcome else None
        order = self.cheaper("total")
        if not order:
            return None, "unknown cost" if order is None else "same cost"
        return ("mixing" if order < 0 else "merging"), "cost"

    def problems(self, merge: Contender) -> Iterator[tuple[str, int, int, int]]:
        """Head, problems that mixture and merge solve, number of problems, by column."""
        for column in self.layout.columns_of("test"):
            if column.counted:
                count = self.results.items[self.model.key, self.model.mixture, column.suite].number
                scores = (self._score(one.variant, column.key) for one in (self.mixture, merge))
                mixed, merged = (round((score.value or 0) * count) for score in scores)
                yield column.header, mixed, merged, count

    @property
    def sweeps(self) -> list[Sweep]:
        """Each strategy's sweep, in the order of the strategies."""
        sweeps = []
        for strategy in self.layout.strategies:
            merges = self.layout.merges(self.model, strategy.key)
            if chosen := self.results.best(self.model, merges):
                values = {merge.name: self._score(merge.name, AVG).value for merge in merges}
                averages = {name: value for name, value in values.items() if value is not None}
                candidates = [chosen, *merges]
                best = max(candidates, key=lambda v: averages.get(v.name, float("-inf")))
                known = averages.values()
                spread = max(known) - min(known) if len(known) > 1 else None
                own = averages.get(chosen.name)
                lost = None if own is None else averages[best.name] - own
                numbers = (len(merges), spread, lost)
                sweeps.append(Sweep(strategy.title, averages, chosen, best, *numbers))
        return sweeps

    @property
    def scales(self) -> list[Scale]:
        """Tasks of which specialists were trained at several percentages."""
        scales = []
        for task in self.layout.tasks:
            columns = [c.key for c in self.layout.columns_of("test") if c.task == task.key]
            own = [variant for variant in self.model.variants if variant.task == task.key]
            changes = {
                percent: mean_change(self._score(name, key) for key in columns)
                for percent, name in sorted((v.percent, v.name) for v in own if v.percent)
            }
            if len(changes) > 1:
                merged = self.model.variant(self.model.specialists[task.key])
                scales.append(Scale(task.title, changes, merged.percent or 0))
        return scales


def write_verdict(layout: Layout, verdicts: Sequence[ModelVerdict], out: Path) -> None:
    """Write all files of the verdict (`mixmerge.report.layout.VERDICT_FILES`)."""
    last = closing(verdicts)
    texts = [
        (entry.model.title, prose("verdict", "paragraphs", layout=layout, entry=entry))
        for entry in verdicts
    ]
    outcomes = [entry.outcome for entry in verdicts if entry.outcome]
    tables = verdict_tables(layout, verdicts)
    sections: list[tuple[str, list[str], list[Table]]] = [
        ("", prose("verdict", "opening", outcomes=outcomes), tables[:1]),
        *((title, paragraphs, []) for title, paragraphs in texts),
        ("RQ1: mix or merge?", [], tables[1:3]),
        ("RQ2: how much hangs on strategy, ratio and data?", [], tables[3:5]),
        ("RQ3: what do the weights say?", [], tables[5:]),
        ("What this can and cannot say", last, []),
    ]
    write_page("verdict", "Verdict: data mix or model merge?", sections, out)
    for each in tables:
        write_table(each, out, ("csv",))
    lines = [layout.title]
    for entry in verdicts:
        lines += ["", entry.model.title]
        for sentence in prose("verdict", "lines", layout=layout, entry=entry):
            lines += wrap(sentence, 96, initial_indent="  ", subsequent_indent="    ")
    lines += ["", *(line for sentence in last for line in wrap(sentence, 96))]
    write_text(out / "verdict.txt", "\n".join(lines) + "\n")


def closing(verdicts: Sequence[ModelVerdict]) -> list[str]:
    """What all models together say of the paper's rule, and what the intervals leave out."""
    calls = [entry.call for entry in verdicts if entry.call]
    right, decided = calls.count("right"), len(calls) - calls.count("undecided")
    # That tossed coins call at least so many of the decided models right.
    chance = sum(comb(decided, k) for k in range(right, decided + 1)) / float(2**decided)
    # Models of which the one with the higher correlation leans more to mixing, whoever leads.
    points = [
        (entry.similarity["pearson"].mean, -entry.contest["difference"])
        for entry in verdicts
        if entry.similarity["pearson"] is not None and entry.contest is not None
    ]
    orders = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(points, 2)]
    pairs = sum(order > 0 for order in orders), len(orders)
    return prose("verdict", "closing", calls=calls, chance=100 * chance, pairs=pairs)


def verdict_tables(layout: Layout, verdicts: Sequence[ModelVerdict]) -> list[Table]:
    """A line a model; then of RQ1 approaches and costs, of RQ2 ratios and data, of RQ3 weights."""

    def lines(part: str, *ids: str) -> list[dict[str, Any]]:
        """A line for each that the models have of a part, under the model's title."""
        return [
            {
                "entry": entry,
                "line": line,
                "block": entry.model.title,
                "ids": {"model": entry.model.key, **{name: getattr(line, name) for name in ids}},
            }
            for entry in verdicts
            for line in getattr(entry, part)
        ]

    models = [{"entry": entry, "ids": {"key": entry.model.key}} for entry in verdicts]
    shares = sorted({share for entry in verdicts for s in entry.scales for share in s.changes})
    data = [Field("task", "Task", form="text", value="line.task")]
    data += [Field(f"change_{s}", f"{s} %", form="2", value=f"line.changes[{s}]") for s in shares]
    weights = fields_of("weights")
    for task in layout.tasks:
        value = f"entry.distances[entry.model.specialists[{task.key!r}]]|percent"
        key, group = f"distance_percent.{task.key}", "Distance from base, %"
        weights.append(Field(key, task.title, group, "1", value))
    weights += fields_of("rule")
    contenders = lines("contenders", "variant")
    words: dict[str, Any] = {"choice": "validation" if layout.select == "validation" else "choice"}
    words["level"] = f"{100 * verdicts[0].confidence:g} %" if verdicts else ""
    return [
        table("verdict", "verdict.verdict", models, layout=layout),
        table("verdict-approaches", "verdict.approaches", contenders, "Model", **words),
        costs_table(layout, lines("bills", "key")),
        table("verdict-ratios", "verdict.ratios", lines("sweeps"), "Model", layout=layout),
        table("verdict-data", "verdict.data", lines("scales"), "Model", data),
        table("verdict-weights", "verdict.weights", models, "", weights),
    ]

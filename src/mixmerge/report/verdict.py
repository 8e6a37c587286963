"""The verdict: mix or merge, for each model; in sentences (``templates/verdict.j2``) and tables.

Mixture and merges compete on the suites of the selection rule, and are judged on the test suites.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb, inf
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, NamedTuple

from mixmerge.report import render
from mixmerge.report.costs import Cost, cheaper, read_bills
from mixmerge.report.layout import Layout, Model
from mixmerge.report.render import Field, Table, fields_of, prose, table
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
from mixmerge.report.study_tables import reach_of

Side = Literal["mixing", "merging"]


class Contender(NamedTuple):
    """One way to a multi-task model: the mixture, or a strategy at its chosen ratio."""

    name: str  # printed name
    variant: str  # name of the checkpoint
    selection: float | None  # AVG on the suites of the selection rule in percent
    test: Score  # AVG on the test suites in percent
    lead: Mapping[str, Any] | None  # the test of that against the mixture's


class ModelVerdict:
    """What the study says about one model, of what lies below its root and on the shelf."""

    def __init__(self, results: Results, model: Model, root: Path, shelf: Path) -> None:
        self.results, self.layout, self.model, self.root = results, results.layout, model, root
        layout, chosen = results.layout, results.chosen(model)
        mixture = model.variant(model.mixture)
        merge, picked = results.best(model, chosen), results.best(model, [mixture, *chosen])
        contenders = {}
        for variant in (mixture, *chosen):
            name, key = layout.label(model, variant), AVERAGES[layout.select]
            selection = results.score(model, variant.name, key).value
            test = results.score(model, variant.name, "avg")
            lead = test.tests.get("mixture")
            contenders[variant.name] = Contender(name, variant.name, selection, test, lead)
        self.contenders = list(contenders.values())
        self.mixture, *self.strategies = self.contenders
        #: The best strategy, and the best contender, under the selection rule.
        self.merge = contenders[merge.name] if merge else None
        self.picked = contenders[picked.name] if picked else self.mixture
        #: The test of AVG, merge against mixture; None without a merge or AVG.
        self.contest = self.merge.lead if self.merge else None
        #: Who leads on the test suites; None where that cannot be said.
        self.outcome: Side | Literal["undecided"] | None = None
        if self.contest:
            leader: Side = "merging" if self.contest["difference"] > 0 else "mixing"
            self.outcome = leader if self.contest["distinguishable"] else "undecided"
        pairs = list(read_pairs(layout, model, root).values())
        #: How the specialists' updates compare, by measure; numbers of pairs of tasks and layers.
        self.similarity = {m: spread_of([pair[m] for pair in pairs]) for m in MEASURES}
        self.pairs, self.layers = len(pairs), max((len(p["pearson"]) for p in pairs), default=0)
        #: What the paper's rule says: high correlation, mix; low, merge. And whether it was right.
        self.predicted: Side | None = None
        if pearson := self.similarity["pearson"]:
            self.predicted = "mixing" if pearson["mean"] >= layout.high_correlation else "merging"
        self.call: Literal["right", "wrong", "undecided"] | None = None
        if self.predicted and self.outcome:
            self.call = "right" if self.predicted == self.outcome else "wrong"
            if self.outcome == "undecided":
                self.call = "undecided"
        self.confidence = results.evidence[model.key].level
        names = [*layout.specialists(model), model.mixture, *([merge.name] if merge else [])]
        #: Specialists, mixture and merge -> norm of the update over that of the base.
        self.distances = {name: read_distances(root, model.key, name)[1] for name in names}
        self.bills = read_bills(layout, model, root, shelf)
        #: What it took to find the best merge: all strategies, or the only one there is.
        self.merging_bill = self.bills[-1] if len(self.bills) > 1 else None
        #: Whose total and marginal costs are lower: -1 mixing's, 1 merging's, 0 the same.
        mixing, merging = self.bills[0], self.bills[-1]
        self.cheaper = cheaper(mixing.total, merging.total)
        self.cheaper_at_hand = cheaper(mixing.marginal, merging.marginal)

    @property
    def recommended(self) -> tuple[Side | None, str] | None:
        """What to do; and why: evidence, or cost where that leaves it open. None: no outcome."""
        if self.outcome != "undecided":
            return (self.outcome, "evidence") if self.outcome else None
        if not self.cheaper:
            return None, "unknown cost" if self.cheaper is None else "same cost"
        return ("mixing" if self.cheaper < 0 else "merging"), "cost"

    @property
    def sweeps(self) -> list[dict[str, Any]]:
        """Each strategy over its ratios, by AVG on the test suites in percent."""
        sweeps = []
        for chosen in self.results.chosen(self.model):
            merges = self.layout.merges(self.model, chosen.strategy)
            scores = {v.name: self.results.score(self.model, v.name, "avg").value for v in merges}
            known = {name: value for name, value in scores.items() if value is not None}
            # The chosen one is the best among equals.
            best = max([chosen, *merges], key=lambda merge: known.get(merge.name, -inf))
            spread = max(known.values()) - min(known.values()) if len(known) > 1 else None
            regret = known[best.name] - known[chosen.name] if chosen.name in known else None
            sweep = {"strategy": self.layout.method(chosen), "chosen": chosen, "best": best}
            sweep |= {"merges": len(merges), "averages": known, "spread": spread, "regret": regret}
            sweep["note"], sweep["reach"] = reach_of(self.root, self.model, merges)
            sweeps.append(sweep)
        return sweeps

    @property
    def scales(self) -> list[dict[str, Any]]:
        """Tasks with specialists of several percentages: changes against ``reference``, merged."""
        scales = []
        for task in self.layout.tasks:
            columns = [c.key for c in self.layout.columns_of("test") if c.task == task.key]
            own = [variant for variant in self.model.variants if variant.task == task.key]
            changes = {}
            for share, name in sorted((v.percent, v.name) for v in own if v.percent):
                scores = (self.results.score(self.model, name, key) for key in columns)
                changes[share] = mean_change(scores)
            if len(changes) > 1:
                merged = self.model.variant(self.model.specialists[task.key]).percent or 0
                scales.append({"task": task.title, "changes": changes, "reference": merged})
        return scales


def write_verdict(layout: Layout, verdicts: Sequence[ModelVerdict], out: Path) -> None:
    """Write all files of the verdict (`mixmerge.report.layout.VERDICT_FILES`)."""
    tables = verdict_tables(layout, verdicts)
    calls = [entry.call for entry in verdicts if entry.call]
    right, decided = calls.count("right"), len(calls) - calls.count("undecided")
    # That tossed coins call at least so many of the decided models right.
    chance = 100 * sum(comb(decided, k) for k in range(right, decided + 1)) / float(2**decided)
    # Models of which the one with the higher correlation leans more to mixing, whoever leads.
    points = [
        (entry.similarity["pearson"]["mean"], -entry.contest["difference"])
        for entry in verdicts
        if entry.similarity["pearson"] is not None and entry.contest is not None
    ]
    orders = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(points, 2)]
    pairs = sum(order > 0 for order in orders), len(orders)
    last = prose("verdict", "closing", calls=calls, chance=chance, pairs=pairs)
    outcomes = [entry.outcome for entry in verdicts if entry.outcome]
    texts = [prose("verdict", "paragraphs", layout=layout, entry=entry) for entry in verdicts]
    sections: list[render.PageSection] = [
        ("", prose("verdict", "opening", outcomes=outcomes), tables[:1]),
        *((entry.model.title, text, []) for entry, text in zip(verdicts, texts, strict=True)),
        ("RQ1: mix or merge?", [], tables[1:3]),
        ("RQ2: how much hangs on strategy, ratio and data?", [], tables[3:5]),
        ("RQ3: what do the weights say?", [], tables[5:]),
        ("What this can and cannot say", last, []),
    ]
    render.write_page("verdict", "Verdict: data mix or model merge?", sections, out)
    for each in tables:
        render.write_table(each, out, ("csv",))
    lines = [layout.title]
    for entry in verdicts:
        lines += ["", entry.model.title]
        for sentence in prose("verdict", "lines", layout=layout, entry=entry):
            lines += wrap(sentence, 96, initial_indent="  ", subsequent_indent="    ")
    lines += ["", *(line for sentence in last for line in wrap(sentence, 96))]
    render.write_text(out / "verdict.txt", "\n".join(lines) + "\n")


def verdict_tables(layout: Layout, verdicts: Sequence[ModelVerdict]) -> list[Table]:
    """A line a model; then of RQ1 approaches and costs, of RQ2 ratios and data, of RQ3 weights."""

    def lines(part: str, *ids: str) -> list[dict[str, Any]]:
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
    sweeps, scales = lines("sweeps"), lines("scales")
    for sweep in sweeps:
        sweep["note"] = sweep["line"]["note"]
        sweep["ids"] |= sweep["line"]["reach"]
    shares = sorted({share for scale in scales for share in scale["line"]["changes"]})
    data = [Field("task", "Task", form="text", value="line.task")]
    data += [Field(f"change_{s}", f"{s} %", form="2", value=f"line.changes[{s}]") for s in shares]
    weights = fields_of("weights")
    for task in layout.tasks:
        value = f"entry.distances[entry.model.specialists[{task.key!r}]]|percent"
        key, group = f"distance_percent.{task.key}", "Distance from base, %"
        weights.append(Field(key, task.title, group, "1", value))
    weights += fields_of("rule")
    words: dict[str, Any] = {"choice": "choice" if layout.select == "test" else "validation"}
    words["level"] = f"{100 * verdicts[0].confidence:g} %" if verdicts else ""
    contenders = lines("contenders", "variant")
    bills, reached = lines("bills", "key"), any(sweep["note"] for sweep in sweeps)
    costs = {key: any(getattr(bill["line"].total, key) for bill in bills) for key in Cost._fields}
    gpu = costs["gpu_hours"]
    billed = [field for field in fields_of("costs") if gpu or field.group != "GPU-hours"]
    return [
        table("verdict", "verdict.verdict", models, layout=layout),
        table("verdict-approaches", "verdict.approaches", contenders, "Model", **words),
        table("verdict-costs", "verdict.costs", bills, "Model", billed, layout=layout, **costs),
        table("verdict-ratios", "verdict.ratios", sweeps, "Model", layout=layout, reached=reached),
        table("verdict-data", "verdict.data", scales, "Model", data),
        table("verdict-weights", "verdict.weights", models, "", weights),
    ]

"""RQ1 in tables: the verdict, and mixture and strategies side by side."""

from collections.abc import Sequence

from mixmerge.report import cells, phrases
from mixmerge.report.layout import Layout
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label
from mixmerge.report.verdict import Contender, ModelVerdict


def verdict_table(layout: Layout, found: Sequence[ModelVerdict]) -> Table:
    """The verdict in one line a model."""
    where = "validation" if layout.select == "validation" else "test"
    rows = []
    for entry in found:
        merge, r = entry.merge, entry.weights.pearson
        against = merge.against_mixture if merge else None
        side, reason = entry.recommended or (None, None)
        rows.append(
            Row(
                (
                    label(entry.model.title),
                    Cell(entry.picked.variant, entry.picked.name),
                    cells.number(entry.mixture.average, 2),
                    Cell(merge.variant if merge else None, merge.name if merge else UNDEFINED),
                    cells.number(merge.average if merge else None, 2),
                    cells.number(against.difference if against else None, 2),
                    cells.p_value(against.p_adjusted if against else None),
                    cells.word(entry.outcome),
                    cells.word(phrases.VERB[side] if side else None),
                    cells.word(reason),
                    cells.number(r.mean if r else None, 3),
                    cells.word(phrases.VERB[entry.predicted] if entry.predicted else None),
                    cells.word(entry.call),
                ),
                ids={"key": entry.model.key},
            )
        )
    return Table(
        name="verdict",
        title="Verdict. Data mix or model merge?",
        fields=(
            Field("model", "Model", align="left"),
            Field("picked", f"Best on {where}", align="left"),
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
        ),
        rows=tuple(rows),
        notes=(
            f"{phrases.AVG} on the test suites; differences in points. The merge is the one with "
            f"the highest AVG on the {where} suites. p: of no difference, by bootstrap, "
            "Holm-adjusted over the strategy's ratios.",
            "Mean r: Pearson correlation of the specialists' updates, mean over layers. The "
            f"paper's rule is read as: r of {layout.high_correlation:g} or more, mix; less, merge "
            "(the paper names no threshold).",
        ),
    )


def approaches_table(layout: Layout, found: Sequence[ModelVerdict]) -> Table:
    """RQ1: the mixture and each strategy at its chosen ratio."""
    level = f"{100 * found[0].confidence:g} %" if found else ""
    rows = [
        Row(
            _approach(entry, contender),
            entry.model.title,
            {"model": entry.model.key, "variant": contender.variant},
        )
        for entry in found
        for contender in (entry.mixture, *entry.strategies)
    ]
    validated = layout.select == "validation"
    return Table(
        name="verdict-approaches",
        title="Mix or merge. The mixture, and each strategy at its chosen ratio.",
        fields=(
            Field("approach", "Approach", align="left"),
            Field("selection_avg", "AVG, validation" if validated else "AVG, choice"),
            Field("avg", "AVG, test"),
            Field("p_specialists", "p, specialists"),
            Field("difference", "Minus the mixture"),
            Field("p_mixture", "p, mixture"),
            Field("distinguishable", "Distinguishable", align="left"),
        ),
        rows=tuple(rows),
        block_header="Model",
        notes=(
            f"{phrases.AVG}. In brackets: {level} intervals, by a paired bootstrap over test "
            "items. p: of no difference to the specialists or to the mixture, Holm-adjusted over "
            "the strategy's ratios. Distinguishable: from the mixture. Bold: chosen by the rule.",
        ),
    )


def _approach(entry: ModelVerdict, contender: Contender) -> tuple[Cell, ...]:
    interval, special = contender.interval, contender.against_specialists
    mixture = contender.against_mixture
    told = None if mixture is None else "yes" if mixture.distinguishable else "no"
    return (
        Cell(contender.name, contender.name, best=contender is entry.picked),
        cells.number(contender.selection, 2),
        cells.bounded(contender.average, interval),
        cells.p_value(special.p_adjusted if special else None),
        cells.bounded(mixture.difference if mixture else None, mixture),
        cells.p_value(mixture.p_adjusted if mixture else None),
        cells.word(told),
    )

"""The verdict on a model in sentences, for a reader who looks at no table."""

from mixmerge.report import phrases
from mixmerge.report.costs import MIXTURE, Bill, cheaper
from mixmerge.report.influence import influence
from mixmerge.report.layout import Layout
from mixmerge.report.phrases import VERB, counted, listed, percent
from mixmerge.report.table import number
from mixmerge.report.verdict import Contender, ModelVerdict


def paragraphs(layout: Layout, entry: ModelVerdict) -> tuple[str, ...]:
    """Three paragraphs on one model: mix or merge (RQ1), what it hangs on (RQ2), weights (RQ3)."""
    parts = (_contest(layout, entry), influence(layout, entry), _weights(entry))
    return tuple(" ".join(sentence for sentence in part if sentence) for part in parts)


def _contest(layout: Layout, entry: ModelVerdict) -> list[str]:
    if entry.merge is None:
        return [
            f"Nothing was merged, so there is nothing to compare the {_name(entry.mixture)} with: "
            f"its AVG is {_average(entry, entry.mixture)}.",
            _costs(layout, entry),
        ]
    return [
        _selection(layout, entry, entry.merge),
        f"{'On the test suites the' if layout.select == 'validation' else 'The'} data mixture "
        f"reaches {_average(entry, entry.mixture)} and the merge "
        f"{phrases.average(entry.merge.average, entry.merge.interval, None)}.",
        _difference(entry, entry.merge),
        _contradiction(entry),
        _against_specialists(entry),
        _costs(layout, entry),
        recommendation(entry),
    ]


def _name(contender: Contender) -> str:
    return "data mixture" if contender.against_mixture is None else contender.name


def _average(entry: ModelVerdict, contender: Contender) -> str:
    return phrases.average(contender.average, contender.interval, entry.confidence)


def _selection(layout: Layout, entry: ModelVerdict, merge: Contender) -> str:
    count = entry.merging_bill.merges if entry.merging_bill else 1
    best = f"{merge.name}, the best of {count} merges," if count > 1 else f"{merge.name}"
    where = f"On {phrases.where(layout)}"
    mixture = percent(entry.mixture.selection)
    if entry.mixture.selection == merge.selection:
        return f"{where} the data mixture and {best} are level with an AVG of {mixture}."
    sides = [("the data mixture", mixture), (best, percent(merge.selection))]
    if entry.picked is merge:
        sides.reverse()
    (first, ahead), (second, behind) = sides
    return f"{where} {first} comes first with an AVG of {ahead}, before {second} with {behind}."


def _difference(entry: ModelVerdict, merge: Contender) -> str:
    found = merge.against_mixture
    if found is None:
        return "AVG is not defined for both of them, so neither leads."
    shown = (
        f"The difference, merge minus mixture, is {phrases.signed(found.difference)} points "
        f"({phrases.span(found.low, found.high)}; {phrases.holm(found, merge.family)})"
    )
    if entry.outcome == "undecided":
        return f"{shown}: the two are not distinguishable."
    return f"{shown}: {entry.outcome} is better, by more than chance explains."


def _contradiction(entry: ModelVerdict) -> str:
    picked = "mixing" if entry.picked is entry.mixture else "merging"
    if entry.outcome in (None, "undecided", picked):
        return ""
    return "The suites that chose had pointed the other way."


def _against_specialists(entry: ModelVerdict) -> str:
    best = entry.merge if entry.outcome == "merging" else entry.mixture
    if entry.outcome == "undecided":
        best = entry.picked
    found = best.against_specialists if best else None
    if best is None or found is None:
        return ""
    name = "The data mixture" if best is entry.mixture else best.name
    p = phrases.p_value(found.p_adjusted)
    if not found.distinguishable:
        return f"{name} is not distinguishable from the specialists ({p})."
    return f"{name} lies {'above' if found.difference > 0 else 'below'} the specialists ({p})."


def _costs(layout: Layout, entry: ModelVerdict) -> str:
    mixture, merging = entry.bill(MIXTURE), entry.merging_bill
    if mixture is None:
        return ""
    first = f"Training the mixture took {phrases.hours(mixture.total)}"
    if merging is None:
        return f"{first}."
    if not (mixture.total.known or merging.total.known):
        return "What mixing and merging cost is not known."
    return f"{first}, merging {phrases.hours(merging.total)}{_items(layout, merging)}."


def _items(layout: Layout, bill: Bill) -> str:
    """What a bill is made of, and what of it is left with the specialists at hand."""
    if not bill.total.known:
        return ""
    items = [
        f"{phrases.hours(bill.training)} for {counted(bill.specialists, 'specialist')}",
        f"{phrases.hours(bill.merging)} for {counted(bill.merges, 'merge')}",
    ]
    if bill.merges > 1:
        items.append(
            f"{phrases.hours(bill.selection)} for evaluating them on {phrases.where(layout)}"
        )
    return f" ({listed(items)}; {phrases.hours(bill.marginal)} with the specialists at hand)"


def recommendation(entry: ModelVerdict) -> str:
    """What to do and why; empty where nothing can be said."""
    if entry.recommended is None or entry.merge is None:
        return ""
    side, reason = entry.recommended
    if side is None:
        same = reason == "same cost"
        why = (
            "cost about the same, either will do"
            if same
            else ("their costs are not known, neither is recommended")
        )
        return f"As the two are not distinguishable and {why}.{_at_hand(entry)}"
    what = "mix" if side == "mixing" else f"merge, with {entry.merge.name}"
    if reason == "evidence":
        return f"Recommended: {what}."
    return (
        f"Recommended: {what}; not because it scores better, but because it is the cheaper of two "
        f"ways that are not distinguishable.{_at_hand(entry)}"
    )


def _at_hand(entry: ModelVerdict) -> str:
    mixture, merging = entry.bill(MIXTURE), entry.merging_bill
    if mixture is None or merging is None or entry.recommended in (None, ("merging", "cost")):
        return ""
    if cheaper(mixture.marginal, merging.marginal) != 1:
        return ""
    return " With the specialists at hand, merging is the cheaper one."


def _weights(entry: ModelVerdict) -> list[str]:
    found = entry.weights
    if found.pearson is None:
        return ["The correlation of the specialists' updates is not defined."]
    over = f"over {counted(found.layers, 'layer')}"
    if found.pairs > 1:
        over += f" and {counted(found.pairs, 'pair')} of tasks"
    return [
        f"The specialists' updates correlate with r = {phrases.spread(found.pearson)}, mean and "
        f"range {over}; their cosine is {phrases.spread(found.cosine)}; of the parameters that "
        f"both moved, {phrases.spread(found.sign_conflict, 1, 100, ' %')} went in opposite "
        "directions (50 % is chance).",
        _distances(entry),
        rule(entry),
    ]


def _distances(entry: ModelVerdict) -> str:
    found = dict(entry.weights.distances)
    names = {entry.mixture.variant: "mixture"}
    if entry.merge:
        names[entry.merge.variant] = "merge"
    known = {name: 100 * value for name, value in found.items() if value is not None}
    specialists = [number(value, 1) for name, value in known.items() if name not in names]
    parts = [f"specialists {listed(specialists)}"] if specialists else []
    parts += [f"{names[name]} {number(known[name], 1)}" for name in names if name in known]
    if not parts:
        return ""
    return f"Distance from the base, in percent of the norm of its weights: {', '.join(parts)}."


def rule(entry: ModelVerdict) -> str:
    """What the paper's rule says and whether it was right."""
    if entry.predicted is None:
        return ""
    text = (
        f"The paper's rule (r of {entry.threshold:g} or more: mix; less: merge) says "
        f"{VERB[entry.predicted]}"
    )
    if entry.call is None:
        return f"{text}; there is nothing here for it to call."
    if entry.call == "undecided":
        return f"{text}; as the two are not distinguishable, that is neither right nor wrong here."
    return f"{text}. That is {entry.call} here."

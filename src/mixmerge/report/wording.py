"""The verdict in a few lines, for the terminal, and what all models together say."""

from collections.abc import Sequence
from itertools import combinations
from textwrap import wrap

from mixmerge.report import phrases
from mixmerge.report.costs import MIXTURE
from mixmerge.report.layout import Layout
from mixmerge.report.paragraphs import recommendation, rule
from mixmerge.report.phrases import counted, listed
from mixmerge.report.table import number
from mixmerge.report.verdict import ModelVerdict, Outcome, by_chance

#: Decided models below which a rule that is always right is no better than luck at 5 %: 1 / 2^5.
_FEW = 5


def verdict_text(layout: Layout, found: Sequence[ModelVerdict]) -> str:
    """The verdict in a few lines, for the terminal."""
    lines = [layout.title]
    for entry in found:
        lines += ["", entry.model.title]
        for sentence in _sentences(layout, entry):
            lines += wrap(sentence, 96, initial_indent="  ", subsequent_indent="    ")
    lines.append("")
    for sentence in closing(found):
        lines += wrap(sentence, 96)
    return "\n".join(lines) + "\n"


def _sentences(layout: Layout, entry: ModelVerdict) -> list[str]:
    mixture, merge = entry.mixture, entry.merge
    mixed = phrases.average(mixture.average, mixture.interval, entry.confidence)
    if merge is None:
        return [f"Data mixture: {mixed} against the specialists. Nothing was merged."]
    merged = phrases.average(merge.average, merge.interval, None)
    lines = [
        f"Best on {phrases.where(layout)}: {entry.picked.name}.",
        f"Test AVG against the specialists: {mixture.name} {mixed}, {merge.name} {merged}.",
        _outcome(entry),
    ]
    if entry.problems:
        shown = [
            f"{head} {mixed} : {merged} of {count}" for head, mixed, merged, count in entry.problems
        ]
        lines.append(f"Problems solved, mixture : merge: {'; '.join(shown)}.")
    lines.append(_costs(entry))
    if entry.weights.pearson is None:
        lines.append("The correlation of the specialists' updates is not defined.")
    else:
        lines.append(
            f"Updates correlate with r = {number(entry.weights.pearson.mean, 2)}. {rule(entry)}"
        )
    return [line for line in (*lines, recommendation(entry)) if line]


def _outcome(entry: ModelVerdict) -> str:
    found = entry.merge.against_mixture if entry.merge else None
    if found is None:
        return "AVG is not defined for both, so neither leads."
    gap, p = f"{number(abs(found.difference), 2)} points", phrases.p_value(found.p_adjusted)
    if entry.outcome != "undecided":
        return f"{str(entry.outcome).capitalize()} leads by {gap} ({p})."
    side = "merge" if found.difference > 0 else "mixture"
    if not found.difference:
        return f"Mixing and merging are level ({p})."
    return f"Not distinguishable: {gap} in favour of the {side} ({p})."


def _costs(entry: ModelVerdict) -> str:
    mixture, merging = entry.bill(MIXTURE), entry.merging_bill
    if not (mixture and merging and (mixture.total.known or merging.total.known)):
        return ""
    text = f"Cost: mixing {phrases.hours(mixture.total)}, merging {phrases.hours(merging.total)}"
    if merging.total.known:
        text += f" ({phrases.hours(merging.marginal)} with the specialists at hand)"
    return f"{text}."


def closing(found: Sequence[ModelVerdict]) -> list[str]:
    """What all models together say of the paper's rule, and what the intervals leave out."""
    return [
        *_record(found),
        *_order(found),
        "Intervals and p-values say what other test items of the same kind could change. Each "
        "checkpoint is one training run: what another seed could change is not in them.",
    ]


def opening(found: Sequence[ModelVerdict]) -> list[str]:
    """What was asked, and the answers counted."""
    question = (
        "One model for all tasks: mixing fine-tunes it once on the tasks' data together; merging "
        "fine-tunes a specialist for each task and merges their weights. AVG is the mean change in "
        "percent against the specialists: at 0, a model does all tasks as well as they do theirs."
    )
    outcomes = [entry.outcome for entry in found if entry.outcome is not None]
    if not outcomes:
        return [question]
    says: dict[Outcome, str] = {
        "mixing": "mixing is better",
        "merging": "merging is better",
        "undecided": "the two are not distinguishable",
    }
    if len(outcomes) == 1:
        return [question, f"For the one model compared, {says[outcomes[0]]}."]
    counts = {outcome: outcomes.count(outcome) for outcome in says}
    parts = [f"{text} for {counts[key]}" for key, text in says.items() if counts[key]]
    return [question, f"Of {len(outcomes)} models, {listed(parts)}."]


def _record(found: Sequence[ModelVerdict]) -> list[str]:
    calls = [entry.call for entry in found if entry.call is not None]
    if not calls:
        return []
    right, wrong, open_ = (calls.count(call) for call in ("right", "wrong", "undecided"))
    if len(calls) == 1:
        says = "left undecided" if open_ else calls[0]
        return [
            f"The paper's rule was {says} for the one model compared: a single case neither "
            "supports nor refutes a rule."
        ]
    shares = [f"right for {right} of {len(calls)} models", f"wrong for {wrong}"]
    if open_:
        shares.append(f"undecided for {open_}")
    text = f"The paper's rule was {listed(shares)}."
    decided = right + wrong
    if not decided:
        return [text]
    if 2 * right <= decided:
        few = " So few decide little, but here it" if decided < _FEW else " It"
        return [f"{text}{few} did no better than tossed coins would."]
    chance = f"tossed coins do at least as well with a probability of {_chance(right, decided)}."
    if decided < _FEW:
        return [f"{text} So few decided models ({decided}) cannot tell a rule from luck: {chance}"]
    return [f"{text} {chance.capitalize()}"]


def _chance(right: int, decided: int) -> str:
    return f"{number(100 * by_chance(right, decided), 0)} %"


def _order(found: Sequence[ModelVerdict]) -> list[str]:
    """Whether models with a higher correlation lean more to mixing, whoever leads."""
    points = []
    for entry in found:
        against = entry.merge.against_mixture if entry.merge else None
        if entry.weights.pearson is not None and against is not None:
            points.append((entry.weights.pearson.mean, -against.difference))
    orders = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(points, 2)]
    if not orders:
        return []
    agree = sum(order > 0 for order in orders)
    return [
        f"Over {counted(len(orders), 'pair')} of models, the one with the higher correlation leans "
        f"more to mixing in {agree}."
    ]

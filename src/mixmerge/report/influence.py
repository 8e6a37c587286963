"""How much hangs on ratio, strategy and data (RQ2), in sentences."""

from mixmerge.report.layout import Layout
from mixmerge.report.phrases import listed, percent
from mixmerge.report.table import number
from mixmerge.report.verdict import ModelVerdict


def influence(layout: Layout, entry: ModelVerdict) -> list[str]:
    """Sentences on a model, some of which may be empty."""
    return [_ratios(entry), _strategies(entry), _regret(layout, entry), _data(entry)]


def _ratios(entry: ModelVerdict) -> str:
    spreads = [(found.spread, found) for found in entry.sweeps if found.spread is not None]
    if not entry.sweeps:
        return ""
    if not spreads:
        return "No strategy was tried at more than one ratio."
    most, widest = max(spreads, key=lambda pair: pair[0])
    least, narrowest = min(spreads, key=lambda pair: pair[0])
    text = f"The ratio moves AVG by {number(most, 2)} points for {widest.strategy}"
    if len(spreads) > 1:
        text += f", where it matters most, and by {number(least, 2)} for {narrowest.strategy}, "
        text += "where it matters least"
    return f"{text}."


def _strategies(entry: ModelVerdict) -> str:
    known = [(c.average, c.name) for c in entry.strategies if c.average is not None]
    if len(known) < 2:
        return ""
    high, best = max(known, key=lambda pair: pair[0])
    low, worst = min(known, key=lambda pair: pair[0])
    text = (
        f"The {len(known)} strategies, each at its chosen ratio, span {number(high - low, 2)} "
        f"points, from {percent(low)} ({worst}) to {percent(high)} ({best})"
    )
    found = entry.merge.against_mixture if entry.merge else None
    if found is None:
        return f"{text}."
    gap = abs(found.difference)
    order = "more" if high - low > gap else "less"
    return f"{text}: {order} than the {number(gap, 2)} between the best merge and the mixture."


def _regret(layout: Layout, entry: ModelVerdict) -> str:
    swept = [found for found in entry.sweeps if found.merges > 1 and found.regret is not None]
    if not swept:
        return ""
    if layout.select == "test":
        return (
            "The ratios were chosen on the test suites themselves, so what choosing costs cannot "
            "be seen here."
        )
    worst = max(swept, key=lambda found: found.regret or 0.0)
    if not worst.regret:
        text = "Every ratio chosen on the validation suites is also the best on the test suites"
    else:
        text = (
            "Against the best ratio on the test suites, the one chosen on the validation suites "
            f"loses at most {number(worst.regret, 2)} points ({worst.strategy})"
        )
    return f"{text}{_lost(entry)}."


def _lost(entry: ModelVerdict) -> str:
    """What choosing the strategy, too, lost against the best merge of all on the test suites."""
    averages = [average for sweep in entry.sweeps for average in sweep.averages.values()]
    if entry.merge is None or entry.merge.average is None or len(entry.sweeps) < 2:
        return ""
    loss = max(averages) - entry.merge.average
    if not loss:
        return "; the merge chosen is the best of all"
    return f"; the merge chosen lies {number(loss, 2)} points below the best of all"


def _data(entry: ModelVerdict) -> str:
    parts = []
    for scale in entry.scales:
        shares = [
            f"{percent(change)} with {share} %"
            for share, change in scale.changes.items()
            if share != scale.reference
        ]
        parts.append(f"{scale.task} {listed(shares)} of the data")
    if not parts:
        return ""
    reference = entry.scales[0].reference
    return f"Data: against the specialists trained on {reference} %, {'; '.join(parts)}."

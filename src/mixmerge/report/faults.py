"""Sentences below the tables beside the paper's: what keeps the two from being comparable.

``docs/paper-audit.md`` has the evidence for what is said here about the paper's figures.
"""

from collections.abc import Iterator

from mixmerge.report import notes
from mixmerge.report.layout import Counterpart, Layout
from mixmerge.report.paper_tables import FAR, METRICS, Line, choices
from mixmerge.report.peer import Peers
from mixmerge.report.scores import Scores


def reading(averaged: bool, percentages: bool = True) -> str:
    """How to read the three lines of a checkpoint."""
    parts = [
        "Under each line of ours: the paper's as printed, and ours minus the paper's, pass@1 in "
        "points (0.01), summary metrics as they are"
        + (", AVG in percentage points." if averaged else ".")
    ]
    if percentages:
        parts.append(
            "In parentheses: change in percent against the specialists, each study's against its "
            "own."
        )
    parts.append("What only one of the two studies has is left out.")
    return " ".join(parts)


def sentences(
    layout: Layout, peers: Peers, counterpart: Counterpart, scores: Scores
) -> Iterator[str]:
    """What a reader must know of both studies.

    Args:
        layout: our study.
        peers: the paper's lines.
        counterpart: our table and the paper's.
        scores: our scores, which say how many items were judged.
    """
    keys = layout.strategy_models if counterpart.model is None else [counterpart.model]
    shown = [line for key in keys for line in peers.block(layout.model(key), counterpart.table)]
    if counterpart.kind == "strategies":
        yield _ratios(layout, peers, shown)
    yield _marked(peers, shown, counterpart.table)
    yield _repeated(peers, shown)
    yield from measured(layout, scores)


def measured(layout: Layout, scores: Scores) -> Iterator[str]:
    """On what both studies were judged."""
    yield f"Ours on: {notes.suites(layout, 'test', scores).removeprefix('Suites: ')}"
    yield (
        "The paper names no EvalPlus release; its text counts 164 problems of HumanEval, 379 of "
        "MBPP (its scores fit the 378 of release 0.2.0) and 25,834 summaries. Its authors' job "
        "files decode summaries of base and fine-tuned models with repetition penalty 1.1, of "
        "merges with none."
    )


def _ratios(layout: Layout, peers: Peers, shown: list[Line]) -> str:
    text = (
        f"Ratios, ours: {notes.selection(layout)} The paper's: chosen on the test suites and not "
        "printed in Table 3; the lines in its Tables 5-8 that have the same scores tell them."
    )
    assert layout.paper is not None
    models = {name: layout.model(key).title for key, name in layout.paper.models.items()}
    strategies = {
        layout.paper.strategies.get(entry.key): entry.title for entry in layout.strategies
    }
    better = [
        f"{models[pick.shown.model]}, {strategies[pick.shown.strategy]} ({pick.best.weight:g})"
        for pick in choices(peers.lines)
        if pick.shown in shown and pick.best is not pick.sweep and pick.shown.strategy in strategies
    ]
    return f"{text} Its own sweeps have better ones: {'; '.join(better)}." if better else text


def _marked(peers: Peers, shown: list[Line], table: str) -> str:
    far = sum((line, metric) in peers.far for line in shown for metric in METRICS)
    means = sum(line in peers.means for line in shown)
    parts = []
    if far:
        parts.append(
            f"percentages that are more than {float(FAR):g} points off what its own printed scores "
            f"give ({far} of {len(shown) * len(METRICS)})"
        )
    if means:
        parts.append(
            f"averages that are not the mean of their line's percentages ({means} of {len(shown)})"
        )
    if not parts:
        return ""
    return f"* : the paper's Table {table} has {' and '.join(parts)}; see docs/paper-audit.md."


def _repeated(peers: Peers, shown: list[Line]) -> str:
    twins = [line for line in shown if line in peers.twins]
    if not twins:
        return ""
    return (
        "“Repeats”: the paper prints the same scores for two ratios, so one of the two was not "
        "merged as its label says, and a difference there says nothing about ours."
    )

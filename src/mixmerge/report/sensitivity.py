"""RQ2 and RQ3 in tables: what strategy, ratio and data change; what the weights say."""

from collections.abc import Sequence

from mixmerge.report import cells, phrases
from mixmerge.report import label as names
from mixmerge.report.layout import Layout
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label
from mixmerge.report.verdict import ModelVerdict


def ratios_table(layout: Layout, found: Sequence[ModelVerdict]) -> Table:
    """RQ2: each strategy over its ratios."""
    rows = []
    for entry in found:
        for sweep in entry.sweeps:
            low, high = (
                (min(sweep.averages.values()), max(sweep.averages.values()))
                if sweep.averages
                else (None, None)
            )
            line = (
                label(sweep.strategy),
                Cell(sweep.merges, str(sweep.merges)),
                cells.number(low, 2),
                cells.number(high, 2),
                cells.number(sweep.spread, 2),
                Cell(sweep.chosen.name, names.ratio(layout, sweep.chosen) or UNDEFINED),
                cells.number(sweep.averages.get(sweep.chosen.name), 2),
                Cell(sweep.best.name, names.ratio(layout, sweep.best) or UNDEFINED),
                cells.number(sweep.averages.get(sweep.best.name), 2),
                cells.number(sweep.regret, 2),
            )
            rows.append(Row(line, entry.model.title, {"model": entry.model.key}))
    return Table(
        name="verdict-ratios",
        title="Strategy and ratio. AVG on the test suites over each strategy's sweep.",
        fields=(
            Field("strategy", "Strategy", align="left"),
            Field("merges", "Ratios"),
            Field("lowest", "lowest", group="AVG on test"),
            Field("highest", "highest", group="AVG on test"),
            Field("spread", "spread", group="AVG on test"),
            Field("chosen", "ratio", group="Chosen"),
            Field("chosen_avg", "AVG", group="Chosen"),
            Field("best", "ratio", group="Best on test"),
            Field("best_avg", "AVG", group="Best on test"),
            Field("regret", "Lost by choosing"),
        ),
        rows=tuple(rows),
        block_header="Model",
        notes=(
            f"{phrases.AVG}. Spread and loss in points. Chosen: highest AVG on "
            f"{phrases.where(layout)}.",
        ),
    )


def data_table(found: Sequence[ModelVerdict]) -> Table:
    """RQ2: the specialists by share of the training data."""
    shares = sorted({share for entry in found for scale in entry.scales for share in scale.changes})
    rows = [
        Row(
            (label(scale.task), *(cells.number(scale.changes.get(share), 2) for share in shares)),
            entry.model.title,
            {"model": entry.model.key},
        )
        for entry in found
        for scale in entry.scales
    ]
    return Table(
        name="verdict-data",
        title="Data. Specialists by share of the training data.",
        fields=(
            Field("task", "Task", align="left"),
            *(Field(f"change_{share}", f"{share} %") for share in shares),
        ),
        rows=tuple(rows),
        block_header="Model",
        notes=(
            "Mean change in percent, over the test columns of the task, against the specialist "
            "that is merged (0.00).",
        ),
    )


def weights_table(layout: Layout, found: Sequence[ModelVerdict]) -> Table:
    """RQ3: what the weights say, and what the paper's rule made of it."""
    rows = []
    for entry in found:
        weights = entry.weights
        distances = [
            *(weights.distances.get(name) for name in layout.specialists(entry.model)),
            weights.distances.get(entry.mixture.variant),
            weights.distances.get(entry.merge.variant) if entry.merge else None,
        ]
        line = [label(entry.model.title)]
        for spread in (weights.pearson, weights.cosine):
            line += cells.spread(spread, 3)
        line += cells.spread(weights.sign_conflict, 1, 100)
        line.append(cells.number(weights.norm_ratio.mean if weights.norm_ratio else None, 2))
        line += [cells.number(None if d is None else 100 * d, 1) for d in distances]
        line += [
            cells.word(phrases.VERB[entry.predicted] if entry.predicted else None),
            cells.word(entry.outcome),
            cells.word(entry.call),
        ]
        rows.append(Row(tuple(line), ids={"key": entry.model.key}))
    groups = (
        ("pearson", "Pearson r"),
        ("cosine", "Cosine"),
        ("sign_conflict_percent", "Sign conflict, %"),
    )
    distance = "Distance from base, %"
    return Table(
        name="verdict-weights",
        title="Weights. What the specialists' updates say, and the paper's rule.",
        fields=(
            Field("model", "Model", align="left"),
            *(
                Field(f"{key}_{part}", part, group=title)
                for key, title in groups
                for part in ("mean", "low", "high")
            ),
            Field("norm_ratio", "Norm ratio"),
            *(
                Field(f"distance_percent.{task.key}", task.title, group=distance)
                for task in layout.tasks
            ),
            Field("distance_percent_mixture", "mixture", group=distance),
            Field("distance_percent_merge", "merge", group=distance),
            Field("rule", "Paper's rule", align="left"),
            Field("better", "Better", align="left"),
            Field("call", "Call", align="left"),
        ),
        rows=tuple(rows),
        notes=(
            "Mean, lowest and highest transformer layer, over all pairs of tasks. Sign conflict: "
            "of the parameters that both updates moved, the share they moved in opposite "
            "directions (50 % is chance). Norm ratio: the first task's update over the second's. "
            "Distance: norm of the update over the norm of the base's weights.",
        ),
    )

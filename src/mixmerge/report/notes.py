"""Sentences below the tables: what a reader must know to read the numbers."""

from collections.abc import Iterable, Sequence

from mixmerge.report.comparison import prints_as_zero
from mixmerge.report.evidence import Evidence
from mixmerge.report.layout import Column, Layout, Model, Role
from mixmerge.report.marks import MIXTURE, SPECIALIST
from mixmerge.report.scores import Scores

#: Share of completions that may hit the length limit before a note says so.
_CUT_OFF = 0.01


def percentages(layout: Layout) -> str:
    """What the numbers in parentheses and AVG are."""
    count = len(layout.columns_of("test"))
    return (
        "In parentheses: change in percent against the specialist of the column's task, "
        f"100 (v − s) / s. AVG: mean over the {count} columns."
    )


def weights(layout: Layout) -> str:
    """In which order a ratio's weights are written."""
    order = " / ".join(task.title for task in layout.tasks)
    return f"Weights of a merge in the order {order}."


def selection(layout: Layout) -> str:
    """On what a strategy's ratio was chosen."""
    if layout.select == "validation":
        return "Each strategy's ratio has the highest AVG on the validation suites."
    return (
        "Each strategy's ratio has the highest AVG on these test suites themselves, which flatters "
        "the strategies with the most ratios."
    )


def suites(layout: Layout, role: Role, scores: Scores) -> str:
    """Versions and sizes of the suites."""
    parts = []
    for suite in layout.suites:
        if suite.role != role:
            continue
        counts = sorted({found.items[suite.key] for found in scores.values() if found.items})
        size = "/".join(str(count) for count in counts)
        unit = "problems, pass@1" if suite.kind == "code" else "pairs"
        what = f"{size} {unit}" if size else unit
        parts.append(f"{suite.title} ({suite.version}; {what})")
    return f"{'Suites' if role == 'test' else 'Validation suites'}: {'; '.join(parts)}."


def undefined(columns: Sequence[Column], models: Iterable[tuple[Model, Sequence[float]]]) -> str:
    """Columns without percentage, the specialist's value printing as 0; empty where there are none.

    Args:
        columns: the columns compared.
        models: each model with its reference, one value a column.
    """
    parts = []
    for model, reference in models:
        headers = [
            c.header
            for c, value in zip(columns, reference, strict=True)
            if prints_as_zero(value, c)
        ]
        if headers:
            parts.append(f"{model.title}: {', '.join(headers)}")
    if not parts:
        return ""
    return f"– : the specialist's value prints as 0; left out of AVG ({'; '.join(parts)})."


def cut_off(layout: Layout, checkpoints: Iterable[tuple[str, str]], scores: Scores) -> str:
    """The worst share of completions that hit the length limit, where it is worth a warning."""
    worst = (0.0, "", "", "")
    for model, variant in checkpoints:
        for suite, stopped in scores[model, variant].stopped.items():
            worst = max(worst, (1 - stopped, model, variant, suite))
    share, model, variant, suite = worst
    if share <= _CUT_OFF:
        return ""
    title = next(entry.title for entry in layout.suites if entry.key == suite)
    return (
        f"Completions cut off at the length limit: up to {100 * share:.1f} % "
        f"({layout.model(model).title}, {variant}, {title})."
    )


def uncertainty(evidence: Iterable[Evidence], *, averages: bool) -> str:
    """What marks and brackets are; empty without evidence.

    Args:
        evidence: of the models in the table.
        averages: whether the table prints AVG.
    """
    for found in evidence:
        level = f"{100 * found.confidence:g} %"
        marks = f"{SPECIALIST} : not distinguishable from the specialist"
        if averages:
            marks += (
                f" (AVG: from the specialists). {MIXTURE} : AVG not distinguishable from the "
                f"mixture's. In brackets: {level} interval of AVG"
            )
        else:
            marks += " that is merged"
        return (
            f"{marks}. Exact McNemar tests where problems are counted, else paired bootstrap "
            f"({found.resamples:,} resamples of the items); {level}, Holm's correction over each "
            "sweep. The CSV file has all intervals and p-values."
        )
    return ""


BEST = "Bold: best of its column among mixture and merges."

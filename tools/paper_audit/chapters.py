"""The chapters of the audit's page, each as Markdown."""

from collections.abc import Mapping, Sequence

from mixmerge.report.paper_tables import Line
from paper_audit import average_fix
from paper_audit.consistency import Cell, averages, cells
from paper_audit.hypotheses import Cause, Paper, Why
from paper_audit.impossible_scores import MBPP_SIZES, fitting, impossible, place
from paper_audit.printed import METRICS, average, blocks, choices, repetitions, specialists
from paper_audit.typos import printed, signed


def by_table(found: Sequence[Cell]) -> str:
    """How many percentages of each table and model follow."""
    rows = []
    groups = dict.fromkeys((cell.line.table, cell.line.model) for cell in found)
    for group in [*groups, None]:
        part = [cell for cell in found if group in (None, (cell.line.table, cell.line.model))]
        largest = max(abs(cell.difference) for cell in part)
        rows.append(
            [
                *(group or ("all", "all")),
                str(len(part)),
                str(sum(cell.far for cell in part)),
                str(sum(not cell.follows for cell in part)),
                signed(largest, 2),
            ]
        )
    heads = ["Table", "model", ">percentages", ">far off", ">beyond rounding", ">largest miss"]
    return "## Percentages by table\n\n" + table(heads, rows)


def hypotheses(wrong: Sequence[Cell], why: Why, names: Mapping[Cause, str]) -> str:
    """What would explain the percentages that do not follow, one line a hypothesis and column."""
    rows = []
    groups: dict[tuple[str, str, str, Cause | None], list[Cell]] = {}
    for cell in wrong:
        key = (cell.line.table, cell.line.model, cell.metric, why.get(cell))
        groups.setdefault(key, []).append(cell)
    for (number, model, metric, cause), part in groups.items():
        rows.append(
            [
                names[cause] if cause else "–",
                number,
                model,
                METRICS[metric].header,
                str(len(part)),
                str(sum(cell.far for cell in part)),
                cause.text if cause else "none found",
            ]
        )
    heads = ["", "Table", "model", "column", ">cells", ">far off", "hypothesis"]
    return "## What would explain them\n\n" + table(heads, rows)


def mean_table(paper: Paper, why: Why) -> str:
    """Averages that are not the mean of their line's percentages."""
    by_line: dict[Line, list[Cell]] = {}
    for cell in cells(paper.lines):
        by_line.setdefault(cell.line, []).append(cell)
    rows = []
    for entry in averages(paper.lines):
        if not entry.follows:
            rows.append(
                [
                    place(entry.line),
                    signed(entry.line.average, 2),
                    signed(entry.own, 2),
                    signed(entry.recomputed, 2),
                    _mended(entry.line, by_line[entry.line], why),
                ]
            )
    text = (
        "The mean of eight percentages with two decimals, rounded once more, can differ from the "
        f"printed average by 0.01. In {len(rows)} lines it differs by more. Last column: what "
        "brings the printed average back."
    )
    heads = ["line", ">printed", ">mean of its percentages", ">from its scores", "brought back by"]
    return f"## Averages\n\n{text}\n\n{table(heads, rows)}"


def _mended(line: Line, found: Sequence[Cell], why: Why) -> str:
    if average_fix.restored(line, found, why):
        slips = [cell for cell in found if cell in why and why[cell].meant(cell) != cell.printed]
        return "; ".join(
            f"{METRICS[cell.metric].header} {signed(why[cell].meant(cell), 2)} in place of "
            f"{signed(cell.printed, 2)}"
            for cell in slips
        )
    metric = average_fix.flip(line)
    if metric is None:
        return "nothing found"
    value = line.percents[metric]
    return f"{METRICS[metric].header} {signed(-value, 2)} in place of {signed(value, 2)}, perhaps"


def repeated(paper: Paper) -> str:
    """Lines of a sweep that repeat another one."""
    rows = []
    for pair in repetitions(paper.lines):
        slips = [
            f"{METRICS[metric].header} {_value(pair.line, metric)} and {_value(pair.twin, metric)}"
            for metric in pair.differing
        ]
        rows.append(
            [
                pair.line.table,
                pair.line.model,
                pair.line.strategy,
                _ratio(pair.line),
                _ratio(pair.twin),
                "; ".join(slips) or "–",
            ]
        )
    text = (
        "Two merges with different weights have different scores. These pairs agree to 0.0001 in "
        "at least six of eight: one of the two was not merged as its label says. The likeliest "
        "reading is 0.1 / 0.1, which Linear and TIES normalise to 0.5 / 0.5."
    )
    heads = ["Table", "model", "strategy", "ratio", "repeats", "scores that differ"]
    return f"## Lines that repeat others\n\n{text}\n\n{table(heads, rows)}"


def baselines(paper: Paper) -> str:
    """Specialists' scores that differ between the tables of one model."""
    rows = []
    lines = [specialists(block) for block in blocks(paper.lines).values()]
    for first in lines:
        for second in lines:
            if first.model == second.model and int(first.table) < int(second.table):
                for metric in METRICS:
                    if first.values[metric] != second.values[metric]:
                        rows.append(
                            [
                                first.model,
                                METRICS[metric].header,
                                f"{_value(first, metric)} (Table {first.table})",
                                f"{_value(second, metric)} (Table {second.table})",
                            ]
                        )
    whole = [entry for entry in paper.scale if entry.percent == 100]
    agree = sum(
        entry.values[metric] == line.values[metric]
        for entry in whole
        for line in lines
        if (line.table, line.model) == ("3", entry.model)
        for metric in entry.values
    )
    text = (
        "The same specialists stand in two tables of a model, with different scores in these "
        f"columns. Table 4's specialists at 100 % agree with Table 3's in {agree} of "
        f"{sum(len(entry.values) for entry in whole)} scores."
    )
    return f"## Specialists that differ between tables\n\n{text}\n\n" + table(
        ["model", "column", "once", "and"], rows
    )


def chosen(paper: Paper) -> str:
    """The ratio of each merge in Table 3, and whether it is its sweep's best."""
    rows = []
    picks = choices(paper.lines)
    for pick in picks:
        block = next(block for block in blocks(paper.lines).values() if pick.shown in block)
        rows.append(
            [
                pick.shown.model,
                pick.shown.strategy,
                _ratio(pick.sweep),
                signed(average(pick.sweep, specialists(block)), 2),
                "it" if pick.best is pick.sweep else _ratio(pick.best),
                signed(pick.margin, 2) if pick.margin else "–",
            ]
        )
    best = sum(pick.best is pick.sweep for pick in picks)
    text = (
        "Table 3 prints no ratios; its lines are found again in Tables 5-8 by their scores (one "
        "BLEU-4 differs by 0.0003). AVG from the printed scores against Table 3's specialists. "
        f"{best} of {len(picks)} lines are their sweep's best, on the test scores themselves."
    )
    heads = ["model", "strategy", "ratio", ">AVG", "best ratio", ">better by"]
    return f"## The ratios that Table 3 shows\n\n{text}\n\n{table(heads, rows)}"


def shares(paper: Paper) -> str:
    """Scores that no number of solved problems gives, and the size of MBPP."""
    sizes = [
        [
            str(size),
            *(str(fitting(paper.lines, m, size)) for m in ("mbpp", "mbpp_plus")),
        ]
        for size in MBPP_SIZES
    ]
    rows = [
        [
            found.place,
            METRICS[found.metric].header,
            printed(found.value, 3),
            " and ".join(printed(value, 4) for value in found.nearest),
        ]
        for found in impossible(paper.lines, paper.scale)
    ]
    return (
        "## Scores and numbers of problems\n\n"
        "A pass@1 is k solved of n problems, so only some scores are possible. The paper says that "
        "MBPP has 379 problems; EvalPlus 0.2.0 has 378 of them and 0.1.0 has 399. Lines of Tables "
        f"3 and 5-9, of {len(paper.lines)}, whose score some k gives:\n\n"
        + table([">n", ">MBPP", ">MBPP+"], sizes)
        + "\n\nScores that no k gives, with n = 164 (HumanEval) and 378 (MBPP):\n\n"
        + table(["line", "column", ">printed", "nearest possible"], rows)
    )


def listing(title: str, found: Sequence[Cell], why: Why, names: Mapping[Cause, str]) -> str:
    """One line for each cell."""
    rows = [
        [
            cell.line.table,
            cell.line.model,
            cell.line.strategy,
            _ratio(cell.line),
            METRICS[cell.metric].header,
            printed(cell.value, METRICS[cell.metric].digits),
            printed(cell.baseline, METRICS[cell.metric].digits),
            signed(cell.printed, 2),
            signed(cell.recomputed, 2),
            signed(cell.difference, 2),
            names[why[cell]] if cell in why else "–",
        ]
        for cell in found
    ]
    heads = ["Table", "model", "strategy", "ratio", "column", ">score", ">specialist"]
    heads += [">printed %", ">recomputed %", ">difference", "hypothesis"]
    return f"## {title}\n\n{table(heads, rows)}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a head that starts with ``>`` aligns its column to the right."""
    rule = ["---:" if head.startswith(">") else "---" for head in heads]
    lines = [[head.removeprefix(">") for head in heads], rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _value(line: Line, metric: str) -> str:
    return printed(line.values[metric], METRICS[metric].digits)


def _ratio(line: Line) -> str:
    return "–" if line.weight is None else f"{line.weight:g} / {1 - line.weight:g}"

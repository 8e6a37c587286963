"""RQ1 in tables: what each way to a multi-task model cost."""

from collections.abc import Iterator, Sequence

from mixmerge.report import cells, phrases
from mixmerge.report.costs import ALL, MIXTURE, Bill, Cost
from mixmerge.report.layout import Layout
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label
from mixmerge.report.verdict import ModelVerdict


def costs_table(layout: Layout, found: Sequence[ModelVerdict]) -> Table:
    """RQ1: what the mixture, each strategy, and all strategies together cost."""
    bills = [(entry, bill) for entry in found for bill in entry.bills]
    costs = [bill.total for _, bill in bills]
    shown = [("core_hours", "Core-hours")]
    if any(cost.gpu_hours for cost in costs):
        shown.insert(0, ("gpu_hours", "GPU-hours"))
    units = [title if title[1].isupper() else title.lower() for _, title in shown]
    parts = (
        ("training", "training"),
        ("merging", "merging"),
        ("selection", "choosing"),
        ("total", "total"),
        ("marginal", "specialists at hand"),
    )
    rows = []
    for entry, bill in bills:
        line = [label(_bill_name(layout, bill)), Cell(bill.merges, str(bill.merges))]
        for unit, _ in shown:
            line += [cells.hours(getattr(bill, part), unit) for part, _ in parts]
        rows.append(
            Row(tuple(line), entry.model.title, {"model": entry.model.key, "key": bill.key})
        )
    return Table(
        name="verdict-costs",
        title=f"Costs. What each way to a multi-task model took, in {' and '.join(units)}.",
        fields=(
            Field("approach", "Approach", align="left"),
            Field("merges", "Merges"),
            *(
                Field(f"{part}_{unit}", head, group=title)
                for unit, title in shown
                for part, head in parts
            ),
        ),
        rows=tuple(rows),
        block_header="Model",
        notes=tuple(_cost_notes(layout, costs)),
    )


def _bill_name(layout: Layout, bill: Bill) -> str:
    if bill.key == MIXTURE:
        return "Data mixture"
    if bill.key == ALL:
        return "All strategies"
    return next(entry.title for entry in layout.strategies if entry.key == bill.key)


def _cost_notes(layout: Layout, costs: Sequence[Cost]) -> Iterator[str]:
    yield (
        "Training: the mixture, or the specialists that are merged. Choosing: generating and "
        f"scoring on {phrases.where(layout)}, merge by merge, where there are several; it is the "
        "suites' part of the jobs' time, by tokens and by items. Specialists at hand: what is left "
        "to do where they exist already. Data preparation and the test itself are left out."
    )
    gpu = (
        "GPU-hours: wall-clock time × GPUs of the jobs that ran on GPU. Core-hours: wall-clock "
        "time × threads of those that ran on CPU."
    )
    cpu = "Core-hours: wall-clock time × threads; nothing here ran on GPU."
    shown = gpu if any(cost.gpu_hours for cost in costs) else cpu
    yield f"{shown} Times are those of Snakemake's benchmarks, of each job's last run."
    if any(cost.resumed for cost in costs):
        yield (
            "≥ : a training run took over from an interrupted one, whose time is not known; the "
            "cost is a lower bound."
        )
    if any(cost.unknown for cost in costs):
        yield (
            f"{UNDEFINED} : a job has no benchmark file or no record of its device, as where "
            "results were copied from elsewhere."
        )

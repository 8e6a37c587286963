"""Where the time went: Snakemake's benchmark files gathered into one table."""

from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from mixmerge.core.errors import UserError
from mixmerge.report.render import prose
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, number, number_cell


def read_jobs(directory: Path) -> pd.DataFrame:
    """Read all ``*.tsv`` below a directory; the first folder on the way is the rule's name.

    Args:
        directory: ``benchmarks/`` of a study, with ``{rule}.tsv`` or ``{rule}/**/*.tsv``.

    Returns:
        A row a job: its `rule`, seconds `s`, and, NaN where a job was too short for Snakemake to
        sample, `max_rss` in MB and `cpu_time` in seconds.

    Raises:
        UserError: no benchmark file, or one that Snakemake did not write.
    """
    frames = [
        read_benchmark(path).assign(rule=path.relative_to(directory).parts[0].removesuffix(".tsv"))
        for path in sorted(directory.rglob("*.tsv"))
    ]
    if not frames:
        raise UserError(f"{directory}: holds no benchmark of any job; run the study first")
    return pd.concat(frames, ignore_index=True)


def read_benchmark(path: Path) -> pd.DataFrame:
    """A row a run of one job, as `read_jobs` has them."""
    frame = pd.read_csv(path, sep="\t", dtype=str)
    columns = frame.reindex(columns=["s", "max_rss", "cpu_time"])
    numbers = columns.map(_number)
    if numbers["s"].isna().any():
        raise UserError(
            f"{path}: no column 's' with seconds; not a benchmark of Snakemake. Delete it"
        )
    return numbers


def _number(text: Any) -> float:
    """A measured number; NaN for ``-``, ``NA`` or nothing."""
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if isfinite(value) else float("nan")


def timing_table(jobs: pd.DataFrame) -> Table:
    """One line a rule, by falling total time, and a total."""
    whole = sum(jobs["s"].tolist())
    rules = [(str(rule), part) for rule, part in jobs.groupby("rule")]
    rules.sort(key=lambda item: (-sum(item[1]["s"].tolist()), item[0]))
    rows = []
    for rule, part in (*rules, ("total", jobs)):
        seconds, cpu, memory = (part[key].dropna().tolist() for key in ("s", "cpu_time", "max_rss"))
        spent = sum(seconds)
        share = 100 * spent / whole if whole else None
        cells = [
            Cell(len(seconds), str(len(seconds))),
            number_cell(spent, 1),
            Cell(share, f"{number(share, 1)} %" if share is not None else UNDEFINED),
            number_cell(spent / len(seconds), 1),
            number_cell(max(seconds), 1),
            number_cell(sum(cpu) if cpu else None, 1),
            number_cell(max(memory, default=None), 0),
        ]
        rows.append(Row([label(rule), *cells]))
    heads = {
        "jobs": "Jobs",
        "seconds": "Total s",
        "share": "Share",
        "mean_seconds": "Mean s",
        "max_seconds": "Longest s",
        "cpu_seconds": "CPU s",
        "max_rss_mb": "Peak MB",
    }
    title, *notes = prose("tables", "timing")
    fields = [Field("rule", "Rule", align="left"), *(Field(*head) for head in heads.items())]
    return Table("timing", title, fields, rows, notes=notes)

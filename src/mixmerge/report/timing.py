"""Where the time went: Snakemake's benchmark files gathered into one table."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, number


@dataclass(frozen=True)
class Job:
    """What Snakemake measured of one job."""

    rule: str
    """Its rule."""

    seconds: float
    """Wall-clock time."""

    memory: float | None
    """Peak resident memory in MB (sampled, so a short job may have none)."""

    cpu: float | None
    """CPU seconds, user and system (sampled likewise)."""


def read_jobs(directory: Path) -> list[Job]:
    """Read all ``*.tsv`` below a directory; the first folder on the way is the rule's name.

    Args:
        directory: ``benchmarks/`` of a study, with ``{rule}.tsv`` or ``{rule}/**/*.tsv``.

    Raises:
        UserError: no benchmark file, or one that Snakemake did not write.
    """
    jobs = [
        job
        for path in sorted(directory.rglob("*.tsv"))
        for job in _jobs(path, path.relative_to(directory).parts[0].removesuffix(".tsv"))
    ]
    if not jobs:
        raise UserError(f"{directory}: holds no benchmark of any job; run the study first")
    return jobs


def read_seconds(path: Path) -> float | None:
    """Wall-clock seconds of one job by its benchmark file; None where there is no such file.

    Raises:
        UserError: the file is not one that Snakemake wrote.
    """
    if not path.exists():
        return None
    return sum(job.seconds for job in _jobs(path, ""))


def _jobs(path: Path, rule: str) -> Iterator[Job]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            seconds = _number(row.get("s"))
            if seconds is None:
                raise UserError(
                    f"{path}: no column 's' with seconds; not a benchmark of Snakemake. Delete it"
                )
            yield Job(rule, seconds, _number(row.get("max_rss")), _number(row.get("cpu_time")))


def _number(text: str | None) -> float | None:
    """A measured number; Snakemake writes ``-`` or ``NA`` where a job was too short to sample."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) else None


def timing_table(jobs: Sequence[Job]) -> Table:
    """One line a rule, by falling total time, and a total."""
    rules: dict[str, list[Job]] = {}
    for job in jobs:
        rules.setdefault(job.rule, []).append(job)
    total = sum(job.seconds for job in jobs)
    ordered = sorted(rules.items(), key=lambda item: (-sum(j.seconds for j in item[1]), item[0]))
    rows = [_row(rule, found, total) for rule, found in ordered]
    rows.append(_row("total", jobs, total))
    return Table(
        name="timing",
        title="Timing. Where the time went, by rule.",
        fields=(
            Field("rule", "Rule", align="left"),
            Field("jobs", "Jobs"),
            Field("seconds", "Total s"),
            Field("share", "Share"),
            Field("mean_seconds", "Mean s"),
            Field("max_seconds", "Longest s"),
            Field("cpu_seconds", "CPU s"),
            Field("max_rss_mb", "Peak MB"),
        ),
        rows=tuple(rows),
        notes=(
            "Wall-clock seconds of each job, added up: jobs run side by side, so the study takes "
            "less. Memory and CPU time are sampled by Snakemake, and short jobs have none.",
        ),
    )


def _row(rule: str, jobs: Sequence[Job], total: float) -> Row:
    seconds = [job.seconds for job in jobs]
    spent = sum(seconds)
    share = 100 * spent / total if total else None
    cpu = [job.cpu for job in jobs if job.cpu is not None]
    memory = [job.memory for job in jobs if job.memory is not None]
    mean, longest = spent / len(seconds), max(seconds)
    return Row(
        (
            label(rule),
            Cell(len(jobs), str(len(jobs))),
            Cell(spent, number(spent, 1)),
            Cell(share, f"{number(share, 1)} %" if share is not None else UNDEFINED),
            Cell(mean, number(mean, 1)),
            Cell(longest, number(longest, 1)),
            Cell(sum(cpu), number(sum(cpu), 1)) if cpu else Cell(None, UNDEFINED),
            Cell(max(memory), number(max(memory), 0)) if memory else Cell(None, UNDEFINED),
        )
    )

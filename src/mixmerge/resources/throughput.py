"""What finished jobs of a rule took, from the benchmark files that Snakemake wrote of them."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from statistics import median

from mixmerge.resources.estimate import Assumed

#: Benchmark files read of one rule and model, and of one rule in all: enough for a median, and a
#: job on a cluster plans itself anew on a network file system.
_FILES, _ALL = 64, 128

#: MB that a job of these rules takes at least if it did its work; one that only restored what a
#: former run left imports nothing of weight, and its time says nothing.
_HEAVY = {"pretrain": 150, "sft": 150, "merge": 150, "generate": 150, "score": 100}

#: Share of a job's start-up that counts as work, so that jobs of next to none do not make the
#: speed of those that have some.
_LEAST_WORK = 0.2


@dataclass(frozen=True)
class Run:
    """One finished job: its wildcards, wall-clock seconds, peak MB (None: too short to sample)."""

    wildcards: tuple[str, ...]
    seconds: float
    memory: float | None


@dataclass(frozen=True)
class Speed:
    """What a rule's jobs achieved.

    Attributes:
        start: seconds of start-up.
        factor: seconds of the clock for each second of assumed work.
        memory: most MB that any of them took; None where none was sampled, or all were of other
            models.
    """

    start: float
    factor: float
    memory: float | None

    def seconds(self, assumed: Assumed) -> float:
        """Expected run time of a job at this speed."""
        return self.start + self.factor * _work(assumed)


def _work(assumed: Assumed) -> float:
    return max(assumed.work, _LEAST_WORK * assumed.start, 0.1)


class Throughput:
    """The benchmarks of a study; each file is read once, and only when its rule is asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs = cache(self._runs)
        self._of_rule = cache(self._any)

    def _runs(self, rule: str, model: str) -> list[Run]:
        """Runs of a rule with one model."""
        folder = self.directory / rule
        single = folder / f"{model}.tsv"
        paths = [single] if single.is_file() else sorted((folder / model).glob("*.tsv"))
        return list(_read(folder, paths[:_FILES], rule))

    def _any(self, rule: str) -> list[Run]:
        """Runs of a rule with whatever wildcards, evenly over what there is."""
        folder = self.directory / rule
        paths = sorted(folder.rglob("*.tsv"))
        single = self.directory / f"{rule}.tsv"
        if single.is_file():
            return list(_read(self.directory, [single], rule, named=False))
        return list(_read(folder, paths[:: max(1, -(-len(paths) // _ALL))], rule))

    def speed(
        self,
        rule: str,
        wildcards: Mapping[str, str],
        assume: Callable[[tuple[str, ...]], Assumed | None],
    ) -> Speed | None:
        """What jobs of a rule achieved: those of the same model, or else all.

        Args:
            rule: the rule's name.
            wildcards: of the job in question.
            assume: a finished job's wildcards -> what was assumed of it; None where the study
                knows no such job any more.

        Returns:
            None where no job of the rule has finished.
        """
        model = wildcards.get("model")
        if model is not None:
            found = _speed(self.runs(rule, model), assume)
            if found is not None:
                return found
        found = _speed(self._of_rule(rule), assume)
        if found is None or model is None:
            return found
        return Speed(found.start, found.factor, None)


def _speed(
    runs: Iterable[Run], assume: Callable[[tuple[str, ...]], Assumed | None]
) -> Speed | None:
    known = [(run, assumed) for run in runs if (assumed := assume(run.wildcards)) is not None]
    if not known:
        return None
    start = min(
        min(assumed.start for _, assumed in known), min(run.seconds for run, _ in known) / 2
    )
    factor = median((run.seconds - start) / _work(assumed) for run, assumed in known)
    memory = [run.memory for run, _ in known if run.memory is not None]
    return Speed(start, factor, max(memory) if memory else None)


def _read(folder: Path, paths: Iterable[Path], rule: str, named: bool = True) -> Iterator[Run]:
    """Runs by their files; one that is half-written, or of another make, is passed over."""
    for path in paths:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
        except (OSError, ValueError, csv.Error):
            continue
        if len(rows) != 1:
            continue
        seconds, memory = _number(rows[0].get("s")), _number(rows[0].get("max_rss"))
        if seconds is None or seconds <= 0 or (memory or 0) < _HEAVY.get(rule, 0):
            continue
        parts = path.relative_to(folder).as_posix().removesuffix(".tsv").split("/")
        yield Run(tuple(parts) if named else (), seconds, memory)


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if isfinite(value) else None

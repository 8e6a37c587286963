"""What finished jobs of a rule took, from the benchmark files that Snakemake wrote of them."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite
from pathlib import Path
from statistics import median

from mixmerge.resources.checkpoint_estimates import Assumed

#: Benchmark files read of one rule and model, and of one rule in all: enough for a median, and a
#: job on a cluster plans itself anew on a network file system.
_FILES, _ALL = 64, 128

#: MB that a job of these rules takes at least if it did its work; one that only restored what a
#: former run left imports nothing of weight, and its time says nothing.
_HEAVY = {"pretrain": 150, "sft": 150, "merge": 150, "generate": 150, "score": 100}

#: Share of a job's start-up that counts as work, so that jobs of next to none do not make the
#: speed of those that have some.
_LEAST_WORK = 0.2

#: A finished job's wildcards -> what was assumed of it; None where the study knows it no more.
Assume = Callable[[tuple[str, ...]], Assumed | None]


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


class Throughput:
    """The benchmarks of a study; each file is read once, and only when its rule is asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._of_model = cache(self._model_runs)
        self._of_rule = cache(self._rule_runs)

    def speed(self, rule: str, model: str | None, assume: Assume) -> Speed | None:
        """What jobs of a rule achieved: those of the same model, or else all; None where none ran.

        Args:
            rule: the rule's name.
            model: the model of the job in question, if it has one.
            assume: what was assumed of the finished ones.
        """
        if model is None:
            return _speed(self._of_rule(rule), assume)
        own = _speed(self._of_model(rule, model), assume)
        others = None if own else _speed(self._of_rule(rule), assume)
        return own or (others and Speed(others.start, others.factor, None))

    def _model_runs(self, rule: str, model: str) -> list[Run]:
        folder = self.directory / rule
        single = folder / f"{model}.tsv"
        paths = [single] if single.is_file() else sorted((folder / model).glob("*.tsv"))
        return list(_read(folder, paths[:_FILES], rule))

    def _rule_runs(self, rule: str) -> list[Run]:
        """Runs with whatever wildcards, evenly over what there is."""
        folder = self.directory / rule
        single = self.directory / f"{rule}.tsv"
        if single.is_file():
            return [replace(run, wildcards=()) for run in _read(self.directory, [single], rule)]
        paths = sorted(folder.rglob("*.tsv"))
        return list(_read(folder, paths[:: max(1, -(-len(paths) // _ALL))], rule))


def _work(assumed: Assumed) -> float:
    return max(assumed.work, _LEAST_WORK * assumed.start, 0.1)


def _speed(runs: Iterable[Run], assume: Assume) -> Speed | None:
    known = [(run, assumed) for run in runs if (assumed := assume(run.wildcards)) is not None]
    if not known:
        return None
    start = min(
        min(assumed.start for _, assumed in known), min(run.seconds for run, _ in known) / 2
    )
    factor = median((run.seconds - start) / _work(assumed) for run, assumed in known)
    memory = [run.memory for run, _ in known if run.memory is not None]
    return Speed(start, factor, max(memory) if memory else None)


def _read(folder: Path, paths: Iterable[Path], rule: str) -> Iterator[Run]:
    """Runs by their files; one that is half-written, or of another make, is passed over."""
    for path in paths:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                (row,) = csv.DictReader(file, delimiter="\t")
            seconds, memory = float(row["s"]), _number(row.get("max_rss"))
        except (OSError, KeyError, TypeError, ValueError, csv.Error):
            continue
        if isfinite(seconds) and seconds > 0 and (memory or 0) >= _HEAVY.get(rule, 0):
            wildcards = path.relative_to(folder).with_suffix("").parts
            yield Run(wildcards, seconds, memory)


def _number(text: str | None) -> float | None:
    """A finite number; None where Snakemake wrote ``-`` or ``NA``."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if isfinite(value) else None

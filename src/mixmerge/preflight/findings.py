"""Findings of a preflight: what is wrong, what was looked at, and what could not be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError, one_line
from mixmerge.data.settings import PackageSource
from mixmerge.study.plan import Study


@dataclass(frozen=True)
class Context:
    """The study that is checked, and how it would be run."""

    where: str  # the config files, for messages
    study: Study
    repository: Path  # the directory of the Snakefile
    #: Tells the parts of a source of kind ``packages``; it belongs to the tools.
    choose_packages: Callable[[PackageSource, str], dict[str, list[Any]]]
    executor: str = "local"  # where jobs would run: ``local`` or a plugin's name
    partition: str = ""  # Slurm's partitions of jobs without GPUs, as the profile names them
    gpu_partition: str = ""  # those of jobs with GPUs, where the profile names others
    deployed: bool = False  # whether jobs bring environments of their own (``--sdm``)

    @property
    def config(self) -> StudyConfig:
        """The study's configuration."""
        return self.study.config

    @property
    def on_this_machine(self) -> bool:
        """Whether heavy jobs run here, too."""
        return self.executor in ("local", "dryrun", "touch")


@dataclass
class Area:
    """One part of the study or the machine, such as ``data``; its findings are a line each."""

    name: str
    errors: list[str] = field(default_factory=list)  # what fails the run some time
    warnings: list[str] = field(default_factory=list)  # what may fail it
    checked: list[str] = field(default_factory=list)  # what was looked at
    unchecked: list[str] = field(default_factory=list)  # what was not, with the reason

    def error(self, text: object) -> None:
        """Note something that will fail: file, field, value, way out."""
        self.errors.append(one_line(text))

    @contextmanager
    def refusals(self, where: str = "") -> Iterator[None]:
        """Note what a stage's own check refuses; the rest of the block is skipped then."""
        try:
            yield
        except UserError as error:
            self.error(f"{where}{error}")


def few(names: list[str], most: int = 4) -> str:
    """Names for people, the first ones of many: ``a, b, c, d and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def rendered(areas: list[Area], seconds: float) -> str:
    """A line a finding, errors first, then a row an area, in the order given."""
    lines = [f"error: {text}" for area in areas for text in area.errors]
    lines += [f"warning: {text}" for area in areas for text in area.warnings]
    lines += [""] * bool(lines)
    for area in areas:
        result = _counted([area]) or ("ok" if area.checked else "not checked")
        head = f"{area.name:<10}{result:<21} "
        for text in [*area.checked, *(f"not checked: {text}" for text in area.unchecked)] or ["-"]:
            lines.append(f"{head}{text}")
            head = " " * len(head)
    return "\n".join(
        [*lines, "", f"preflight: {_counted(areas) or 'no findings'} ({seconds:.0f} s)"]
    )


def _counted(areas: list[Area]) -> str:
    """Such as ``2 errors, 1 warning``; empty for neither."""
    counts = {"error": sum(len(area.errors) for area in areas)}
    counts["warning"] = sum(len(area.warnings) for area in areas)
    return ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts.items() if n)

"""Findings of a preflight: what is wrong, what was looked at, and what could not be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError
from mixmerge.data.settings import PackageSource
from mixmerge.study.plan import Study

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """The study that is checked, and how it would be run."""

    where: str
    """The config files, for messages."""
    study: Study
    repository: Path
    """The directory of the Snakefile."""
    choose_packages: Callable[[PackageSource, str], dict[str, list[Any]]]
    """Tells the parts of a source of kind ``packages``; it belongs to the tools."""
    executor: str = "local"
    """Where jobs would run: ``local`` or a plugin's name."""
    partition: str = ""
    """Slurm's partitions of jobs without GPUs, as the profile names them."""
    gpu_partition: str = ""
    """Those of jobs with GPUs, where the profile names others."""
    deployed: bool = False
    """Whether jobs bring environments of their own (``--sdm``)."""

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
    """One part of the study or the machine, such as ``data``."""

    name: str
    errors: list[str] = field(default_factory=list)
    """What fails the run some time; one line each: file, field, value, way out."""
    warnings: list[str] = field(default_factory=list)
    """What may fail it."""
    checked: list[str] = field(default_factory=list)
    """What was looked at, a few words each."""
    unchecked: list[str] = field(default_factory=list)
    """What was not, with the reason."""

    def error(self, text: object) -> None:
        """Note something that will fail; once."""
        line = " ".join(str(text).split())
        if line not in self.errors:
            self.errors.append(line)

    def attempt(self, check: Callable[..., T], *arguments: object, **options: object) -> T | None:
        """Run a stage's own check; what it refuses is an error, and None comes back."""
        try:
            return check(*arguments, **options)
        except UserError as error:
            self.error(error)
            return None

    @property
    def result(self) -> str:
        """In a word or two: ``2 errors``, ``1 warning``, ``ok``, ``not checked``."""
        counts = _counted(len(self.errors), len(self.warnings))
        return counts or ("ok" if self.checked else "not checked")


def _counted(errors: int, warnings: int) -> str:
    counts = ((errors, "error"), (warnings, "warning"))
    return ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n)


def few(names: list[str], most: int = 4) -> str:
    """Names for people, the first ones of many: ``a, b, c, d and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def rendered(areas: list[Area], seconds: float) -> str:
    """A line a finding, errors first, then a row an area, in the order given."""
    lines = [f"error: {text}" for area in areas for text in area.errors]
    lines += [f"warning: {text}" for area in areas for text in area.warnings]
    lines += [""] * bool(lines)
    name_width = max(len(area.name) for area in areas) + 2
    result_width = max(len(area.result) for area in areas) + 2
    for area in areas:
        head = f"{area.name:<{name_width}}{area.result:<{result_width}}"
        for text in [*area.checked, *(f"not checked: {text}" for text in area.unchecked)] or ["-"]:
            lines.append(f"{head}{text}")
            head = " " * len(head)
    total = _counted(sum(len(a.errors) for a in areas), sum(len(a.warnings) for a in areas))
    return "\n".join([*lines, "", f"preflight: {total or 'no findings'} ({seconds:.0f} s)"])

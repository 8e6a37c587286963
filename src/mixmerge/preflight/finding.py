"""What a look at the study comes to: findings, what was looked at, and what could not be."""

from dataclasses import dataclass, field
from typing import Literal

from mixmerge.core.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        level: an ``error`` fails the run some time; a ``warning`` may.
        text: one line: file, field, value, way out.
    """

    level: Literal["error", "warning"]
    text: str


@dataclass
class Area:
    """One part of the study or the machine, looked at.

    Attributes:
        name: such as ``data``.
        findings: what is wrong.
        checked: what was looked at, a few words each.
        unchecked: what was not, with the reason.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def error(self, text: str) -> None:
        """Note something that will fail."""
        self._add("error", text)

    def warning(self, text: str) -> None:
        """Note something that may not be meant."""
        self._add("warning", text)

    def refused(self, error: UserError, prefix: str = "") -> None:
        """Note what one of the workflow's own checks said, as one line."""
        self.error(prefix + " ".join(str(error).split()))

    def _add(self, level: Literal["error", "warning"], text: str) -> None:
        finding = Finding(level, text)
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def result(self) -> str:
        """In a word or two: ``2 errors``, ``1 warning``, ``ok``, ``not checked``."""
        return counted(self.findings) or ("ok" if self.checked else "not checked")


def counted(findings: list[Finding]) -> str:
    """How many there are of each level: ``2 errors, 1 warning``; empty for none."""
    counts = [
        (sum(finding.level == level for finding in findings), level)
        for level in ("error", "warning")
    ]
    return ", ".join(
        f"{count} {level}{'s' if count > 1 else ''}" for count, level in counts if count
    )


def few(names: list[str], most: int = 4) -> str:
    """Names for people, the first ones of many: ``a, b, c, d and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")

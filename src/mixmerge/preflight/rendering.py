"""Findings as lines, and a table of what was looked at."""

from mixmerge.preflight.finding import Area, counted


def rendered(areas: list[Area], seconds: float) -> str:
    """A line a finding, errors first, then a row an area.

    Args:
        areas: all of them, in the order of the table.
        seconds: how long it took.
    """
    findings = [finding for area in areas for finding in area.findings]
    lines = [
        f"{level}: {finding.text}"
        for level in ("error", "warning")
        for finding in findings
        if finding.level == level
    ]
    if lines:
        lines.append("")
    width = max(len(area.name) for area in areas) + 2
    middle = max(len(area.result) for area in areas) + 2
    for area in areas:
        told = [*area.checked, *(f"not checked: {reason}" for reason in area.unchecked)]
        head = f"{area.name:<{width}}{area.result:<{middle}}"
        lines += [
            f"{head if number == 0 else ' ' * len(head)}{text}"
            for number, text in enumerate(told or ["-"])
        ]
    lines += ["", f"preflight: {counted(findings) or 'no findings'} ({seconds:.0f} s)"]
    return "\n".join(lines)

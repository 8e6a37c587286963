"""Planned jobs, one line of JSON each: what a dry run says, for programs."""

import json
import logging
import re
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

#: What a job's line holds, by Snakemake's names.
FIELDS = (
    *("jobid", "rule_name", "wildcards", "input", "output", "log", "benchmark"),
    *("threads", "priority", "reason"),
)

_REMOVED = re.compile(r"Would remove temporary output (.+)", re.DOTALL)


class JobList:
    """Writes the jobs of a dry run to a file; ``removed`` lines name temporary outputs."""

    def __init__(self, file: Path, shown: logging.Handler) -> None:
        """Open the file.

        Args:
            file: it is written anew.
            shown: shows warnings and errors.
        """
        self._file = file.open("w", encoding="utf-8")
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of Snakemake's."""
        fields = record.__dict__
        if fields.get("event") == LogEvent.JOB_INFO:
            line: dict[str, Any] = {name: fields[name] for name in FIELDS}
            line["resources"] = resources_of(fields["resources"])
            self._write(line)
        elif found := _REMOVED.fullmatch(str(record.msg)):
            self._write({"removed": found[1]})
        elif record.levelno >= logging.WARNING:
            self._shown.handle(record)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, default=str) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def resources_of(found: Any) -> dict[str, Any]:
    """Resources by name without Snakemake's own (``_cores``, ``_nodes``)."""
    return {name: value for name, value in found.items() if not name.startswith("_")}

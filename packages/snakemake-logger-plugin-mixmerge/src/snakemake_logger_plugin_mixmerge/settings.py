"""Settings of the plugin, as ``--logger-mixmerge-...`` on Snakemake's command line."""

from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Where planned jobs go, and how often a log file gets a line."""

    jobs: Path | None = field(
        default=None,
        metadata={
            "help": "In a dry run, write each planned job as one line of JSON to this file and"
            " show nothing but warnings and errors.",
            "type": Path,
        },
    )
    off: bool = field(
        default=False,
        metadata={"help": "Show what Snakemake shows without this plugin."},
    )
    seconds: int = field(
        default=30,
        metadata={
            "help": "Where the output is no terminal: seconds between two lines of progress.",
            "type": int,
        },
    )

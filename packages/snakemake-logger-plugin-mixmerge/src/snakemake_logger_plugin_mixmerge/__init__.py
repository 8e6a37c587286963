"""Progress of a Snakemake run with the time left: a logger plugin, ``--logger mixmerge``.

Snakemake looks `LogHandler` and `LogHandlerSettings` up here; `expect` is for Snakefiles.
"""

from snakemake_logger_plugin_mixmerge.eta import expect
from snakemake_logger_plugin_mixmerge.handler import LogHandler, LogHandlerSettings

__all__ = ["LogHandler", "LogHandlerSettings", "expect"]

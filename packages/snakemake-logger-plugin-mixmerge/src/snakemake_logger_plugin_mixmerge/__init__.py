"""Progress of a Snakemake run with the time left: a logger plugin, ``--logger mixmerge``."""

from snakemake_logger_plugin_mixmerge.handler import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_mixmerge.progress import expect

__all__ = ["LogHandler", "LogHandlerSettings", "expect"]

"""What a run of the study shows: a Snakemake logger plugin, ``--logger mixmerge``.

Snakemake looks the two names up here.
"""

from snakemake_logger_plugin_mixmerge.handler import LogHandler
from snakemake_logger_plugin_mixmerge.settings import LogHandlerSettings

__all__ = ["LogHandler", "LogHandlerSettings"]

"""Snakemake's greedy scheduler with a bound on how many merged checkpoints are on disk at once."""

from snakemake_scheduler_plugin_mixmerge.scheduler import Scheduler

__all__ = ["Scheduler"]

"""``--scheduler mixmerge``: merges wait while as many merged checkpoints as allowed are on disk.

A job that asks for the resource ``merged`` holds it while it runs, and for as long as a temporary
directory among its outputs exists: until its last reader is done. What an earlier run left counts
too. The bound is Snakemake's: ``--resources merged=4``; all else is its greedy scheduler.
"""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake.scheduling import greedy
from snakemake_interface_scheduler_plugins import base  # type: ignore[import-untyped]

from mixmerge.resources.schedule import MERGED, MOST_MERGED


class Scheduler(base.SchedulerBase):  # type: ignore[misc]
    """Selects jobs; dry runs never come here."""

    def __post_init__(self) -> None:
        """Delete what an earlier run left and nothing needs, and count what is needed."""
        self._greedy = greedy.Scheduler(self.dag, greedy.SchedulerSettings(), self.logger)
        self._limit: int | None = None
        #: Jobs that ask for the resource, in the order in which they started -> directories.
        self._holders: dict[Any, list[Path]] = {}
        workflow = self.dag.workflow
        # Inside a cluster job the main process has decided; with --notemp nothing becomes free.
        self._bounded = workflow.is_main_process and not workflow.storage_settings.notemp
        if not self._bounded or workflow.touch:
            return
        # Another Snakemake may be at work here (`mixmerge.study.stale_run`) with other targets, and
        # need what this one does not.
        alone = len(list(Path(".snakemake/drivers").glob("*.json"))) < 2
        for job in self.dag.jobs:
            for file in filter(_is_temporary, job.output):
                path = Path(file)
                if not path.exists():
                    continue
                if self.dag.needrun(job):
                    self._remove(path, "it is made anew")
                elif file in self.dag.targetfiles or self.dag.is_needed_tempfile(job, file):
                    self._holders.setdefault(job, []).append(path)
                elif alone:
                    self._remove(path, "an earlier run left it, and no job needs it")

    def select_jobs(
        self,
        selectable_jobs: Sequence[Any],
        remaining_jobs: Sequence[Any],
        available_resources: Mapping[str, int | str],
        input_sizes: dict[Any, int],
    ) -> Sequence[Any]:
        """Select jobs as the greedy scheduler does, and no merge beyond the bound."""
        if self._limit is None:
            # Asked for the first time, no job runs: what is available is all there is.
            self._limit = int(available_resources.get(MERGED, MOST_MERGED))
        running = self.dag.workflow.scheduler.running
        while True:
            available = dict(available_resources)
            if self._bounded:
                for job, paths in list(self._holders.items()):
                    if job not in running and not any(path.exists() for path in paths):
                        del self._holders[job]
                available[MERGED] = max(0, self._limit - len(self._holders))
            selected: Sequence[Any] = self._greedy.select_jobs(
                selectable_jobs, remaining_jobs, available, input_sizes
            )
            if selected or running or not (self._bounded and self._holders):
                break
            # Nothing runs and nothing may start: who reads the checkpoints that exist has failed,
            # or waits for a job that failed.
            for path in self._holders.pop(next(iter(self._holders))):
                self._remove(path, "the jobs that read it failed, and other merges need the room")
        for job in selected:
            if job.scheduler_resources.get(MERGED, 0):
                members = job if job.is_group() else [job]
                files = [file for member in members for file in member.output]
                self._holders[job] = [Path(file) for file in files if _is_temporary(file)]
        return selected

    def _remove(self, path: Path, why: str) -> None:
        self.logger.info(f"Removing temporary output {path}: {why}.")
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # as Snakemake does; others may lie beside it
            path.parent.rmdir()


def _is_temporary(file: Any) -> bool:
    """Whether an output is a temporary directory; in this workflow these are merged weights."""
    return bool(file.is_flagged("temp") and file.is_directory)

"""All jobs of a run before the first one starts, handed over by the Snakefile's ``onstart``.

Snakemake tells a logger about a job when it starts and no sooner; how long a run still takes
follows from those that have not.
"""

import sys
from dataclasses import dataclass
from typing import Any

from mixmerge.resources.jobs import Job, consumers, is_target, job_from, producers
from mixmerge.resources.schedule import CORES, JOBS


@dataclass(frozen=True)
class Expected:
    """What a run will do, and what bounds it.

    Attributes:
        jobs: all its jobs.
        limits: what bounds it, by name.
        before: position -> positions of the jobs it reads from.
        after: position -> positions of the jobs that read from it.
    """

    jobs: list[Job]
    limits: dict[str, int]
    before: list[list[int]]
    after: list[list[int]]


#: The run of this process; a process drives one.
_current: list[Expected] = []


def expect(workflow: Any) -> None:
    """Take the jobs of a run that starts; Snakefiles call it under ``onstart:``.

    Args:
        workflow: Snakemake's ``workflow``, as Snakefiles know it.
    """
    jobs = [
        job_from(
            {
                "jobid": job.jobid,
                "rule_name": job.rule.name,
                "wildcards": job.wildcards_dict,
                "input": [str(file) for file in job.input],
                "output": [str(file) for file in job.output],
                "threads": job.threads,
                "priority": job.priority,
                "resources": dict(job.resources.items()),
            },
            map(str, job.temp_output),
        )
        for job in workflow.dag.needrun_jobs()
        if not is_target(job.rule.name)
    ]
    before = producers(jobs)
    _current[:] = [Expected(jobs, _limits(workflow), before, consumers(before))]


def _limits(workflow: Any) -> dict[str, int]:
    """What bounds a run, by name."""
    bounds = {
        name: getattr(amount, "value", amount) for name, amount in workflow.global_resources.items()
    }
    cores, nodes = bounds.pop("_cores", None), bounds.pop("_nodes", None)
    bounds |= {CORES: cores} if workflow.local_exec else {JOBS: nodes}
    return {
        name: amount
        for name, amount in bounds.items()
        if isinstance(amount, int) and not name.startswith("_") and amount < sys.maxsize
    }


def current() -> Expected | None:
    """The run of this process, where its Snakefile has said."""
    return _current[0] if _current else None

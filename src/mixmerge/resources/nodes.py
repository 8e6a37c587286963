"""What Slurm must know of a training run over several nodes."""

from collections.abc import Callable
from typing import Any

from mixmerge.study.plan import Study


def spread(study: Study) -> dict[str, Callable[..., Any]]:
    """Resources of rule sft by the names that Snakemake's Slurm executor reads.

    Those of a run on one node are absent (None), but for `nodes`. `mpi` keeps the executor from
    starting the job by srun: the job does that itself, one task a node.
    """

    def only_spread(value: Callable[[int, int], Any]) -> Callable[..., Any]:
        def resource(wildcards: Any) -> Any:
            nodes = study.sft_nodes(wildcards.model, wildcards.variant)
            threads = study.sft_threads(wildcards.model, wildcards.variant)
            return None if nodes == 1 else value(nodes, threads)

        return resource

    return {
        "nodes": lambda wildcards: study.sft_nodes(wildcards.model, wildcards.variant),
        "mpi": only_spread(lambda nodes, threads: "srun"),
        "tasks": only_spread(lambda nodes, threads: nodes),
        # Else `tasks` would be taken for the tasks of each GPU.
        "tasks_per_gpu": only_spread(lambda nodes, threads: 0),
        "cpus_per_task": only_spread(lambda nodes, threads: threads // nodes),
    }

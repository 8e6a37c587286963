"""Several training processes on this machine, started and watched as torchrun does."""

import logging
import os
import sys
from pathlib import Path

from mixmerge.errors import UserError
from mixmerge.sft.job import Job

#: In a worker's environment: its launcher's process id.
PARENT = "MIXMERGE_SFT_PARENT"


def launch(job: Job) -> None:
    """Run ``mixmerge.sft.worker`` in `settings.processes` processes and wait for them.

    The launcher is torchrun's, called from this process: a rank that fails takes the others with
    it, and SIGTERM or SIGINT here ends them all.

    Raises:
        UserError: with the message of the rank that failed first, where it was the user's mistake.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    processes = job.settings.processes
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise UserError(f"sft.processes: {processes}, but this machine shows only {gpus} GPUs")
    for path in job.scratch.glob("error-*.txt"):
        path.unlink()
    # torchrun reports a failed rank with a screenful that repeats what the rank said itself.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[PARENT] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="mixmerge",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        # Else the machine's own name is looked up, which hangs where no DNS knows it.
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "mixmerge.sft.worker", str(job.scratch))
    except ChildFailedError as error:
        messages = sorted(job.scratch.glob("error-*.txt"), key=lambda p: p.stat().st_mtime)
        if messages:
            raise UserError(messages[0].read_text(encoding="utf-8")) from None
        rank, failure = error.get_first_failure()
        raise UserError(
            f"training process {rank} of {processes} ended with exit code {failure.exitcode}; its "
            "own words stand above. Running the job again resumes from the last checkpoint"
        ) from None
    except SignalException as error:
        sys.exit(128 + int(error.sigval))


def write_error(scratch: Path, rank: str, message: str) -> None:
    """Leave a worker's message where `launch` finds it."""
    (scratch / f"error-{rank}.txt").write_text(message, encoding="utf-8")

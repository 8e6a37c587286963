"""One rank of a training run with several processes: ``python -m mixmerge.sft.worker SCRATCH``."""

import logging
import os
import sys
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.core.redaction import guard_output
from mixmerge.sft.agent import PARENT, write_error
from mixmerge.sft.examples import read_counts
from mixmerge.sft.job import load_job
from mixmerge.sft.preemption import watch
from mixmerge.sft.train import PARAMETERS, environment, train


def main() -> None:
    """Train as the rank that the environment names."""
    request = watch(Path(sys.argv[1]), int(os.environ[PARENT]))
    guard_output()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    job = load_job(Path(sys.argv[1]))
    environment(job)
    rank = os.environ["RANK"]
    logging.getLogger("mixmerge").setLevel(logging.INFO if rank == "0" else logging.WARNING)
    try:
        train(job, read_counts(job)["train"], read_json(job.scratch / PARAMETERS), request)
    except UserError as error:
        write_error(job.scratch, rank, str(error))
        # The other ranks may wait for this one in a collective; no tidy farewell, then.
        sys.stderr.flush()
        os._exit(1)
    _leave()


def _leave() -> None:
    """End this rank, its work saved: together with the others, and without Python's teardown.

    While the interpreter goes down around threads of gloo and DeepSpeed, C++ now and then calls
    ``terminate`` ("without an active exception"), and a finished run would count as failed.
    """
    import torch.distributed

    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

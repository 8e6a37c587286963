"""A process that a run with several processes starts: a rank, or the agent of a node.

``python -m mixmerge.sft.worker SCRATCH`` is the rank that the environment names; with
``FIRST_NODE:PORT`` it is the agent that runs the ranks of its node.
"""

import logging
import os
import sys
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.core.redaction import guard_output
from mixmerge.sft.examples import read_prepared
from mixmerge.sft.job import load_job
from mixmerge.sft.launch import PARENT, address_of, run_ranks, write_error
from mixmerge.sft.resume import Preempted, listening, watch
from mixmerge.sft.train import environment, train


def rank(scratch: Path) -> None:
    """Train as the rank that the environment names."""
    request = watch(scratch, int(os.environ[PARENT]))
    _log()
    job = load_job(scratch)
    environment(job.settings)
    number = os.environ["RANK"]
    logging.getLogger("mixmerge").setLevel(logging.INFO if number == "0" else logging.WARNING)
    try:
        train(job, read_prepared(job.tokens), request)
    except UserError as error:
        write_error(scratch, number, str(error))
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


def agent(scratch: Path, endpoint: str) -> None:
    """Run the ranks of one node of several, which meet at the first node's endpoint."""
    _log()
    node, number = os.environ["SLURMD_NODENAME"], os.environ["SLURM_NODEID"]
    settings = load_job(scratch).settings
    environment(settings)
    with listening(scratch) as request:
        request.patient, request.pass_on = True, request.tell
        try:
            run_ranks(
                scratch,
                settings.processes,
                request,
                settings.nodes,
                rdzv_endpoint=endpoint,
                rdzv_configs={"is_host": number == "0"},
                local_addr=address_of(node),
            )
        except Preempted:
            request.tell()
            raise
        except UserError as error:
            # Where a rank left its own message, this one repeats it and is the later of the two.
            write_error(scratch, f"node-{number}", f"node {node}: {error}")
            sys.exit(1)


def _log() -> None:
    """Write messages to stderr, secrets hidden."""
    guard_output()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)


if __name__ == "__main__":
    arguments = sys.argv[2:]
    if arguments:
        agent(Path(sys.argv[1]), arguments[0])
    else:
        rank(Path(sys.argv[1]))

"""Fine-tuning as one call: check, tokenise, train, publish, tidy up.

A run of several processes trains in ranks on this machine, or on the nodes of a Slurm job. A rank
is ``python -m mixmerge.sft.stage SCRATCH``, started here or, on several nodes, by Slurm as a task
of a job step.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import which

from mixmerge.core.errors import UserError
from mixmerge.core.redaction import guard_output
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.examples import prepare
from mixmerge.sft.job import (
    EXIT_CODE,
    SIGNALS,
    Job,
    Preempted,
    StopRequest,
    listening,
    load_job,
)
from mixmerge.sft.publish import publish_run
from mixmerge.sft.settings import Sft
from mixmerge.sft.train import environment, meeting_point, train

logger = logging.getLogger(__name__)

#: In a rank's environment, where ranks run on one machine: its launcher's process id.
_PARENT = "MIXMERGE_SFT_PARENT"
_PR_SET_PDEATHSIG = 1
#: In scratch: the message of the rank that failed first, on whatever machine that was.
_ERROR = "error.txt"


def fine_tune(job: Job) -> None:
    """Fine-tune ``job.base`` on ``job.data`` and publish ``job.out``.

    Interrupted at any time, the same call goes on from the last complete checkpoint in
    ``job.scratch`` and, on CPU, ends with the very weights of an undisturbed run.

    Raises:
        UserError: whatever is wrong with settings, base, data, template or loss.
        Preempted: asked to stop by SIGTERM or SIGUSR1; what was trained is saved.
    """
    if problems := job.settings.problems():
        raise UserError("\n".join(f"sft: {problem}" for problem in problems))
    request = StopRequest(job.scratch)
    with listening(request):
        try:
            resumed = job.open()
            request.forget()
            environment(job.settings)
            encoder = load_encoder(job.base)
            counts = prepare(job, encoder)
            _train(job, request)
            request.finishing = True
            publish_run(job, encoder.stops, counts, resumed)
            job.close()
        except UserError:
            if not job.trainer.exists():  # nothing was trained that the next call could go on from
                job.close()
            raise


def _train(job: Job, request: StopRequest) -> None:
    """Train to the last step, in this process or in several, or stop where that was asked for."""
    begun = job.step
    if job.is_finished:
        logger.info("training is finished already; publishing what stands in %s", job.trainer)
    elif job.settings.processes > 1:
        _launch(job.scratch, job.settings, request)
    else:
        train(job, request)
    if job.is_finished:
        return
    # SIGTERM may be a scancel: a job that its user cancelled must not come back. And without a step
    # forward it would come back for ever; Snakemake's retries end some time, and give more time.
    requeued = request.signal == "SIGUSR1" and job.step > begun and requeue()
    logger.warning(
        "training stopped by %s, saved after step %d; exit code %d. %s goes on from there",
        *(request.signal or "a signal to one of its processes", job.step, EXIT_CODE),
        "Slurm was asked to requeue the job, which" if requeued else "Running the job again",
    )
    raise Preempted


def _launch(scratch: Path, settings: Sft, request: StopRequest) -> None:
    """Run a job's `settings.processes` ranks and wait for them.

    A rank that fails takes all others with it. Asked to stop, the ranks save and the call returns;
    `Preempted` where there was nothing to save.
    """
    import torch

    (scratch / _ERROR).unlink(missing_ok=True)
    nodes, ranks = settings.nodes, settings.processes
    if nodes > 1 and not spans(nodes):
        logger.info(
            "sft.nodes: %d, but this is no Slurm job of as many; all %d processes run on this "
            "machine",
            *(nodes, ranks),
        )
        nodes = 1
    here = ranks // nodes
    if 0 < (gpus := torch.cuda.device_count()) < here:
        raise UserError(
            f"sft.processes: {ranks}, {here} on a machine, but this one shows only {gpus} GPUs"
        )
    command = [sys.executable, "-m", "mixmerge.sft.stage", str(scratch.resolve())]
    if nodes > 1:
        # srun asks for one CPU a task by default and binds each task to it. Each rank picks its
        # GPU by its number on the node, so all must see all.
        srun = (
            f"srun --nodes={nodes} --ntasks={ranks} --ntasks-per-node={here} "
            f"--cpus-per-task={settings.threads} --cpu-bind=none --gpu-bind=none "
            "--kill-on-bad-exit=1 --quit-on-interrupt --quiet"
        )
        command = [*srun.split(), *command]
        # By this machine's own name nobody may reach it: no DNS need know it.
        address = _shown("node", os.environ["SLURMD_NODENAME"], "NodeAddr")
        environments = [meeting_point(ranks, here, address)]
    else:
        meeting = {**meeting_point(ranks, here), _PARENT: str(os.getpid())}
        environments = [{**meeting, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(here)]
    processes = [
        # In sessions of their own: signals to our group are for this process.
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **extra},
            start_new_session=True,
        )
        for extra in environments
    ]
    try:
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            time.sleep(0.2)
    finally:
        for process in processes:
            # srun, killed, would leave its tasks running.
            process.send_signal(signal.SIGINT if nodes > 1 else signal.SIGKILL)
            process.wait()
    if not any(codes):
        return
    if (scratch / _ERROR).exists():
        raise UserError((scratch / _ERROR).read_text(encoding="utf-8"))
    # Where all were asked, a rank may have ended by the signal before it listened.
    if request.signal or EXIT_CODE in codes:
        raise Preempted
    failed, code = next((rank, code) for rank, code in enumerate(codes) if code)
    who = "srun" if nodes > 1 else f"training process {failed} of {here}"
    raise UserError(
        f"{who} ended with exit code {code}; its own words stand above. Running the job again "
        "resumes from the last checkpoint"
    )


def requeue() -> bool:
    """Ask Slurm to start this process's job again, with its whole time limit; whether it will.

    Not so where there is no Slurm job, or one that may not be requeued.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or which("scontrol") is None:
        return False
    command = ["scontrol", "requeue", job]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def spans(nodes: int) -> bool:
    """Whether this process runs in a Slurm job of at least so many nodes."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or "SLURMD_NODENAME" not in os.environ:
        return False
    # The job-step plugin of Snakemake takes the variables away that would say so.
    return int(_shown("job", job, "NumNodes").split("-")[0]) >= nodes


def _shown(kind: str, name: str, field: str) -> str:
    """A field of what Slurm shows of a job or a node."""
    command = ["scontrol", "show", kind, name, "--oneliner"]
    if which("scontrol") is None:
        raise UserError("sft.nodes: in a Slurm job, but there is no scontrol on the PATH")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Of a job in parts the first is this one's: what stands first is kept.
    entries = reversed(done.stdout.split())
    values = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    if not values.get(field):
        raise UserError(
            f"sft.nodes: {' '.join(command)} names no {field}, without which training can't be "
            f"spread over nodes: {(done.stderr or done.stdout).strip()[:200]}"
        )
    return values[field]


def run_rank(scratch: Path) -> None:
    """Train as the rank that the environment names."""
    request = StopRequest(scratch)
    for asking in SIGNALS:
        signal.signal(asking, request.pass_on)
    # SIGKILL gives the launcher no time to end its ranks, which would outlive the job.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ.get(_PARENT, os.getppid())):
        os._exit(1)
    rank = os.environ.setdefault("RANK", os.environ.get("SLURM_PROCID", ""))
    os.environ.setdefault("LOCAL_RANK", os.environ.get("SLURM_LOCALID", ""))
    guard_output()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mixmerge").setLevel(logging.INFO if rank == "0" else logging.WARNING)
    job = load_job(scratch)
    environment(job.settings)
    code = 0
    try:
        train(job, request)
        import torch.distributed

        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    except UserError as error:
        code = 1
        with suppress(FileExistsError), (scratch / _ERROR).open("x", encoding="utf-8") as file:
            file.write(str(error))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without Python's teardown: after an error the others may wait for this rank in a collective,
    # and threads of gloo and DeepSpeed now and then call C++'s ``terminate`` in a finished run.
    os._exit(code)


if __name__ == "__main__":
    run_rank(Path(sys.argv[1]))

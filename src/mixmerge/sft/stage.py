"""Fine-tuning as one call: check, tokenise, train, publish, tidy up.

Several processes are ranks, ``python -m mixmerge.sft.stage JOB``, started here or by Slurm's srun.
"""

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from mixmerge.checkpoint.architecture import Architecture
from mixmerge.checkpoint.side_files import trusts_code
from mixmerge.core.errors import UserError, one_line
from mixmerge.core.redaction import guard_output
from mixmerge.sft.adapters import check_targets
from mixmerge.sft.encoding import load_encoder
from mixmerge.sft.examples import prepare
from mixmerge.sft.job import EXIT_CODE, SIGNALS, Job, Preempted, StopRequest
from mixmerge.sft.publish import publish_run
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)

#: In a rank's environment, where ranks run on one machine: its launcher's process id.
_PARENT = "MIXMERGE_SFT_PARENT"
_ERROR = "error.txt"  # in scratch: the message of the rank that failed first, on any machine


def fine_tune(job: Job) -> None:
    """Fine-tune ``job.base`` on ``job.data`` and publish ``job.out``.

    Interrupted at any time, the same call goes on from the last complete checkpoint in
    ``job.scratch`` and, on CPU, ends with the very weights of an undisturbed run. Raises
    `UserError`, and `Preempted` where SIGTERM or SIGUSR1 asked to stop and all is saved.
    """
    if problems := [f"sft: {problem}" for problem in job.settings.problems()]:
        raise UserError("\n".join(problems))
    request = StopRequest(job.scratch)
    with request.listening():
        try:
            resumed = job.open()
            request.forget()
            _set_environment(job.settings)
            encoder = load_encoder(job.base)
            if job.settings.lora is not None:
                model = Architecture(job.base, trusted=trusts_code(job.base))
                check_targets(model, job.settings.lora)
            counts = prepare(job, encoder)
            begun = job.step
            if job.is_finished:
                logger.info("training is finished; publishing what stands in %s", job.trainer)
            elif job.settings.processes > 1:
                _launch(job, request)
            else:
                _train(job, request)
            if not job.is_finished:
                # SIGTERM may be a scancel: a cancelled job must not come back. And without a step
                # forward it would for ever; Snakemake's retries end some time, with more time.
                slurm = os.environ.get("SLURM_JOB_ID", "")
                requeued = slurm and request.signal == "SIGUSR1" and job.step > begun
                requeued = requeued and _scontrol("requeue", slurm).returncode == 0
                logger.warning(
                    "training stopped by %s, saved after step %d; exit code %d. %s resumes",
                    *(request.signal or "a signal to one of its processes", job.step, EXIT_CODE),
                    "Slurm was asked to requeue it, which" if requeued else "Running it again",
                )
                raise Preempted(EXIT_CODE)
            request.finishing = True
            publish_run(job, encoder.stops, counts, resumed)
            job.close()
        except UserError:
            if not job.trainer.exists():  # nothing was trained that the next call could go on from
                job.close()
            raise


def _set_environment(settings: Sft) -> None:
    """Set what libraries read when they are imported or first used; call before that."""
    if settings.processes == 1:
        # With several GPUs in sight the Trainer would spread one process over all of them.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    quiet = ("HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_NO_ADVISORY_WARNINGS", "DS_SKIP_CUDA_CHECK")
    defaults = dict.fromkeys(quiet, "1")
    # transformers imports DeepSpeed wherever it is installed, and that one probes for devices.
    if not Path("/dev/nvidiactl").exists():
        defaults["DS_ACCELERATOR"] = "cpu"
    os.environ.update({**defaults, **os.environ, "OMP_NUM_THREADS": str(settings.threads)})


def _train(job: Job, request: StopRequest) -> None:
    """Train in this process: the only one, or the rank that the environment names."""
    if job.settings.zero_stage is not None:
        if job.settings.processes == 1:  # DeepSpeed insists on a process group
            os.environ.update(RANK="0", LOCAL_RANK="0", **_meeting_point(1, 1))
        try:
            import deepspeed.ops
        except Exception as error:  # DeepSpeed probes compilers and drivers when it is imported
            raise UserError(
                f"sft.zero_stage: DeepSpeed does not work on this machine ({error}); set "
                "`zero_stage: null` to train without it"
            ) from error
        # It would compile all-reduces of inference on CPU clusters, which training never uses, for
        # half a minute, with a compiler that laptops may not have.
        deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}
    from mixmerge.sft.train import train

    train(job, request)


def _launch(job: Job, request: StopRequest) -> None:
    """Run a job's ranks to their end or a stop; one that fails takes all others with it.

    Raises `Preempted` where they were asked to stop before there was anything to save.
    """
    import torch

    error = job.scratch / _ERROR
    error.unlink(missing_ok=True)
    nodes, ranks = job.settings.nodes, job.settings.processes
    if nodes > 1 and not spans(nodes):
        logger.info("sft.nodes: %d, but this is no Slurm job of as many; all run here", nodes)
        nodes = 1
    here = ranks // nodes
    if 0 < (gpus := torch.cuda.device_count()) < here:
        raise UserError(
            f"sft.processes: {ranks}, {here} on a machine, but this one shows only {gpus} GPUs"
        )
    command = [sys.executable, "-m", "mixmerge.sft.stage", job.model_dump_json()]
    if nodes > 1:
        # srun asks for one CPU a task by default and binds each task to it. Each rank picks its
        # GPU by its number on the node, so all must see all.
        srun = (
            f"srun --nodes={nodes} --ntasks={ranks} --ntasks-per-node={here} "
            f"--cpus-per-task={job.settings.threads} --cpu-bind=none --gpu-bind=none "
            "--kill-on-bad-exit=1 --quit-on-interrupt --quiet"
        )
        command = [*srun.split(), *command]
        # By this machine's own name nobody may reach it: no DNS need know it.
        address = _shown("node", os.environ["SLURMD_NODENAME"], "NodeAddr")
        environments = [_meeting_point(ranks, here, address)]
    else:
        meeting = {**_meeting_point(ranks, here), _PARENT: str(os.getpid())}
        environments = [{**meeting, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(here)]
    # In sessions of their own: signals to our group are for this process.
    start = partial(subprocess.Popen, command, stdin=subprocess.DEVNULL, start_new_session=True)
    processes = [start(env={**os.environ, **extra}) for extra in environments]
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
    if error.exists():
        raise UserError(error.read_text(encoding="utf-8"))
    # Where all were asked, a rank may have ended by the signal before it listened.
    if request.signal or EXIT_CODE in codes:
        raise Preempted(EXIT_CODE)
    failed, code = next((rank, code) for rank, code in enumerate(codes) if code)
    who = "srun" if nodes > 1 else f"training process {failed} of {here}"
    raise UserError(
        f"{who} ended with exit code {code}; its own words stand above. Running the job again "
        "resumes from the last checkpoint"
    )


def _meeting_point(world: int, here: int, address: str = "127.0.0.1") -> dict[str, str]:
    """Environment by which ``world`` ranks, ``here`` on each machine, meet at this one."""
    with socket.create_server(("", 0)) as probe:
        port = str(probe.getsockname()[1])
    sizes = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(here)}
    return {**sizes, "MASTER_ADDR": address, "MASTER_PORT": port}


def spans(nodes: int) -> bool:
    """Whether this process runs in a Slurm job of at least so many nodes."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or "SLURMD_NODENAME" not in os.environ:
        return False
    # The job-step plugin of Snakemake takes the variables away that would say so.
    return int(_shown("job", job, "NumNodes").split("-")[0]) >= nodes


def _shown(kind: str, name: str, field: str) -> str:
    """A field of what Slurm shows of a job or a node."""
    done = _scontrol("show", kind, name, "--oneliner")
    # Of a job in parts the first is this one's: what stands first is kept.
    entries = reversed(done.stdout.split())
    values = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    if not values.get(field):
        raise UserError(
            f"sft.nodes: `scontrol show {kind} {name}` names no {field}, without which training "
            f"can't be spread over nodes: {one_line(done.stderr or done.stdout, 200)}"
        )
    return values[field]


def _scontrol(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["scontrol", *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:  # such as: not on the PATH
        return subprocess.CompletedProcess(command, 127, "", str(error))


def _run_rank(job: Job) -> None:
    request = StopRequest(job.scratch)
    for asking in SIGNALS:
        signal.signal(asking, request.pass_on)
    # PR_SET_PDEATHSIG: SIGKILL gives the launcher no time to end its ranks, which would outlive it.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(os.environ.get(_PARENT, os.getppid())):
        os._exit(1)
    rank = os.environ.setdefault("RANK", os.environ.get("SLURM_PROCID", ""))
    os.environ.setdefault("LOCAL_RANK", os.environ.get("SLURM_LOCALID", ""))
    guard_output()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mixmerge").setLevel(logging.INFO if rank == "0" else logging.WARNING)
    _set_environment(job.settings)
    code = 0
    try:
        _train(job, request)
        import torch.distributed

        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    except UserError as error:
        code = 1
        with suppress(FileExistsError), (job.scratch / _ERROR).open("x", encoding="utf-8") as file:
            file.write(str(error))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without Python's teardown: after an error the others may wait for this rank in a collective,
    # and threads of gloo and DeepSpeed now and then call C++'s ``terminate`` in a finished run.
    os._exit(code)


if __name__ == "__main__":
    _run_rank(Job.model_validate_json(sys.argv[1]))

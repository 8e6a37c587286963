"""One fine-tuning job: what it is made of, where it may resume, signals that ask it to stop.

Whoever takes a machine away (a batch system before a time limit, or for somebody with more right to
it) sends SIGTERM or SIGUSR1 some time before it kills: training saves after the step at hand and
leaves. One process of a run gets the signal, or all do: it becomes a file that all look for.
"""

import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, replace_dir, sha256, write_json
from mixmerge.core.section import Section
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)

#: Distributions whose versions matter for the weights a run ends with.
PACKAGES = ["torch", "transformers", "trl", "accelerate", "deepspeed", "peft"]
_RECORD = "job.json"

#: Exit code of a job that was asked to stop and can go on: EX_TEMPFAIL of sysexits.h.
EXIT_CODE = os.EX_TEMPFAIL
#: The signals that ask. SIGINT is a person at the keyboard, who wants the end at once.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
#: Seconds within which one request may arrive twice: sent to a process and to its group.
_ECHO = 2.0


class Job(Section):
    """One run of the SFT stage."""

    base: Path
    """Checkpoint directory to start from."""
    data: Path
    """Training set: directory with train.jsonl and validation.jsonl."""
    out: Path
    """Checkpoint directory to publish."""
    scratch: Path
    """Resumable work; belongs to this job alone."""
    settings: Sft
    seed: int

    @property
    def trainer(self) -> Path:
        """Where the Trainer's checkpoints stand, once they are whole."""
        return self.scratch / "trainer"

    @property
    def tokens(self) -> Path:
        """Where the tokenised data sets stand."""
        return self.scratch / "tokens"

    def identity(self) -> dict[str, Any]:
        """What decides the weights the job ends with; another identity is another job."""
        return {
            # Not on which machines: the weights depend on the number of processes alone.
            "settings": self.settings.model_dump(mode="json", exclude={"nodes"}),
            "seed": self.seed,
            "base": sha256(self.base / MANIFEST),
            "data": sha256(self.data / MANIFEST),
            "software": {package: version(package) for package in PACKAGES},
        }

    def open(self) -> bool:
        """Check the job's inputs and take its scratch, emptied if it was another job's.

        Returns whether the work of an interrupted call is taken over.
        """
        read_manifest(self.base, "checkpoint")
        read_manifest(self.data)
        record, identity, scratch = self.scratch / _RECORD, self.identity(), self.scratch
        if record.exists():
            before = read_json(record).get("identity", {})
            if changed := sorted(key for key in identity if before.get(key) != identity[key]):
                logger.warning(
                    "%s: holds another job (%s differ); discarded", scratch, ", ".join(changed)
                )
                shutil.rmtree(scratch)
            else:
                logger.info("%s: same job as before, resuming what is there", scratch)
        elif scratch.exists() and any(not path.name.startswith(".") for path in scratch.iterdir()):
            raise UserError(
                f"{scratch}: --scratch: holds files but no {_RECORD}, so it is not a scratch "
                "directory of this stage; name another directory, or empty it yourself"
            )
        scratch.mkdir(parents=True, exist_ok=True)
        write_json(record, {"identity": identity, "job": self.model_dump(mode="json")})
        return self.tokens.exists()

    def close(self) -> None:
        """Delete the scratch directory of a job whose checkpoint is published."""
        if (self.scratch / _RECORD).exists():
            shutil.rmtree(self.scratch)

    @property
    def last(self) -> Path | None:
        """The Trainer's last checkpoint, to resume from."""
        return max(self.trainer.glob("checkpoint-*"), key=step_of, default=None)

    @property
    def step(self) -> int:
        """Optimiser step that is saved; 0 at first."""
        return step_of(self.last) if self.last else 0

    @property
    def is_finished(self) -> bool:
        """Whether the run's last step is saved: resumed there, the Trainer would take one more."""
        return self.last is not None and self.step >= state_of(self.last)["max_steps"]


def load_job(scratch: Path) -> Job:
    """The job that owns ``scratch``, as `open` recorded it; for ranks."""
    return Job.model_validate(read_json(scratch / _RECORD)["job"])


def step_of(checkpoint: Path) -> int:
    """Optimiser step of a directory named ``checkpoint-N``."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The Trainer's state at a checkpoint: ``global_step``, ``max_steps``, ``log_history``."""
    state: dict[str, Any] = read_json(checkpoint / "trainer_state.json")
    return state


def best_step(entries: list[dict[str, Any]]) -> int | None:
    """Step of the lowest validation loss in a Trainer's log, the earliest of equals."""
    losses = [(entry["eval_loss"], entry["step"]) for entry in entries if "eval_loss" in entry]
    return min(losses)[1] if losses else None


def keep_checkpoint(written: Path, keep_best: bool) -> None:
    """Take over a checkpoint that all processes have written; delete what is no longer needed.

    The last checkpoint stays whole; the best one before it keeps its weights, without the optimiser
    states, which are the larger part. One that a kill left half-written never gets here.
    """
    trainer = written.parents[1]
    last = trainer / written.name
    replace_dir(written, last)
    best = best_step(state_of(last)["log_history"]) if keep_best else None
    for path in trainer.glob("checkpoint-*"):
        if path == last:
            continue
        if step_of(path) != best:
            shutil.rmtree(path)
            continue
        for part in path.iterdir():
            if part.is_dir():
                shutil.rmtree(part)
            elif not part.name.startswith(("model", "adapter", "config.json")):
                part.unlink()


class Preempted(SystemExit):
    """The job was asked to stop and has; the same call goes on from what is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class StopRequest:
    """Whether the processes of a run are asked to stop: a file in scratch that all can see."""

    def __init__(self, scratch: Path) -> None:
        self._file, self._begun = scratch / "stop", scratch / "begun"
        self._heard = 0.0
        self.finishing = False
        """Whether the end is near, so that a request is best met by going on."""

    def forget(self) -> None:
        """Delete what an earlier call of this job left; `Preempted` where one was heard by now."""
        self._file.unlink(missing_ok=True)
        self._begun.unlink(missing_ok=True)
        if self._heard:
            raise Preempted

    def begin(self) -> None:
        """From here on there is work that a request must wait for; before, it is the end."""
        self._begun.touch()

    @property
    def signal(self) -> str:
        """Name of the signal by which any process of the run was asked; empty if none was."""
        return self._file.read_text(encoding="utf-8") if self._file.exists() else ""

    def receive(self, number: int, frame: object = None) -> None:
        """Handle a signal in the process that the batch system knows."""
        name, now = signal.Signals(number).name, time.monotonic()
        if self.finishing:
            _print(f"{name}: training is done; publishing goes on")
        elif not self._heard:
            self._heard = now
            if not self._begun.exists():
                _print(f"{name}: stopped at once, nothing to save; exit code {EXIT_CODE}")
                raise Preempted
            self._file.write_text(name, encoding="utf-8")
            _print(f"{name}: stopping as soon as the step at hand is done")
        elif now - self._heard > _ECHO:
            _print(f"{name} again: stopped without saving")
            raise SystemExit(128 + number)

    def pass_on(self, number: int, frame: object = None) -> None:
        """Handle a signal in a rank: a batch system may ask every process of a job."""
        if not self._begun.exists():
            os._exit(EXIT_CODE)
        self._file.write_text(signal.Signals(number).name, encoding="utf-8")


@contextmanager
def listening(request: StopRequest) -> Iterator[None]:
    """Hear this process's signals while the context lasts."""
    before = {number: signal.signal(number, request.receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(text: str) -> None:
    """Write a line from a signal handler, where the stream's own buffer may be in use."""
    os.write(2, f"\n{text}\n".encode())

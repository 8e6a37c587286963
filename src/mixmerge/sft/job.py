"""One fine-tuning job: what it is made of, where it may resume, signals that ask it to stop.

Batch systems send one to some or all processes before they kill: training saves, and leaves.
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

#: In a checkpoint of the Trainer: ``max_steps``, ``log_history`` and more.
STATE = "trainer_state.json"
_RECORD = "job.json"
EXIT_CODE = os.EX_TEMPFAIL  # of a job that was asked to stop and can go on
#: The signals that ask. SIGINT is a person at the keyboard, who wants the end at once.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
#: Seconds within which one request may arrive twice: sent to a process and to its group.
_ECHO = 2.0


class Job(Section):
    """One run of the SFT stage."""

    base: Path  # checkpoint directory to start from
    data: Path  # training set: directory with train.jsonl and validation.jsonl
    out: Path  # checkpoint directory to publish
    scratch: Path  # resumable work; belongs to this job alone
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

    def open(self) -> bool:
        """Check the job's inputs and take its scratch, emptied if it was another job's.

        Returns whether the work of an interrupted call is taken over.
        """
        read_manifest(self.base, "checkpoint")
        read_manifest(self.data)
        # What decides the weights the job ends with; another identity is another job.
        identity = {
            # Not on which machines: the weights depend on the number of processes alone.
            "settings": self.settings.model_dump(mode="json", exclude={"nodes"}),
            "seed": self.seed,
            "base": sha256(self.base / MANIFEST),
            "data": sha256(self.data / MANIFEST),
            "software": {package: version(package) for package in PACKAGES},
        }
        scratch, record = self.scratch, self.scratch / _RECORD
        if record.exists():
            before = read_json(record).get("identity", {})
            if changed := ", ".join(k for k in sorted(identity) if before.get(k) != identity[k]):
                logger.warning("%s: holds another job (%s differ); discarded", scratch, changed)
                shutil.rmtree(scratch)
            else:
                logger.info("%s: same job as before, resuming what is there", scratch)
        elif scratch.exists() and any(not path.name.startswith(".") for path in scratch.iterdir()):
            raise UserError(
                f"{scratch}: --scratch: holds files but no {_RECORD}, so it is not a "
                "scratch directory of this stage; name another directory, or empty it yourself"
            )
        scratch.mkdir(parents=True, exist_ok=True)
        write_json(record, {"identity": identity})
        return self.tokens.exists()

    def close(self) -> None:
        """Delete the scratch directory of a job whose checkpoint is published."""
        if (self.scratch / _RECORD).exists():
            shutil.rmtree(self.scratch)

    @property
    def step(self) -> int:
        """Optimiser step that is saved; 0 at first."""
        return max(map(step_of, self.trainer.glob("checkpoint-*")), default=0)

    @property
    def last(self) -> Path | None:
        """The Trainer's last checkpoint, to resume from."""
        return self.trainer / f"checkpoint-{self.step}" if self.step else None

    @property
    def is_finished(self) -> bool:
        """Whether the run's last step is saved: resumed there, the Trainer would take one more."""
        return self.last is not None and self.step >= read_json(self.last / STATE)["max_steps"]


def step_of(checkpoint: Path) -> int:
    """Optimiser step of a directory named ``checkpoint-N``."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def best_step(entries: list[dict[str, Any]]) -> int | None:
    """Step of the lowest validation loss in a Trainer's log, the earliest of equals."""
    losses = [(entry["eval_loss"], entry["step"]) for entry in entries if "eval_loss" in entry]
    return min(losses)[1] if losses else None


def keep_checkpoint(written: Path, keep_best: bool) -> None:
    """Take over a checkpoint that all processes have written; delete what is no longer needed.

    The last checkpoint stays whole; the best one before it keeps its weights, without the optimiser
    states, which are the larger part. One that a kill left half-written never gets here.
    """
    last = written.parents[1] / written.name
    replace_dir(written, last)
    best = best_step(read_json(last / STATE)["log_history"]) if keep_best else None
    for path in {*last.parent.glob("checkpoint-*")} - {last}:
        if step_of(path) != best:
            shutil.rmtree(path)
            continue
        for part in path.iterdir():
            if part.is_dir():
                shutil.rmtree(part)
            elif not part.name.startswith(("model", "adapter", "config.json")):
                part.unlink()


class Preempted(SystemExit):
    """A job was asked to stop and has; the same call goes on from what is saved."""


class StopRequest:
    """Whether the processes of a run are asked to stop: a file in scratch that all can see."""

    def __init__(self, scratch: Path) -> None:
        self._file = scratch / "stop"
        self._heard = 0.0
        self.begun = scratch / "begun"  # there is work that a request must wait for
        self.finishing = False  # the end is near: a request is best met by going on

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear this process's signals, the one that the batch system knows."""
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def forget(self) -> None:
        """Delete what an earlier call of this job left; `Preempted` where one was heard by now."""
        self._file.unlink(missing_ok=True)
        self.begun.unlink(missing_ok=True)
        if self._heard:
            raise Preempted(EXIT_CODE)

    @property
    def signal(self) -> str:
        """Name of the signal by which any process of the run was asked; empty if none was."""
        return self._file.read_text(encoding="utf-8") if self._file.exists() else ""

    def _receive(self, number: int, frame: object = None) -> None:
        end: SystemExit | None = None
        name = signal.Signals(number).name
        now, heard = time.monotonic(), self._heard
        self._heard = heard or now
        if self.finishing:
            message = "training is done; publishing goes on"
        elif heard and now - heard <= _ECHO:
            return
        elif heard:
            message, end = "again: stopped without saving", SystemExit(128 + number)
        elif self.begun.exists():
            self._file.write_text(name, encoding="utf-8")
            message = "stopping as soon as the step at hand is done"
        else:
            message = f"stopped at once, nothing to save; exit code {EXIT_CODE}"
            end = Preempted(EXIT_CODE)
            # Python drops it within a weak reference's callback; then training stops by the file.
            # In a scratch that is not the job's yet, the next call would refuse the file.
            if self._file.with_name(_RECORD).exists():
                self._file.write_text(name, encoding="utf-8")
        # Not through a stream, whose buffer may be in use.
        os.write(2, f"\n{name}: {message}\n".encode())
        if end is not None:
            raise end

    def pass_on(self, number: int, frame: object = None) -> None:
        """Handle a signal in a rank: a batch system may ask every process of a job."""
        if not self.begun.exists():
            os._exit(EXIT_CODE)
        self._file.write_text(signal.Signals(number).name, encoding="utf-8")

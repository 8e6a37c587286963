"""One fine-tuning job: what it is made of, and the scratch directory it may resume in."""

import logging
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_object, sha256, write_json
from mixmerge.core.section import Section
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)

#: Distributions whose versions matter for the weights a run ends with.
PACKAGES = ["torch", "transformers", "trl", "accelerate", "deepspeed", "peft"]
_RECORD = "job.json"


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


def open_job(job: Job) -> bool:
    """Check the job's inputs and take its scratch directory, emptied if it was another job's.

    Returns:
        Whether the work of an interrupted call is taken over.

    Raises:
        UserError: an input without a manifest, or a scratch directory that holds something
            else's files.
    """
    read_manifest(job.base, "checkpoint")
    read_manifest(job.data)
    record, identity = job.scratch / _RECORD, job.identity()
    if record.exists():
        before = read_object(record).get("identity", {})
        changed = sorted(key for key in identity if before.get(key) != identity[key])
        if not changed:
            logger.info("%s: same job as before, resuming what is there", job.scratch)
        else:
            logger.warning(
                "%s: holds another job (%s differ); discarded", job.scratch, ", ".join(changed)
            )
            shutil.rmtree(job.scratch)
    elif job.scratch.exists() and any(not p.name.startswith(".") for p in job.scratch.iterdir()):
        raise UserError(
            f"{job.scratch}: --scratch: holds files but no {_RECORD}, so it is not a scratch "
            "directory of this stage; name another directory, or empty it yourself"
        )
    job.scratch.mkdir(parents=True, exist_ok=True)
    write_json(record, {"identity": identity, "job": job.model_dump(mode="json")})
    return job.tokens.exists()


def load_job(scratch: Path) -> Job:
    """The job that owns ``scratch``, as `open_job` recorded it; for ranks."""
    return Job.model_validate(read_object(scratch / _RECORD)["job"])


def close_job(job: Job) -> None:
    """Delete the scratch directory of a job whose checkpoint is published."""
    if (job.scratch / _RECORD).exists():
        shutil.rmtree(job.scratch)

"""One fine-tuning job: what it is made of, and the scratch directory it may resume in."""

import logging
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256, write_json
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)

#: Distributions whose versions matter for the weights a run ends with.
PACKAGES = ["torch", "transformers", "trl", "accelerate", "deepspeed", "peft"]
_RECORD = "job.json"


@dataclass(frozen=True)
class Job:
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
    chat_template: Path | None = None
    """Jinja file that replaces the checkpoint's own template."""

    @property
    def trainer(self) -> Path:
        """Where the Trainer saves its checkpoints."""
        return self.scratch / "trainer"

    @property
    def tokens(self) -> Path:
        """Where the tokenised data sets stand."""
        return self.scratch / "tokens"

    def identity(self) -> dict[str, Any]:
        """What decides the weights the job ends with; another identity is another job."""
        template = self.chat_template
        return {
            # Not on which machines: the weights depend on the number of processes alone.
            "settings": self.settings.model_dump(mode="json", exclude={"nodes"}),
            "seed": self.seed,
            "base": sha256(self.base / MANIFEST),
            "data": sha256(self.data / MANIFEST),
            "chat_template": sha256(template) if template else None,
            "software": {package: _version(package) for package in PACKAGES},
        }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def open_job(job: Job) -> None:
    """Check the job's inputs and take its scratch directory, emptied if it was another job's.

    Raises:
        UserError: an input without a manifest, a missing template, or a scratch directory that
            holds something else's files.
    """
    read_manifest(job.base, "checkpoint")
    read_manifest(job.data)
    if job.chat_template is not None and not job.chat_template.is_file():
        raise UserError(f"{job.chat_template}: chat_template: no such file")
    record, identity = job.scratch / _RECORD, job.identity()
    if record.exists():
        before = read_json(record).get("identity", {})
        keys = sorted(key for key in identity if before.get(key) != identity[key])
        if not keys:
            logger.info("%s: same job as before, resuming what is there", job.scratch)
        else:
            logger.warning(
                "%s: holds another job (%s differ); discarded", job.scratch, ", ".join(keys)
            )
            shutil.rmtree(job.scratch)
    elif job.scratch.exists() and any(not p.name.startswith(".") for p in job.scratch.iterdir()):
        raise UserError(
            f"{job.scratch}: --scratch: holds files but no {_RECORD}, so it is not a scratch "
            "directory of this stage; name another directory, or empty it yourself"
        )
    job.scratch.mkdir(parents=True, exist_ok=True)
    fields = {name: getattr(job, name) for name in ("base", "data", "out", "chat_template")}
    paths = {name: str(path.resolve()) if path else None for name, path in fields.items()}
    settings = job.settings.model_dump(mode="json")
    call = {"paths": paths, "settings": settings, "seed": job.seed}
    write_json(record, {"identity": identity, **call})


def was_resumed(job: Job) -> bool:
    """Whether the call that opened the job took over work of an interrupted one."""
    # `open_job` writes its record anew at the start of each call; older files were there before.
    return job.tokens.stat().st_mtime_ns < (job.scratch / _RECORD).stat().st_mtime_ns


def load_job(scratch: Path) -> Job:
    """The job that owns ``scratch``, as `open_job` recorded it; for worker processes."""
    record = read_json(scratch / _RECORD)
    paths: dict[str, Any] = {
        name: Path(path) if path else None for name, path in record["paths"].items()
    }
    settings = Sft.model_validate(record["settings"])
    return Job(**paths, scratch=scratch, settings=settings, seed=record["seed"])


def close_job(job: Job) -> None:
    """Delete the scratch directory of a job whose checkpoint is published."""
    if (job.scratch / _RECORD).exists():
        shutil.rmtree(job.scratch)

"""A tiny study to train on, jobs in this process, and runs of the rule's script in their own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from fixtures import sft_studies
from mixmerge.sft.job import Job
from mixmerge.sft.settings import Sft


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a training set, made once a module."""
    return sft_studies.write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def job(study: Path) -> Callable[..., Job]:
    """Makes a job of the study that writes below a folder, with some settings changed."""

    def make(folder: Path, *, seed: int = 3, data: str = "set", **settings: Any) -> Job:
        return Job(
            base=study / "base",
            data=study / data,
            out=folder / "out",
            scratch=folder / "scratch",
            settings=Sft.model_validate({**sft_studies.SETTINGS, **settings}),
            seed=seed,
        )

    return make


class Run:
    """One run of ``workflow/scripts/sft.py``, in a session of its own."""

    def __init__(self, root: Path, job: Job) -> None:
        options = job.model_dump(mode="json") | {"settings": job.settings.model_dump_json()}
        pairs = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self.job, self.out = job, job.out
        self.command = [sys.executable, str(root / "workflow/scripts/sft.py"), *pairs]
        self.log = job.out.with_name("log")
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command, stderr=log, stdout=log, env=self.environment, start_new_session=True
            )

    def ends_with(self, code: int) -> str:
        """Run it, expecting this exit code; returns its log."""
        assert self.start().wait(timeout=600) == code, self.log.read_text()[-3000:]
        return self.log.read_text()

    def interrupt(self, number: int, when: Callable[[], bool], to: str = "launcher") -> int:
        """Signal the launcher, a rank, or the group as soon as ``when()``; the launcher's code."""
        process = self.start()
        while not when():
            assert process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.02)
        if to == "group":
            os.killpg(process.pid, number)
        else:
            os.kill(self.workers()[0].pid if to == "rank" else process.pid, number)
        code = process.wait(timeout=300)
        self.wait_for_workers()
        return code

    def stepped(self) -> bool:
        """Whether a training step is done."""
        return bool(re.search(r"train: .*\b[1-9]\d*/", self.log.read_text()))

    def wait_for_workers(self) -> None:
        """No process of the run may live on; it is given a moment to notice."""
        _, alive = psutil.wait_procs(self.workers(), timeout=30)
        assert not alive

    def workers(self) -> list[psutil.Process]:
        """The ranks."""
        lines = [
            (each, " ".join(each.info["cmdline"] or []))
            for each in psutil.process_iter(["cmdline"])
        ]
        mine = str(self.job.scratch)
        return [each for each, line in lines if "mixmerge.sft.stage" in line and mine in line]


@pytest.fixture(scope="module")
def run(root: Path, study: Path, job: Callable[..., Job]) -> Callable[..., Run]:
    """Makes a `Run` of the study."""
    return lambda name, **settings: Run(root, job(study / name, **settings))

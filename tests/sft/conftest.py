"""A tiny study to train on, jobs in this process, and runs of the rule's script in their own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

    def __init__(self, root: Path, study: Path, name: str, **settings: Any) -> None:
        self.out, self.scratch = study / name, study / f"{name}.scratch"
        self.command = [
            sys.executable, str(root / "workflow" / "scripts" / "sft.py"),
            "--base", str(study / "base"), "--data", str(study / "set"),
            "--out", str(self.out), "--scratch", str(self.scratch), "--seed", "3",
            "--settings", json.dumps({**sft_studies.SETTINGS, **settings}),
        ]  # fmt: skip
        self.log = study / f"{name}.log"
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command, stderr=log, stdout=log, env=self.environment, start_new_session=True
            )

    def finish(self) -> Path:
        code = self.start().wait(timeout=600)
        assert code == 0, self.log.read_text()[-3000:]
        return self.out

    def interrupt(self, number: int, when: Callable[[], bool], to: str = "launcher") -> int:
        """Send a signal to the launcher, a rank, or the group as soon as ``when()``.

        Returns:
            The launcher's exit code.
        """
        process = self.start()
        while not when():
            assert process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.02)
        if to == "group":
            os.killpg(process.pid, number)
        else:
            os.kill(next(iter(self.workers())) if to == "rank" else process.pid, number)
        code = process.wait(timeout=300)
        self.wait_for_workers()
        return code

    def stepped(self) -> bool:
        """Whether a training step is done."""
        return bool(re.search(r"train: .*\b[1-9]\d*/", self.log.read_text()))

    def wait_for_workers(self) -> None:
        """No process of the run may live on; it is given a moment to notice."""
        for _ in range(300):
            if not self.workers():
                return
            time.sleep(0.1)
        raise AssertionError(f"orphans: {self.workers()}")

    def workers(self) -> dict[int, str]:
        """Process id -> command line of each rank."""
        ranks = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if "mixmerge.sft.stage" in line and str(self.scratch) in line:
                ranks[int(entry.parent.name)] = line
        return ranks


@pytest.fixture(scope="module")
def run(root: Path, study: Path) -> Callable[..., Run]:
    """Makes a `Run` of the study."""
    return lambda name, **settings: Run(root, study, name, **settings)

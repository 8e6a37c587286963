"""Runs of the rule's own script, ``workflow/scripts/sft.py``, in processes of their own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sft_material as material


class Run:
    """One run of ``workflow/scripts/sft.py``."""

    def __init__(self, root: Path, study: Path, name: str, **settings: Any) -> None:
        self.out, self.scratch = study / name, study / f"{name}.scratch"
        self.command = [
            sys.executable, str(root / "workflow" / "scripts" / "sft.py"),
            "--base", str(study / "base"), "--data", str(study / "set"),
            "--out", str(self.out), "--scratch", str(self.scratch), "--seed", "3",
            "--settings", json.dumps({**material.SETTINGS, **settings}),
        ]  # fmt: skip
        self.log = study / f"{name}.log"
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command, stderr=log, stdout=log, env=self.environment, start_new_session=True
            )

    def finish(self) -> Path:
        code = self.start().wait(timeout=300)
        assert code == 0, self.log.read_text()[-3000:]
        return self.out

    def interrupt(self, number: int, when: Callable[[], bool]) -> int:
        """Send a signal to the whole process group as soon as ``when()``; returns the exit code."""
        process = self.start()
        while not when():
            assert process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.02)
        os.killpg(process.pid, number)
        code = process.wait(timeout=60)
        self.wait_for_workers()
        return code

    def ask(
        self,
        number: int,
        when: Callable[[], bool],
        *,
        rank: bool = False,
    ) -> int:
        """Send a signal to the launcher, or to a rank, as soon as ``when()``.

        Returns:
            The launcher's exit code.
        """
        process = self.start()
        while not when():
            assert process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.02)
        os.kill(next(iter(self.workers())) if rank else process.pid, number)
        code = process.wait(timeout=60)
        self.wait_for_workers()
        return code

    def stepped(self) -> bool:
        """Whether a training step is done."""
        return bool(re.search(r"train: .*\b[1-9]\d*/", self.log.read_text()))

    def wait_for_workers(self) -> None:
        """No process of the run may live on; it is given a moment to notice."""
        for _ in range(100):
            if not self.workers():
                return
            time.sleep(0.1)
        raise AssertionError(f"orphans: {self.workers()}")

    def workers(self) -> dict[int, str]:
        """Process id -> command line of each rank."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if "mixmerge.sft.worker" in line and str(self.scratch) in line:
                found[int(entry.parent.name)] = line
        return found

    def saved(self) -> bool:
        return bool(list(self.scratch.glob("trainer/checkpoint-*/complete.json")))


def weights(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()

"""Processes of a running study, killed at seeded moments, and what must not differ afterwards."""

import hashlib
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mixmerge.core.parent_watchdog import descendants, kill
from workflow_material import ROOT, Workspace

#: Kind of victim -> the script that its job runs; the driver is Snakemake itself.
SCRIPTS = {
    "training": "sft.py",
    "merge": "merge.py",
    "generation": "generate.py",
    "scoring": "score.py",
}
KINDS = ("driver", *SCRIPTS)


class Kills:
    """How many of each kind are still to be killed, and the dice that say whom and when.

    Args:
        count: kills in all, shared out evenly among the kinds.
        seed: seed of the dice.
        longest: a kill comes up to so many seconds after the last; it is drawn evenly.
    """

    def __init__(self, count: int, seed: int, longest: float) -> None:
        self.left = Counter(KINDS[number % len(KINDS)] for number in range(count))
        self.longest = longest
        self.chance = random.Random(seed)

    def delay(self) -> float:
        """Seconds until the next kill."""
        return self.chance.uniform(0, self.longest)

    def hits_driver(self) -> bool:
        """Whether the next victim is Snakemake itself."""
        return self.chance.random() < self.left["driver"] / self.left.total()

    def spend(self, kind: str) -> None:
        """Note that one was killed."""
        self.left[kind] -= 1


@dataclass
class Run:
    """A study whose Snakemake is started again whenever it has ended before the study is done."""

    workspace: Workspace
    target: str = "all_tables"
    cores: int = 2
    driver: subprocess.Popen[str] | None = None
    starts: int = 0
    output: IO[str] | None = None
    hit: Counter[str] = field(default_factory=Counter)
    """Command line of a job -> how often it was killed."""

    def start(self) -> None:
        """Start Snakemake, as a user does after whatever happened."""
        self.starts += 1
        self.output = (self.workspace.path / f"run-{self.starts}.out").open("w")
        self.driver = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake"),
                *("--snakefile", str(ROOT / "Snakefile")),
                *("--directory", str(self.workspace.path)),
                *("--configfile", str(self.workspace.path / "study.yaml")),
                *("--workflow-profile", str(ROOT / "profiles/default")),
                *("--cores", str(self.cores), self.target),
            ],
            cwd=ROOT,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def said(self) -> str:
        """What Snakemake printed since it was last started."""
        return (self.workspace.path / f"run-{self.starts}.out").read_text()

    def ended(self) -> int | None:
        """Exit code of Snakemake where it is not running any more."""
        return None if self.driver is None else self.driver.poll()

    def strike(self, kills: Kills, patience: float = 900) -> str | None:
        """Let the study run for a while, starting Snakemake as often as needed, then kill.

        Args:
            kills: whom is still to be killed.
            patience: seconds to wait for a victim.

        Returns:
            The kind of victim; None where the study was done before one was found.
        """
        limit = time.monotonic() + patience
        self._keep_running(kills.delay())
        driver = kills.hits_driver()
        while time.monotonic() < limit and self._keep_running(0.2):
            assert self.driver is not None
            if driver:
                self.driver.kill()
                self.driver.wait()
                kills.spend("driver")
                return "driver"
            found = [job for job in self.running() if self._may_hit(job, kills)]
            if found:
                kind, pid, name = kills.chance.choice(found)
                # The script itself, or one of the processes that it works with.
                kill(kills.chance.choice([pid, pid, *descendants(pid)]))
                self.hit[name] += 1
                kills.spend(kind)
                return kind
        if self.ended() == 0:
            return None
        raise AssertionError(f"nobody to kill in {patience} s:\n{self.said()[-3000:]}")

    def _keep_running(self, seconds: float) -> bool:
        """Let the study run so long; False as soon as it is done."""
        limit = time.monotonic() + seconds
        while True:
            if self.driver is None or self.ended() not in (None, 0):
                self.start()
            if self.ended() == 0:
                return False
            if time.monotonic() >= limit:
                return True
            time.sleep(min(0.2, seconds))

    def _may_hit(self, job: "tuple[str, int, str]", kills: Kills) -> bool:
        # Three times at most, else the first job of a kind would take all blows.
        return kills.left[job[0]] > 0 and self.hit[job[2]] < 3

    def finish(self, attempts: int = 3) -> None:
        """Let the study come to its end."""
        for _ in range(attempts):
            if self.driver is None or self.ended() not in (None, 0):
                self.start()
            assert self.driver is not None
            if self.driver.wait(1500) == 0:
                return
        raise AssertionError(self.said()[-6000:])

    def close(self) -> None:
        """Leave nothing running."""
        if self.driver is not None and self.driver.poll() is None:
            for pid in [*descendants(self.driver.pid), self.driver.pid]:
                kill(pid)
            self.driver.wait()

    def running(self) -> list[tuple[str, int, str]]:
        """Kind, process id and command line of the jobs that run now."""
        assert self.driver is not None
        found = []
        for pid in descendants(self.driver.pid):
            words = _command(pid)  # python -P SCRIPT ...
            for kind, script in SCRIPTS.items():
                if len(words) > 2 and words[2].endswith(f"workflow/scripts/{script}"):
                    found.append((kind, pid, " ".join(words)))
        return found


def started(workspace: Workspace) -> int:
    """Number of jobs that were started in a directory, over all runs."""
    return sum(
        len(re.findall(r"^Job \d+: ", log.read_text(), re.MULTILINE))
        for log in (workspace.path / ".snakemake/log").glob("*.log")
    )


def fingerprints(workspace: Workspace, study: str) -> dict[str, str]:
    """Path -> SHA-256 of all tables and manifests of a study."""
    root = workspace.path / "results" / study
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(_lasting(root))
    }


def _lasting(root: Path) -> Iterator[Path]:
    yield from root.rglob("manifest.json")
    # The verdict and the timing name seconds; they are no part of all_tables.
    for path in (root / "tables").iterdir():
        if not path.name.startswith(("verdict", "timing")):
            yield path


def _command(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return text.decode(errors="replace").split("\0")

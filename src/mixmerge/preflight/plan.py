"""The plan of the run, told by a dry run in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

#: Seconds after which a plan is given up. The paper's grid takes a twentieth on an idle machine.
_PATIENCE = 120.0

#: What of each rule's jobs matters to a cluster; the most that any of them asks for.
_MOST = ("runtime", "mem_mb", "gpu", "gpu_count", "nodes")


def main() -> None:
    """Plan what the arguments, Snakemake's own, ask for; print it as one line of JSON."""
    from mixmerge.resources.plan import dry_run
    from mixmerge.resources.schedule import disk, schedule

    said = os.dup(1)
    # What the dry run prints goes where its messages go; only the plan is the answer.
    os.dup2(2, 1)
    planned = dry_run(sys.argv[1:])
    if planned is None:
        sys.exit(1)
    use = disk(schedule(planned.jobs, planned.limits))
    most: dict[str, dict[str, int]] = {}
    for job in planned.jobs:
        known = most.setdefault(job.rule, dict.fromkeys(_MOST, 0))
        for name in _MOST:
            known[name] = max(known[name], job.resources.get(name, 0))
    answer = {
        "jobs": len(planned.jobs),
        "peak_mb": use.peak_mb,
        "final_mb": use.final_mb,
        "stages": use.stages,
        "rules": most,
    }
    os.write(said, json.dumps(answer).encode())


class Planning:
    """A plan that is made while other things are looked at.

    Attributes:
        late: whether it was given up because it took too long.
    """

    def __init__(self, arguments: Sequence[str], sources: Path, directory: Path) -> None:
        """Start.

        Args:
            arguments: Snakemake's, without the target ``preflight``.
            sources: the directory of the package.
            directory: where Snakemake was called; relative paths are meant from there.
        """
        path = f"{sources}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
        self.late = False
        # A thread reads both streams, so that neither fills up while other things are looked at.
        self._pool = ThreadPoolExecutor(1)
        self._answer = self._pool.submit(
            subprocess.run,
            [sys.executable, "-P", "-m", "mixmerge.preflight.plan", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
        )

    def result(self) -> tuple[dict[str, Any] | None, str]:
        """The plan, or None and why there is none, as one line."""
        try:
            done = self._answer.result()
        except subprocess.TimeoutExpired:
            self.late = True
            return None, (
                f"planning took longer than {_PATIENCE:.0f} s; run again when the machine is less "
                "busy, or look at `snakemake -n`"
            )
        finally:
            self._pool.shutdown()
        if done.returncode == 0:
            return dict(json.loads(done.stdout)), ""
        return None, _reason(done.stderr)


def _reason(said: str) -> str:
    """What Snakemake said when it refused, without its head and its places in our rules."""
    lines = said.splitlines()
    start = next((n for n, line in enumerate(lines) if "Error" in line or "Exception" in line), 0)
    kept = []
    for line in lines[start:]:
        text = line.strip()
        if text and not text.startswith(("File ", "WorkflowError in file", "Traceback")):
            kept.append(text)
    return " ".join(kept) or "the plan could not be made"


if __name__ == "__main__":
    main()

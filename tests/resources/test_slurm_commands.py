"""slurm/bin: waits for a Slurm out of reach, submits nothing twice, hides no other error."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it waits for a Slurm out of reach

SBATCH = Path(__file__).parents[2] / "slurm/bin/sbatch"
AWAY = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
UNHEARD = "Batch job submission failed: Socket timed out on send/recv operation"
WRONG = "Batch job submission failed: Invalid partition name specified"


def submit(
    folder: Path, error: str, queue: str, *arguments: str
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Call it where Slurm's sbatch fails once; also how often that one was called."""
    programs = {
        "sbatch": f"echo x >> {folder}/calls; [ $(wc -l < {folder}/calls) = 1 ]"
        f' && {{ echo "sbatch: error: {error}" >&2; exit 1; }}; echo 77',
        "squeue": f"printf '{queue}'",
    }
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    result = subprocess.run(
        ["sbatch", "--job-name", "run", "--comment", "rule_a_b", *arguments],
        env={**os.environ, "PATH": f"{SBATCH.parent}:{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result, (folder / "calls").read_text().count("x")


@pytest.mark.parametrize("error", [AWAY, UNHEARD])
def test_submits_again_what_was_not_taken(tmp_path: Path, error: str) -> None:
    result, calls = submit(tmp_path, error, "12|rule_a_bc\\n", "--wrap=true")
    assert (result.returncode, result.stdout, calls) == (0, "77\n", 2)
    # The executor takes "submission failed" on stderr for a failure, whatever the exit code.
    assert result.stderr == ""


def test_submits_nothing_twice(tmp_path: Path) -> None:
    result, calls = submit(tmp_path, UNHEARD, "12|rule_x\\n13|rule_a_b\\n", "--wrap=true")
    assert (result.returncode, result.stdout, calls) == (0, "13\n", 1)


@pytest.mark.parametrize(("error", "last"), [(WRONG, "--wrap=true"), (AWAY, "/dev/stdin")])
def test_other_errors_are_the_callers(tmp_path: Path, error: str, last: str) -> None:
    result, calls = submit(tmp_path, error, "", last)
    assert (result.returncode, result.stdout, calls) == (1, "", 1)
    assert error in result.stderr


@pytest.mark.parametrize(
    ("sacct", "expected"), [("echo '7|COMPLETED'", "7|COMPLETED\n"), ("exit 1", "7|RUNNING\n")]
)
def test_status_without_an_accounting_database(tmp_path: Path, sacct: str, expected: str) -> None:
    """What the executor asks sacct while slurmctld is away; it would never ask squeue again."""
    for name, body in {"sacct": sacct, "squeue": "echo '7|RUNNING'"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    result = subprocess.run(
        ["sacct", "-X", "--parsable2", "--noheader", "--format=JobIdRaw,State", "--name", "run"],
        env={**os.environ, "PATH": f"{SBATCH.parent}:{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout == expected

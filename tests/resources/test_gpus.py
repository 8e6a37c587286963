"""Which GPUs a local job takes: real processes and real locks, on a machine without any."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixmerge.resources.gpus import SCRIPTS, claiming, visible, wanted
from mixmerge.resources.requests import GPU_RULES

#: Says what it sees, waits until it is told to end.
SCRIPT = """
import os, pathlib, sys, time
place = pathlib.Path(sys.argv[-1])
(place / str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
while not (place / "end").exists():
    time.sleep(0.05)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "sft.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "generate.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


def start(place: Path, script: str, *arguments: str, gpus: str = "0,1,2") -> subprocess.Popen[str]:
    command = ["-m", "mixmerge.resources.gpus", gpus, str(place / script), *arguments, str(place)]
    return subprocess.Popen(
        [sys.executable, "-P", *command],
        env={**os.environ, "TMPDIR": str(place)},
        text=True,
    )


def seen(place: Path, job: subprocess.Popen[str], seconds: float = 30) -> list[str]:
    """GPUs that a job sees; it keeps its process id when it becomes the script."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        file = place / str(job.pid)
        if file.exists() and file.read_text():
            return file.read_text().split(",")
        assert job.poll() is None, "the job ended before it said anything"
        time.sleep(0.05)
    return []


def test_jobs_side_by_side_share_no_gpu(place: Path) -> None:
    jobs = [start(place, "sft.py", "--processes", "2"), start(place, "generate.py")]
    try:
        pair, single = (seen(place, job) for job in jobs)
        assert len(pair) == 2
        assert len(single) == 1
        assert sorted(pair + single) == ["0", "1", "2"]
        # A third waits, and gets the GPU of one that is killed.
        jobs.append(start(place, "generate.py"))
        assert seen(place, jobs[2], seconds=2) == []
        jobs[1].kill()
        jobs[1].wait()
        assert seen(place, jobs[2]) == single
    finally:
        (place / "end").touch()
        assert [job.wait(20) for job in jobs] in ([0, 0], [0, -9, 0])


def test_a_run_that_wants_more_than_there_are_gets_all_and_says_so_itself(place: Path) -> None:
    job = start(place, "sft.py", "--processes", "4", gpus="0,1")
    try:
        assert seen(place, job) == ["0", "1"]
    finally:
        (place / "end").touch()
        assert job.wait(20) == 0


def test_gpus_are_those_that_cuda_would_see(tmp_path: Path) -> None:
    assert visible({"CUDA_VISIBLE_DEVICES": "2,3"}) == ["2", "3"]
    assert visible({"CUDA_VISIBLE_DEVICES": "GPU-7f2a, GPU-91c0"}) == ["GPU-7f2a", "GPU-91c0"]
    assert visible({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible({"CUDA_VISIBLE_DEVICES": "1,-1,2"}) == ["1"]
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible({}, tmp_path) == ["0", "1"]
    assert visible({}, tmp_path / "none") == []


def test_the_shell_claims_for_scripts_that_take_gpus_and_only_among_several() -> None:
    assert {script.removesuffix(".py") for script in SCRIPTS} == GPU_RULES
    assert claiming([]) == claiming(["0"]) == "local claim=; "
    for script, expected in (("sft.py", "-m mixmerge.resources.gpus 0,1"), ("merge.py", "")):
        code = f'set -euo pipefail; f() {{ {claiming(["0", "1"])}echo "$claim"; }}; f {script}'
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_training_takes_its_processes() -> None:
    assert wanted("/x/sft.py", ["--seed", "1", "--processes", "4", "--nodes", "1"]) == 4
    assert wanted("/x/generate.py", ["--out", "x"]) == 1

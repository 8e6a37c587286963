"""A job whose driver is gone ends itself with all that runs below it; others are left alone."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from mixmerge.core.parent_watchdog import DRIVER, is_alive, is_here, token

#: A script as rules call it, which starts a child in a session of its own and then sleeps. Some
#: machines hide other users' processes (hidepid of /proc), here that of pid 1.
JOB = """
import builtins, subprocess, sys, time
from mixmerge.core.cli import run
whole = builtins.open
def hiding(path, *arguments, **options):
    if str(path).startswith("/proc/1/"):
        raise PermissionError(1, "hidden", path)
    return whole(path, *arguments, **options)
builtins.open = hiding
def main():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                             start_new_session=True)
    print(child.pid, flush=True)
    time.sleep(60)
run(main)
"""


@pytest.fixture
def driver() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that stands for Snakemake."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def job(
    environment: dict[str, str], shell: bool = False
) -> "tuple[subprocess.Popen[str], int, int]":
    """A job's process, and the ids of its script and of that one's child."""
    command = [sys.executable, "-c", JOB]
    if shell:  # as Snakemake starts it: a function of bash is no last command that replaces it
        command = ["bash", "-c", 'script() { "$@"; }; script "$@"', "bash", *command]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env={**os.environ, **environment}, **pipes)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    return process, psutil.Process(child).ppid(), child


def eventually(true: Callable[[], bool], seconds: float = 10) -> bool:
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


def test_a_token_names_one_process_and_no_later_one(driver: "subprocess.Popen[bytes]") -> None:
    name = token(driver.pid)
    assert name is not None and is_here(name) and is_alive(name)
    machine, pid, start = name.rsplit(":", 2)
    assert not is_alive(f"{machine}:{pid}:{int(start) - 1}")  # the id was used before
    assert not is_here(f"another{machine}:{pid}:{start}")
    driver.kill()
    # Dead, though its parent has not asked for its exit code yet.
    assert eventually(lambda: not is_alive(name))


def test_a_job_ends_with_its_driver_and_takes_its_children_along(
    driver: "subprocess.Popen[bytes]",
) -> None:
    name = token(driver.pid)
    assert name is not None
    process, _, child = job({DRIVER: name})
    time.sleep(1.2)
    assert process.poll() is None and token(child) is not None
    driver.kill()
    assert process.wait(10) < 0
    assert eventually(lambda: token(child) is None)
    assert process.stderr is not None and "Snakemake is gone" in process.stderr.read()


def test_a_job_ends_when_the_shell_that_snakemake_waits_for_is_killed(
    driver: "subprocess.Popen[bytes]",
) -> None:
    name = token(driver.pid)
    assert name is not None
    shell, script, child = job({DRIVER: name}, shell=True)
    shell.kill()
    assert eventually(lambda: token(script) is None and token(child) is None)


@pytest.mark.parametrize("name", [None, "other-boot:pid:[1]:1:1"])
def test_a_script_run_by_hand_or_elsewhere_goes_on(name: str | None) -> None:
    """Without a driver, or with one on another machine, whose process ids mean nothing here."""
    environment = {} if name is None else {DRIVER: name}
    process, script, child = job(environment, shell=True)
    process.kill()
    time.sleep(1.5)
    assert token(script) is not None and token(child) is not None
    for pid in (script, child):
        os.kill(pid, 9)

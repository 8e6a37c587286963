"""Real processes behind the filter of system calls (`test_seccomp` asks the filter itself)."""

import ctypes
import errno
import json
import mmap
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from confined_material import RAW_CALLS, expected
from judgebox import seccomp
from judgebox.seccomp import BOXED, NUMBERS, Machine

MACHINES: list[Machine] = ["x86_64", "aarch64"]
here = pytest.mark.skipif(
    platform.machine() not in NUMBERS, reason=f"no filter for {platform.machine()}: NOT TESTED"
)


def behind(profile: str | None, program: str) -> dict[str, Any]:
    """What a program finds in a process of its own behind a filter."""
    code = (
        "import json, os, sys\n"
        "from judgebox import seccomp\n"
        "from confined_material import CLONE_FLAGS as CLONE, REFUSED\n"
        f"COLUMN = {MACHINES.index(seccomp.machine())}\n"
        + (f"seccomp.install({profile})\n" if profile else "")
        + f"{program}\n"
        "print(json.dumps(FOUND))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@here
@pytest.mark.parametrize(
    "profile",
    [
        "seccomp.BOXED",
        "seccomp.Profile()",
        "seccomp.Profile(signals_to=os.getpid(), truncate=False)",
    ],
)
def test_a_real_process_is_refused_what_the_filter_refuses(profile: str) -> None:
    found = behind(profile, RAW_CALLS)
    assert len(found) > 130
    assert found == expected(found)


@here
def test_without_a_filter_the_same_calls_fail_for_other_reasons() -> None:
    # Otherwise the test above could not fail: as nobody, EPERM is a common answer.
    found = behind(None, RAW_CALLS)
    names = ("socket", "ptrace", "process_vm_readv", "shmget", "memfd_create", "mq_open", "unshare")
    assert all(found[name] not in (0, errno.EPERM, errno.ENOSYS) for name in names), found
    works = ("clone3", "prlimit of another", "prctl PDEATHSIG", "shared anonymous memory")
    assert [found[name] for name in works] == [0] * len(works)


@here
def test_a_foreign_process_gets_no_signal() -> None:
    canary = subprocess.Popen(["sleep", "60"])
    try:
        program = f"""
import errno, os
FOUND = {{}}
for name, call in {{
    "kill": lambda: os.kill({canary.pid}, 9),
    "probe": lambda: os.kill({canary.pid}, 0),
    "group": lambda: os.killpg({canary.pid}, 9),
    "own": lambda: os.kill(os.getpid(), 0),
}}.items():
    try:
        FOUND[name] = call() or 0
    except OSError as error:
        FOUND[name] = error.errno
"""
        found = behind("seccomp.Profile(signals_to=os.getpid())", program)
        assert found == {"kill": errno.EPERM, "probe": errno.EPERM, "group": errno.EPERM, "own": 0}
        assert canary.poll() is None
    finally:
        canary.kill()
        canary.wait()


HONEST = """
import asyncio, io, os, random, resource, shutil, socket, subprocess, sys, tempfile, threading, time
import concurrent.futures, multiprocessing, signal
import numpy
FOUND = {}
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    open("a", "w").write("text")
    shutil.copy2("a", "b")
    os.makedirs("c/d")
    os.rename("b", "c/d/b")
    FOUND["files"] = sorted(os.listdir("c/d")) + [open("c/d/b").read()]
    os.mkfifo("pipe")
    os.truncate("a", 2)
    os.chdir("/")
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    FOUND["threads"] = list(pool.map(abs, [-1, -2]))
FOUND["asyncio"] = asyncio.run(asyncio.sleep(0.01, "slept"))
ran = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
FOUND["subprocess"] = ran.stdout
child = multiprocessing.get_context("fork").Process(target=print)
child.start()
child.join()
FOUND["fork"] = child.exitcode
matrix = numpy.random.default_rng(0).random((400, 400))
FOUND["numpy"] = bool(numpy.allclose(matrix @ numpy.linalg.inv(matrix), numpy.eye(400)))
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.1)
signal.raise_signal(signal.SIGALRM)
FOUND["signals"] = len(hits)
resource.setrlimit(resource.RLIMIT_CPU, (50, 50))
one, two = socket.socketpair()
one.sendall(b"pair")
FOUND["pair"] = two.recv(9).decode()
"""


@here
@pytest.mark.parametrize("profile", ["seccomp.BOXED", "seccomp.Profile(signals_to=os.getpid())"])
def test_honest_programs_do_not_notice(profile: str) -> None:
    assert behind(profile, HONEST) == {
        "files": ["b", "text"],
        "threads": [1, 2],
        "asyncio": "slept",
        "subprocess": "42\n",
        "fork": 0,
        "numpy": True,
        "signals": 2,
        "pair": "pair",
    }


@here
def test_threads_that_run_already_are_behind_the_filter_too() -> None:
    program = """
import queue, socket, threading
from judgebox import seccomp
asked, answered = queue.Queue(), queue.Queue()
def wait():
    asked.get()
    try:
        socket.socket().close()
        answered.put(0)
    except OSError as error:
        answered.put(error.errno)
threading.Thread(target=wait, daemon=True).start()
seccomp.install(seccomp.BOXED)
asked.put(1)
FOUND = {"errno": answered.get(timeout=10)}
"""
    assert behind(None, program) == {"errno": errno.EPERM}


def in_child(work: Callable[[], None]) -> int:
    """How a forked process ends: its code, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is x86's: NOT TESTED")
def test_a_32_bit_call_ends_the_process() -> None:
    def call() -> None:
        page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
        page.write(bytes.fromhex("b814000000 cd80 c3"))  # mov eax, 20 (getpid); int 0x80; ret
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid() else 2)

    def filtered() -> None:
        seccomp.install(BOXED)
        call()

    if in_child(call) != 0:
        pytest.skip("this kernel makes no 32-bit calls at all: the kill is NOT TESTED")
    assert in_child(filtered) == -signal.SIGSYS

"""The filter of system calls: what it says about each call, and real processes behind it."""

import ctypes
import errno
import json
import mmap
import os
import platform
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from boxed import environment, table
from judgebox import seccomp
from judgebox.seccomp import AUDIT, BOXED, NEWEST, NUMBERS, RUNNER, Profile
from refused_calls import RAW_CALLS, REFUSED, expected

PROGRAMS = table("seccomp")

MACHINES = ["x86_64", "aarch64"]
ALLOW, KILL, DONE = "allowed", "killed", "done without doing anything"
LOCKED, OLD = Profile(), Profile(signals_to=4711, truncate=False)
PROFILES = {"boxed": BOXED, "locked": LOCKED, "old": OLD, "runner": RUNNER}
CHECKS = ("boxed", "locked", "old")
here = pytest.mark.skipif(
    platform.machine() not in NUMBERS, reason=f"no filter for {platform.machine()}: NOT TESTED"
)


def ask(profile: Profile, machine: str, number: int, *arguments: int, audit: int = 0) -> str:
    """What a filter answers: an interpreter of the few instructions that it is made of."""
    words = [word & (2**64 - 1) for word in (*arguments, *[0] * 6)][:6]
    signed = number if number < 2**31 else number - 2**32
    data = struct.pack("=iIQ6Q", signed, audit or AUDIT[machine], 0, *words)
    steps = _steps(profile, machine)
    at = accumulator = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        elif code == 0x06:
            break
        else:
            holds = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: accumulator & value != 0,
            }[code]
            at += yes if holds else no
    kinds = {0x7FFF0000: ALLOW, 0x80000000: KILL, 0x00050000: DONE}
    return kinds.get(value) or errno.errorcode[value - 0x00050000]


@cache
def _steps(profile: Profile, machine: str) -> list[tuple[int, ...]]:
    steps = list(struct.iter_unpack("=HBBI", seccomp.assemble(profile, machine)))
    assert len(steps) < 4096, "the kernel's bound"
    return steps


#: Calls, profiles ("*": all that are for checks), answers, and arguments of each try.
CALLS: list[tuple[str, str, str, list[tuple[int, ...]]]] = table("system_calls")


@pytest.mark.parametrize("machine", MACHINES)
def test_answers(machine: str) -> None:
    for name, profiles, answer, calls in CALLS:
        for profile in CHECKS if profiles == "*" else [profiles]:
            for arguments in calls:
                if name in NUMBERS[machine]:
                    number = NUMBERS[machine][name]
                    found = ask(PROFILES[profile], machine, number, *arguments)
                    assert found == answer, (name, profile, arguments)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", PROFILES)
def test_what_the_list_does_not_name_is_refused(profile: str, machine: str) -> None:
    named = set(NUMBERS[machine].values())
    for number in [*range(NEWEST + 200), 2**32 - 1, *range(0x40000000, 0x40000258)]:  # x32's
        if number not in named:
            error = "EPERM" if number <= NEWEST else "ENOSYS"
            assert ask(PROFILES[profile], machine, number) == error, number
    for name, numbers in REFUSED.items():
        number = numbers[MACHINES.index(machine)]
        if number is not None and profile != "runner":
            assert ask(PROFILES[profile], machine, number) == "EPERM", name
            assert NUMBERS[machine].get(name, number) == number, name
    for audit in {0x40000003, 0x40000028, *AUDIT.values()} - {AUDIT[machine]}:  # i386, arm
        for number in (0, 1, 20, 39, 400):
            assert ask(PROFILES[profile], machine, number, audit=audit) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_names_and_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    headers = {
        "x86_64": ["x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"],
        "aarch64": ["aarch64-linux-gnu/asm/unistd_64.h", "asm-generic/unistd.h"],
    }[machine]
    found = [path for name in headers if (path := Path("/usr/include", name)).exists()]
    if not found:
        pytest.skip(f"no headers of {machine} in /usr/include: numbers NOT TESTED")
    text = found[0].read_text(encoding="utf-8")
    pairs = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, re.MULTILINE)
    numbers = {name: int(number) for name, number in reversed(pairs)}
    numbers.setdefault("newfstatat", numbers.get("fstatat", -1))
    newest = max(number for number in numbers.values() if number < 1000)
    mine = NUMBERS[machine] | {
        name: number
        for name, pair in REFUSED.items()
        if (number := pair[MACHINES.index(machine)]) is not None
    }
    known = {name: number for name, number in mine.items() if number <= newest}
    assert known == {name: numbers.get(name) for name in known}
    # And the other way: a call that this machine has is not left out by mistake.
    everywhere = {name for table in NUMBERS.values() for name in table}
    assert everywhere & numbers.keys() == set(NUMBERS[machine]) & numbers.keys()


def test_a_machine_without_a_filter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(seccomp.Refused, match="no system call filter for riscv64"):
        seccomp.install(BOXED)


def behind(profile: str | None, program: str) -> dict[str, Any]:
    code = (
        "import json, os, sys\n"
        "from judgebox import seccomp\n"
        f"COLUMN = {MACHINES.index(seccomp.machine())}\n"
        + (f"seccomp.install({profile})\n" if profile else "")
        + f"{program}\n"
        "print(json.dumps(FOUND))"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
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
    found = behind(None, RAW_CALLS)
    names = ("socket", "ptrace", "process_vm_readv", "shmget", "memfd_create", "mq_open", "unshare")
    assert all(found[name] not in (0, errno.EPERM, errno.ENOSYS) for name in names), found
    works = ("clone3", "prlimit of another", "prctl PDEATHSIG", "shared anonymous memory")
    assert [found[name] for name in works] == [0] * len(works)


@here
def test_threads_that_run_already_are_behind_the_filter_too() -> None:
    program = PROGRAMS["threads_that_run_already_are_behind_the_filter_too"]
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

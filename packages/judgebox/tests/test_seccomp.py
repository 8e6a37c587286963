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
from pathlib import Path
from typing import Any

import pytest

from boxed import environment
from judgebox import seccomp
from judgebox.seccomp import AUDIT, BOXED, NEWEST, NUMBERS, RUNNER, Profile
from refused_calls import CLONE_FLAGS, RAW_CALLS, REFUSED, expected

MACHINES: list[str] = ["x86_64", "aarch64"]
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
CHECKS = {
    "in namespaces": BOXED,
    "behind landlock": Profile(),
    "behind an old landlock": Profile(signals_to=4711, truncate=False),
}


def ask(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """What a filter returns: an interpreter of the few instructions that it is made of."""
    words = [word & (2**64 - 1) for word in (*arguments, *[0] * 6)][:6]
    data = struct.pack("=iIQ6Q", number if number < 2**31 else number - 2**32, audit, 0, *words)
    steps = list(struct.iter_unpack("=HBBI", program))
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
            return int(value)
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: accumulator & value != 0,
            }[code]
            at += yes if holds else no


def asker(profile: Profile, machine: str = "x86_64") -> Callable[..., int]:
    program = seccomp.assemble(profile, machine)

    def by_name(name: str, *arguments: int) -> int:
        return ask(program, AUDIT[machine], NUMBERS[machine][name], *arguments)

    return by_name


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", CHECKS.values(), ids=list(CHECKS))
def test_the_dangerous_calls_are_refused(profile: Profile, machine: str) -> None:
    program = seccomp.assemble(profile, machine)
    for name, numbers in REFUSED.items():
        number = numbers[MACHINES.index(machine)]
        if number is not None:
            assert ask(program, AUDIT[machine], number) == ERRNO | errno.EPERM, name
            assert NUMBERS[machine].get(name, number) == number, name


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", [*CHECKS.values(), RUNNER])
def test_what_the_list_does_not_name_is_refused(profile: Profile, machine: str) -> None:
    program = seccomp.assemble(profile, machine)
    named = set(NUMBERS[machine].values())
    for number in range(NEWEST + 200):
        if number not in named:
            error = errno.EPERM if number <= NEWEST else errno.ENOSYS
            assert ask(program, AUDIT[machine], number) == ERRNO | error, number
    assert ask(program, AUDIT[machine], 2**32 - 1) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_another_machines_calls_end_the_process(machine: str) -> None:
    program = seccomp.assemble(BOXED, machine)
    i386, arm = 0x40000003, 0x40000028
    others = {i386, arm, *AUDIT.values()} - {AUDIT[machine]}
    for other in others:
        for number in (0, 1, 20, 39, 400):
            assert ask(program, other, number) == KILL


def test_the_x32_kind_of_calls_does_not_exist() -> None:
    program = seccomp.assemble(BOXED, "x86_64")
    for number in range(600):
        found = ask(program, AUDIT["x86_64"], 0x40000000 | number)
        assert found == ERRNO | errno.ENOSYS, number


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", [*CHECKS.values(), RUNNER])
def test_clone_makes_threads_and_processes_but_no_namespaces(
    profile: Profile, machine: str
) -> None:
    by_name = asker(profile, machine)
    threads = 0x3D0F00  # what glibc's pthread_create asks for
    vfork = 0x4000 | 0x100 | signal.SIGCHLD
    for flags in (signal.SIGCHLD, threads, vfork, 0x1200000 | signal.SIGCHLD):
        assert by_name("clone", flags) == ALLOW
        for name, flag in CLONE_FLAGS.items():
            assert by_name("clone", flags | flag) == ERRNO | errno.EPERM, name
            assert by_name("clone", flags | flag | 1 << 40) == ERRNO | errno.EPERM, name
    assert by_name("clone3", 1, 88) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_signals_go_to_one_process_where_the_profile_says_so(machine: str) -> None:
    by_name = asker(Profile(signals_to=4711), machine)
    for name in ("kill", "tgkill", "tkill"):
        assert by_name(name, 4711, 9) == ALLOW
        for pid in (0, -1, -4711, 1, 4710, 4712, 2**31 - 1):
            assert by_name(name, pid, 9) == ERRNO | errno.EPERM, (name, pid)
        assert asker(BOXED, machine)(name, 4712, 9) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_sessions_and_groups_are_changed_only_where_that_hides_nobody(machine: str) -> None:
    for name in ("setsid", "setpgid"):
        assert asker(BOXED, machine)(name) == ALLOW
        assert asker(RUNNER, machine)(name) == ALLOW
        assert asker(Profile(), machine)(name) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_only_a_truncating_open_for_reading_is_refused_to_an_old_landlock(
    machine: str,
) -> None:
    old, new = asker(Profile(truncate=False), machine), asker(Profile(), machine)
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, os.O_RDWR | os.O_TRUNC):
        assert old("openat", -100, 1, flags) == ALLOW
    sly = os.O_RDONLY | os.O_TRUNC | os.O_CLOEXEC
    assert old("openat", -100, 1, sly) == ERRNO | errno.EPERM
    assert new("openat", -100, 1, sly) == ALLOW
    assert old("truncate") == ERRNO | errno.EPERM
    assert new("truncate") == ALLOW
    if machine == "x86_64":
        assert old("open", 1, sly) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", CHECKS.values(), ids=list(CHECKS))
def test_memory_and_locks_in_no_account(profile: Profile, machine: str) -> None:
    by_name = asker(profile, machine)
    shared, private, fixed, anonymous, huge = 1, 2, 0x10, 0x20, 0x40000
    for flags in (private | anonymous, private, shared, shared | fixed, private | fixed):
        assert by_name("mmap", 0, 4096, 3, flags, 9) == ALLOW
        assert by_name("mmap", 0, 4096, 3, flags | huge, 9) == ERRNO | errno.ENOMEM
    for flags in (shared | anonymous, shared | private | anonymous):
        assert by_name("mmap", 0, 4096, 3, flags, 9) == ERRNO | errno.EPERM
    for command in (6, 7, 37, 38):
        assert by_name("fcntl", 9, command, 1) == ERRNO | 0
    for command in (5, 36):  # to ask for one
        assert by_name("fcntl", 9, command, 1) == ALLOW
    full = ERRNO | errno.EOPNOTSUPP
    assert by_name("fallocate", 9) == (ALLOW if profile == BOXED else full)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", CHECKS.values(), ids=list(CHECKS))
def test_the_limit_of_core_dumps_stays(profile: Profile, machine: str) -> None:
    by_name = asker(profile, machine)
    core, somewhere, far = 4, 4096, 1 << 40
    assert by_name("prlimit64", 0, core, 0, somewhere) == ALLOW
    for limits in (somewhere, far):
        assert by_name("prlimit64", 0, core, limits, 0) == ERRNO | 0
        assert by_name("setrlimit", core, limits) == ERRNO | 0
        for other in (0, 3, 5, 7, 9):
            assert by_name("prlimit64", 0, other, limits, 0) == ALLOW
            assert by_name("setrlimit", other, limits) == ALLOW
    for pid in (1, 4711, -1):
        for resource in (0, core):
            assert by_name("prlimit64", pid, resource, 0, somewhere) == ERRNO | errno.EPERM
    for name in ("prlimit64", "setrlimit"):
        assert asker(RUNNER, machine)(name, 0, core, somewhere) == ALLOW


def test_the_runner_may_pass_descriptors_and_lock_itself_in_and_a_check_may_not() -> None:
    for name in ("recvmsg", "sendmsg", "seccomp", "landlock_restrict_self", "prctl", "capset"):
        assert asker(RUNNER)(name, 1000) == ALLOW
        for profile in CHECKS.values():
            assert asker(profile)(name, 1000) == ERRNO | errno.EPERM, name


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
    for name, number in mine.items():
        if number <= newest:
            assert numbers.get(name) == number, name
    # And the other way: a call that this machine has is not left out by mistake.
    known = {name for table in NUMBERS.values() for name in table}
    assert known & numbers.keys() == set(NUMBERS[machine]) & numbers.keys()


def test_a_machine_without_a_filter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(seccomp.Refused, match="no system call filter for riscv64"):
        seccomp.install(BOXED)


def test_the_filters_fit_the_kernels_bounds() -> None:
    for machine in MACHINES:
        for profile in (*CHECKS.values(), RUNNER):
            assert len(seccomp.assemble(profile, machine)) // 8 < 4096


here = pytest.mark.skipif(
    platform.machine() not in NUMBERS, reason=f"no filter for {platform.machine()}: NOT TESTED"
)


def behind(profile: str | None, program: str) -> dict[str, Any]:
    """What a program finds in a process of its own behind a filter."""
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

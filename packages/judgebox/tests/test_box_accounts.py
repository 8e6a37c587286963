"""What a program might use without its being counted, or leave in the kernel for the next one."""

from typing import Any

import pytest

from boxed import run
from judgebox.box import Box

pytestmark = pytest.mark.slow


def said(box: Box, program: str) -> Any:
    return run(box, "import ctypes, mmap, os\n" + program).said


def test_no_memory_of_a_device_is_shared(box: Box) -> None:
    """Told that it is not needed, the kernel takes it off a process's account, and keeps it."""
    program = """
def taken(flags):
    zero = os.open("/dev/zero", flags)
    memory = mmap.mmap(zero, 2**20, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    memory[:] = b"1" * 2**20
    memory.madvise(mmap.MADV_DONTNEED)
    return memory[2**19]
say([attempt(lambda: taken(flags)) for flags in (os.O_RDWR, os.O_RDONLY)])
"""
    there = box.backend == "landlock"  # only to be read
    assert said(box, program) == (["EACCES", "EACCES"] if there else ["ENOENT", "ENOENT"])


def test_no_page_comes_from_the_machines_pool_of_huge_ones(box: Box) -> None:
    program = """
huge = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000
say(attempt(lambda: len(mmap.mmap(-1, 2**21, huge))))
"""
    assert said(box, program) == "ENOMEM"


def test_pages_of_files_are_not_held_by_sockets_and_copying_works(box: Box) -> None:
    """A byte of each page, sent by reference, holds all of it, when the file is gone as well."""
    program = """
import shutil, socket
open("a", "wb").write(b"1" * 10**6)
ours, theirs = socket.socketpair()
with open("a", "rb") as file:
    sent = attempt(lambda: os.sendfile(ours.fileno(), file.fileno(), 4095, 2))
    ours.sendfile(file, 0, 1000)
shutil.copyfile("a", "b")
shutil.copy2("a", "c")
say((sent, len(theirs.recv(2000)), os.path.getsize("b"), os.path.getsize("c")))
"""
    assert said(box, program) == ("EPERM", 1000, 10**6, 10**6)


def test_record_locks_take_no_memory_and_databases_work(box: Box) -> None:
    program = """
import fcntl, sqlite3
file = os.open("file", os.O_CREAT | os.O_RDWR)
fcntl.lockf(file, fcntl.LOCK_EX, 1)
ours, theirs = os.pipe()
if os.fork() == 0:  # a lock that were kept would be in this one's way
    other = os.open("file", os.O_RDWR)
    found = attempt(lambda: fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 1))
    os.write(theirs, repr(found).encode())
    os._exit(0)
kept = os.read(ours, 99).decode()
found = []
for mode in ("delete", "wal"):
    for _ in range(2):
        with sqlite3.connect(f"base-{mode}") as base:
            base.execute(f"pragma journal_mode={mode}")
            base.execute("create table if not exists t (x)")
            base.execute("insert into t values (1)")
            found.append(base.execute("select count(*) from t").fetchone()[0])
        base.close()
say((kept, found))
"""
    assert said(box, program) == ("None", [1, 2, 1, 2])


def test_no_crash_is_told_to_the_machine(box: Box) -> None:
    """At 1, and no other limit, no program is started that core dumps are piped to."""
    program = """
import resource
core = resource.RLIMIT_CORE
before = resource.getrlimit(core)
libc = ctypes.CDLL(None)
limits = (ctypes.c_ulong * 2)(0, 0)
calls = [lambda: resource.setrlimit(core, (0, 0)), lambda: resource.setrlimit(core, (0, 1))]
calls += [lambda: resource.prlimit(0, core, (0, 0)) and None, lambda: libc.setrlimit(core, limits)]
if os.uname().machine == "x86_64":
    calls.append(lambda: libc.syscall(160, core, limits))
told = [attempt(call) for call in calls]
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
say((before, told, resource.getrlimit(core), resource.getrlimit(resource.RLIMIT_NOFILE)))
"""
    before, told, after, files = said(box, program)
    assert before == after == (1, 1)
    assert not any(told), "an honest program that wants no core dump must not fail"
    assert files == (60, 60)


def test_flags_of_the_null_device_are_a_checks_own(box: Box) -> None:
    program = """
import fcntl
before = [fcntl.fcntl(number, fcntl.F_GETFL) for number in range(3)]
for number in range(3):
    fcntl.fcntl(number, fcntl.F_SETFL, before[number] | os.O_NONBLOCK | os.O_APPEND)
say(before)
"""
    first = said(box, program)
    assert said(box, program) == first


def test_a_disk_is_not_filled_at_once(box: Box) -> None:
    """The other sandbox's files are in memory, of a size that the kernel bounds."""
    program = """
libc = ctypes.CDLL(None, use_errno=True)
file = os.open("file", os.O_CREAT | os.O_RDWR)
size = ctypes.c_long(2**20)
reserved = libc.fallocate(file, 0, ctypes.c_long(0), size) == 0
os.posix_fallocate(file, 0, 2**20)
say((reserved, os.fstat(file).st_size))
"""
    assert said(box, program) == (box.backend == "bubblewrap", 2**20)

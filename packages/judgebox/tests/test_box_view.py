"""What a program finds in a box, on both backends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from boxed import GENEROUS, run, source, table
from judgebox.box import Box

PROGRAMS = table("box_view")

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


def test_it_holds_its_two_pipes_and_no_other_descriptor(box: Box) -> None:
    probe = "import fcntl\nsay([n for n in range(2000) if attempt(fcntl.fcntl, n, 1) != 'EBADF'])"
    with box.start("program", source("send(b'up'); receive()"), GENEROUS) as other:
        assert next(other.frames()) == b"up"
        assert run(box, probe).said == [0, 1, 2, 3, 4]


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
    program = PROGRAMS["site_packages_are_the_allowed_ones_and_those_can_be_imported"]
    assert run(box, program).said == ["numpy", "scipy", "sympy", "networkx", "pytest"]


def test_nothing_can_be_written_but_its_own_files(box: Box) -> None:
    program = PROGRAMS["nothing_can_be_written_but_its_own_files"]
    own = box.backend == "bubblewrap"
    assert run(box, program).said == ([], [], True, own, own, ["x", "y", "z"] if own else ["x"])


def test_it_holds_no_capability_and_makes_no_namespace_nor_socket(box: Box) -> None:
    program = PROGRAMS["it_holds_no_capability_and_makes_no_namespace_nor_socket"]
    *found, bounding = run(box, program).said
    assert found == [0, bytes(24), [], {"EPERM"}, 1, 2], "no_new_privs, and a filter"
    if box.backend == "bubblewrap" or os.getuid() == 0:
        assert bounding == []


def test_what_the_kernel_adds_to_no_account_is_not_to_be_had(box: Box) -> None:
    """Of memory that a device shares, and of pages that a socket holds, no process's account tells.

    No crash is told to the machine: at 1, and no other limit, no program is started for it.
    """
    program = PROGRAMS["what_the_kernel_adds_to_no_account_is_not_to_be_had"]
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
HONEST = PROGRAMS["honest"]
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

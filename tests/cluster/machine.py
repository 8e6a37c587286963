"""What this machine offers the private Slurm: programs, cgroups, ports, processes."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PACKAGES = "slurm-wlm munge slurmdbd mariadb-server"
ETC = Path("/etc/slurm")
MEMORY = Path("/sys/fs/cgroup/memory")
_COMMANDS = (
    *("munged", "mariadbd", "mariadb-install-db", "slurmdbd"),
    *("slurmctld", "slurmd", "sbatch"),
)


def missing() -> str | None:
    """Why no lab can be started here; None if one can."""
    if os.getuid() != 0:
        return "a private Slurm needs root"
    absent = [name for name in _COMMANDS if not shutil.which(name)]
    if absent:
        return f"no {', '.join(absent)}: apt-get install --no-install-recommends {PACKAGES}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.mknod(Path(folder, "gpu"), 0o20666, os.makedev(1, 3))
    except PermissionError:
        return "device files, which stand for GPUs, can't be made here"
    conf = ETC / "slurm.conf"
    if conf.exists() and not conf.is_symlink():
        return f"{conf}: this machine has a Slurm of its own"
    return None


def memory_limits() -> bool:
    """Whether slurmd can be given a memory controller (cgroup v1) in a namespace of its own."""
    if not MEMORY.is_dir():
        return False
    script = (
        "d=$(mktemp -d) && mount -t cgroup -o memory none $d && mkdir $d/mixmerge-probe"
        " && rmdir $d/mixmerge-probe; r=$?; umount $d; rmdir $d; exit $r"
    )
    return quiet("unshare", "-m", "-C", "bash", "-c", script) == 0


def quiet(*command: str) -> int:
    """The exit status of a command that says nothing."""
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for a condition, and say what never came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


def remove_cgroups(prefix: str) -> None:
    """Remove memory cgroups of ours that nothing runs in any more."""
    found = [path for top in MEMORY.glob(f"{prefix}*") for path in (top, *top.rglob("*/"))]
    for path in sorted(filter(Path.is_dir, found), reverse=True):
        with suppress(OSError):
            path.rmdir()


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A port of 127.0.0.1 that nothing listens on, for each name."""
    sockets = [socket.socket() for _ in names]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return ports

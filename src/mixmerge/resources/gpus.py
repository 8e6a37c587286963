"""GPUs of this machine: each local job that needs some gets its own, as on a cluster from Slurm.

``python -m mixmerge.resources.gpus 0,1,2,3 workflow/scripts/sft.py --processes 2 ...`` locks as
many GPUs as the script takes and becomes the script, in whose environment they alone are visible.
The kernel drops the locks when the script and its children are gone, however they end.
"""

import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import IO

#: Scripts whose jobs take GPUs (`mixmerge.resources.requests.GPU_RULES`).
SCRIPTS = ("pretrain.py", "sft.py", "generate.py")

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """GPUs that a program started here may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Asks neither torch nor the driver: both take seconds, and Snakemake starts often.
    """
    if VISIBLE in environment:
        names = [name.strip() for name in environment[VISIBLE].split(",")]
        # CUDA sees those before the first that is none.
        return list(takewhile(lambda name: name not in ("", "-1"), names))
    count = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in devices.glob("nvidia*"))
    return [str(number) for number in range(count)]


def claiming(names: Sequence[str]) -> str:
    """Shell code that sets ``claim``: how a script named ``$1`` is started among several GPUs."""
    if len(names) < 2:
        return "local claim=; "
    module = f"-m mixmerge.resources.gpus {','.join(names)}"
    return f'local claim=; case $1 in {"|".join(SCRIPTS)}) claim="{module}";; esac; '


def _claim(names: Sequence[str], count: int, folder: Path) -> dict[str, IO[str]]:
    """Lock so many of some GPUs, by files that child processes inherit; none if fewer are free."""
    held: dict[str, IO[str]] = {}
    for name in names:
        file = (folder / f"{name}.lock").open("a")
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.set_inheritable(file.fileno(), True)
            held[name] = file
        if len(held) == count:
            return held
    return {}  # closed with their last name, the files drop their locks


def main() -> None:
    """Claim GPUs, wait where others hold them, and become the script."""
    listed, script, *arguments = sys.argv[1:]
    names, count = listed.split(","), 1
    if "--processes" in arguments:
        # Of training; a run that wants more than there are says so itself.
        count = min(int(arguments[arguments.index("--processes") + 1]), len(names))
    folder = Path(tempfile.gettempdir(), f"mixmerge-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    while not (held := _claim(names, count, folder)):
        time.sleep(2)
    os.environ[VISIBLE] = ",".join(held)
    os.execv(sys.executable, [sys.executable, "-P", script, *arguments])


if __name__ == "__main__":
    main()

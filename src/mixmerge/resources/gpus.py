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
from itertools import takewhile
from pathlib import Path

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
    """Shell code that sets ``claim``: how a script named ``$1`` is started so that it gets GPUs.

    Empty where it makes no difference: a machine with one GPU or none, or a cluster's node.
    """
    if len(names) < 2:
        return "local claim=; "
    module = f"-m mixmerge.resources.gpus {','.join(names)}"
    return f'local claim=; case $1 in {"|".join(SCRIPTS)}) claim="{module}";; esac; '


def _claim(names: Sequence[str], count: int, folder: Path) -> list[str] | None:
    """Lock so many of some GPUs, by files in a folder that child processes inherit; all or None."""
    held: dict[str, int] = {}
    for name in names:
        file = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        os.set_inheritable(file, True)
        held[name] = file
        if len(held) == count:
            return list(held)
    for file in held.values():
        os.close(file)
    return None


def main() -> None:
    """Claim GPUs, wait where others hold them, and become the script."""
    listed, script, *arguments = sys.argv[1:]
    names, count = listed.split(","), 1
    if "--processes" in arguments:
        # Of training; a run that wants more than there are says so itself.
        count = min(int(arguments[arguments.index("--processes") + 1]), len(names))
    folder = Path(tempfile.gettempdir(), f"mixmerge-gpus-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    while (held := _claim(names, count, folder)) is None:
        time.sleep(2)
    os.environ[VISIBLE] = ",".join(held)
    os.execv(sys.executable, [sys.executable, "-P", script, *arguments])


if __name__ == "__main__":
    main()

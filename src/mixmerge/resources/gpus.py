"""GPUs: how a cluster is asked for them, and which of this machine's a local job takes.

On a cluster Slurm hands each job its GPUs. Jobs that Snakemake starts on this machine would all see
all GPUs, and each would take the first. So a job that needs GPUs is started through this module:

    python -m mixmerge.resources.gpus 0,1,2,3 workflow/scripts/sft.py --processes 2 ...

It locks as many GPUs as the script takes and becomes the script, in whose environment they alone
are visible. The kernel drops the locks when the script and its children are gone, however they end.
"""

import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Scripts whose jobs take GPUs (`mixmerge.resources.requests.GPU_RULES`).
SCRIPTS = ("pretrain.py", "sft.py", "generate.py")

VISIBLE = "CUDA_VISIBLE_DEVICES"

#: A default resource ``gpu_job_X`` is the resource X of the jobs that need GPUs.
_PREFIX = "gpu_job_"

#: Seconds between two looks at GPUs that others hold.
_PATIENCE = 2.0


class GpuRequest:
    """Turns "so many GPUs" into a cluster's own words: partition, ``--gres``, type, constraint.

    Rules say how many GPUs a job needs and nothing else. What is called ``gpu_job_X`` among the
    profile's default resources becomes the resource X of a job with GPUs, instead of the default
    X; ``{gpu}`` in it stands for the number of the job's GPUs, ``{gpu_per_node}`` for those on each
    of its nodes. Where X is ``gres``, it replaces ``gpu``: Slurm would add up the two.

    Attributes:
        words: default resources of the jobs that need GPUs, by name without ``gpu_job_``.
    """

    def __init__(self, defaults: Mapping[str, Any] | None) -> None:
        """Take the default resources as Snakemake holds them (values or its Resource objects)."""
        self._defaults = defaults or {}
        names = [name for name in self._defaults if name.startswith(_PREFIX)]
        self.words = {name.removeprefix(_PREFIX): self.default(name) for name in names}

    def default(self, name: str) -> Any:
        """A default resource as the profile words it, without quotes that keep it a string."""
        resource = self._defaults.get(name)
        raw = getattr(resource, "raw", None)
        value = raw if raw is not None else getattr(resource, "value", resource)
        quoted = re.fullmatch(r"(['\"])(.*)\1", value) if isinstance(value, str) else None
        return quoted[2] if quoted else value

    def translate(self, resources: Mapping[str, Any]) -> dict[str, Any]:
        """A rule's resources in the cluster's words; those of a rule without GPUs stay.

        Args:
            resources: by name; ``gpu`` and ``nodes`` are functions of wildcards and attempt.
        """
        if "gpu" not in resources or not self.words:
            return dict(resources)
        gpu, nodes = resources["gpu"], resources.get("nodes", lambda wildcards, attempt: 1)

        def resource(name: str) -> Callable[..., Any]:
            def value(wildcards: Any, attempt: int) -> Any:
                count, word = gpu(wildcards, attempt), self.words[name]
                if not count:
                    return self.default(name)
                if not isinstance(word, str):
                    return word
                each = -(-count // nodes(wildcards, attempt))
                return word.replace("{gpu}", str(count)).replace("{gpu_per_node}", str(each))

            return value

        translated = {**resources, **{name: resource(name) for name in self.words}}
        if "gres" in self.words:
            # Under another name, for plans and limits that count GPUs.
            translated["gpu_count"] = translated.pop("gpu")
        return translated


def visible(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """GPUs that a program started here may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Asks neither torch nor the driver: both take seconds, and Snakemake starts often.
    """
    if VISIBLE in environment:
        names = [name.strip() for name in environment[VISIBLE].split(",")]
        # CUDA sees those before the first that is none.
        bad = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:bad]
    device_files = [
        path for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)
    ]
    return [str(number) for number in range(len(device_files))]


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
        if len(held) == count:
            break
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
    if Path(script).name == "sft.py" and "--processes" in arguments:
        # A run that wants more than there are says so itself.
        count = min(int(arguments[arguments.index("--processes") + 1]), len(names))
    folder = Path(tempfile.gettempdir(), f"mixmerge-gpus-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    while (held := _claim(names, count, folder)) is None:
        time.sleep(_PATIENCE)
    os.environ[VISIBLE] = ",".join(held)
    os.execv(sys.executable, [sys.executable, "-P", script, *arguments])


if __name__ == "__main__":
    main()

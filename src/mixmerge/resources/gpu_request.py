"""How one cluster wants jobs with GPUs asked for, as the default resources of a profile say it."""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: A default resource ``gpu_job_X`` is the resource X of the jobs that need GPUs.
PREFIX = "gpu_job_"


class Dialect:
    """Turns "so many GPUs" into a cluster's own words: partition, ``--gres``, type, constraint.

    Rules say how many GPUs a job needs and nothing else. What is called ``gpu_job_X`` among the
    profile's default resources becomes the resource X of a job with GPUs, instead of the default
    X; ``{gpu}`` in it stands for the number of the job's GPUs, ``{gpu_per_node}`` for those on each
    of its nodes. Where X is ``gres``, it replaces ``gpu``: Slurm would add up the two.
    """

    def __init__(self, defaults: Mapping[str, Any] | None) -> None:
        """Take the default resources as Snakemake holds them (values or its Resource objects)."""
        defaults = defaults or {}
        self.words = {
            name.removeprefix(PREFIX): _text(value)
            for name, value in defaults.items()
            if name.startswith(PREFIX)
        }
        self.defaults = {name: _text(defaults[name]) for name in self.words if name in defaults}

    def speak(self, resources: Mapping[str, Any]) -> dict[str, Any]:
        """Translate the resources of a rule; those of a rule that never takes a GPU stay."""
        if "gpu" not in resources or not self.words:
            return dict(resources)
        gpu, nodes = resources["gpu"], resources.get("nodes")

        def word(name: str) -> Callable[..., Any]:
            def value(wildcards: Any, attempt: int) -> Any:
                count = _value(gpu, wildcards, attempt) or 0
                if not count:
                    return self.defaults.get(name)
                text = self.words[name]
                if not isinstance(text, str):
                    return text
                each = -(-count // (_value(nodes, wildcards, attempt) or 1))
                return text.replace("{gpu}", str(count)).replace("{gpu_per_node}", str(each))

            return value

        spoken = {**resources, **{name: word(name) for name in self.words}}
        if "gres" in self.words:
            # Under another name, for plans and limits that count GPUs.
            spoken["gpu_count"] = spoken.pop("gpu")
        return spoken


def _value(resource: Any, wildcards: Any, attempt: int) -> Any:
    """A rule's resource: a value, or a function of any of wildcards and attempt."""
    if not callable(resource):
        return resource
    known = {"wildcards": wildcards, "attempt": attempt}
    taken = inspect.signature(resource).parameters
    return resource(**{name: value for name, value in known.items() if name in taken})


def _text(resource: Any) -> Any:
    """What a default resource says in the profile, without the quotes that keep it a string."""
    raw = getattr(resource, "raw", None)
    value = raw if raw is not None else getattr(resource, "value", resource)
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def prefer(programs: Path) -> None:
    """Let the programs in a folder stand before all others of their name on this process's path."""
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"

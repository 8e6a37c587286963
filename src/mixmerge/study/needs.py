"""What each job needs of the machine: memory, run time, disk, GPUs."""

from collections.abc import Callable
from typing import Any

from mixmerge.study.plan import Study

#: Rule -> MB of memory, minutes.
_NEEDS = {
    "corpus": (1000, 10),
    "fetch": (2000, 240),
    "prepare": (2000, 60),
    "decontaminate": (2000, 60),
    "split": (2000, 60),
    "subset": (2000, 60),
    "mix": (2000, 60),
    "statistics": (2000, 60),
    "hold_out": (2000, 60),
    "suite": (2000, 60),
    "ground_truth": (4000, 60),
    "nltk_data": (1000, 30),
    "pretrain": (2000, 60),
    "snapshot": (2000, 240),
    "dequantise": (4000, 60),
    "sft": (8000, 1440),
    "recipe": (500, 5),
    "merge": (8000, 60),
    "generate": (4000, 240),
    "score": (4000, 120),
    "layers": (4000, 60),
    "updates": (4000, 60),
    "tables": (2000, 30),
    "figures": (2000, 30),
    "verdict": (2000, 30),
    "timing": (2000, 30),
    "uncertainty": (4000, 60),
}


class Needs:
    """The resources of every rule's jobs."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def of(self, rule: str) -> dict[str, Callable[..., Any]]:
        """Resource -> function of wildcards and attempt, as Snakemake's `resources` takes them."""
        memory, minutes = _NEEDS[rule]
        return {
            "mem_mb": lambda wildcards, attempt: memory,
            "runtime": lambda wildcards, attempt: minutes,
        }

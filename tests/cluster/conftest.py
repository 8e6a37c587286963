"""A private Slurm for the session, and the study that ran through it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clone import Clone, clone
from faults import Faults
from lab import Lab
from machine import missing


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A private Slurm; the test is skipped, loudly, where none can be started."""
    reason = missing()
    if reason:
        pytest.skip(f"{reason}: NOT TESTED")
    # Not below pytest's own folder: a socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="mixmerge-slurm-") as root, Lab(Path(root)) as up:
        yield up


@pytest.fixture(scope="session")
def disturbed(
    tmp_path_factory: pytest.TempPathFactory, lab: Lab, shrunken: dict[str, Any]
) -> tuple[Clone, Faults]:
    """The study of `finished` through the slurm profile, with one fault of each kind on the way."""
    folder = tmp_path_factory.mktemp("slurm")
    study = {**shrunken, "hardware": {"device": "gpu"}, "sft": {**shrunken["sft"], "save_steps": 5}}
    made = clone(folder / "mixmerge", study, lab)
    faults = Faults(made, folder / "bin")
    faults.run("--profile", "slurm", "all_tables")
    return made, faults

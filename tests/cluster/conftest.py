"""A private Slurm for the session, and the study that ran through it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from clone import Clone, clone, tiny
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
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The study, run on this machine alone."""
    made = clone(tmp_path_factory.mktemp("local") / "mixmerge", tiny())
    made.snakemake("--cores", "2", "all_tables")
    return made


@pytest.fixture(scope="session")
def disturbed(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> tuple[Clone, Faults]:
    """The study through the slurm profile, with one fault of each kind on the way."""
    folder = tmp_path_factory.mktemp("slurm")
    made = clone(folder / "mixmerge", tiny(), lab)
    faults = Faults(made, folder / "bin")
    faults.run("--profile", "slurm", "all_tables")
    return made, faults

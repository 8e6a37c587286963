"""Paths every test may need; real inputs are found through MIXMERGE_DATA and never committed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let several processes share the tests file by file, what is costly to set up as one file.

    So no module's fixtures are made twice, the study that takes minutes is run once, and no process
    waits for another to be done with the machine's one Slurm.
    """
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = [name for name in ("finished", "lab") if name in fixtures]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else str(item.path)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Directory of real inputs; the test is skipped, loudly, where there is none."""
    given = os.environ.get("MIXMERGE_DATA")
    if not given or not Path(given).is_dir():
        pytest.skip("MIXMERGE_DATA is not set to the directory of real inputs: NOT TESTED")
    return Path(given).resolve()


@pytest.fixture(autouse=True)
def hub_variables() -> Iterator[None]:
    """No test leaves the hub's variables behind: training, for one, takes its process offline."""
    before = {name: value for name, value in os.environ.items() if name.startswith("HF_")}
    yield
    for name in [name for name in os.environ if name.startswith("HF_")]:
        del os.environ[name]
    os.environ.update(before)

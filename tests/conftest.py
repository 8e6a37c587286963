"""Paths every test may need; real inputs are found through MIXMERGE_DATA and never committed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]

# The scripts of the rules find the tools on their path, as rules give it to them.
_PATHS = [str(ROOT / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])]
os.environ["PYTHONPATH"] = os.pathsep.join(_PATHS)


class ByFile(LoadScopeScheduling):
    """Several processes share the tests file by file, what is costly to set up as one file.

    So no module's fixtures are made twice, the study that takes minutes is run once, and no process
    waits for another to be done with the machine's one Slurm. (xdist's own groups are marks that
    pytest 9.2 does not let it read.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if file.startswith("tests/cluster/"):
            return "lab"
        text = (ROOT / file).read_text(encoding="utf-8")
        return "finished" if re.search(r"\bfinished: Workspace", text) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real inputs, so that `make test-long` runs it where there are some."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")


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


def _restored() -> Iterator[None]:
    """No test leaves variables behind: training, for one, takes its process offline, to one GPU."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


environment = pytest.fixture(autouse=True)(_restored)
# What a module's own fixtures do comes before its tests' fixtures, and lasts as long as the module.
module_environment = pytest.fixture(autouse=True, scope="module")(_restored)

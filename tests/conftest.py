"""What many tests need: the repository, real inputs (never committed), a finished small study."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from xdist.scheduler import LoadScopeScheduling

from fixtures.hub_server import Hub, serving
from fixtures.workspace import Workspace, shrink

ROOT = Path(__file__).resolve().parents[1]

# The scripts of the rules find the tools on their path, as rules give it to them.
_PATHS = [str(ROOT / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])]
os.environ["PYTHONPATH"] = os.pathsep.join(_PATHS)


class ByFile(LoadScopeScheduling):
    """Several processes share the tests file by file, those of the machine's one Slurm as one file.

    So no module's fixtures are made twice. (xdist's own groups are marks that pytest 9.2 does not
    let it read.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "lab" if file.startswith("tests/cluster/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    config.option.loadscopereorder = False  # by number of tests, the longest would come last
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real inputs, and begin with the files that take longest."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
    long = {item.path for item in items if item.get_closest_marker("long")}
    folders = {"cluster": 0, "workflow": 1}
    items.sort(key=lambda i: (folders.get(i.path.parent.name, 2), i.path not in long))


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


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub of ours on this machine, without repositories yet."""
    with serving() as hub:
        yield hub


@pytest.fixture(scope="session")
def demo_config() -> dict[str, Any]:
    """The demo's config."""
    return yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def shrunken(demo_config: dict[str, Any]) -> dict[str, Any]:
    """The config of the study in `finished`."""
    return shrink(demo_config)


@pytest.fixture(scope="session")
def finished(pytestconfig: pytest.Config, shrunken: dict[str, Any]) -> Workspace:
    """The shrunken study, run to its end. Read-only: run Snakemake in a copy.

    It stays in pytest's cache, where Snakemake itself makes again what changed since.
    """
    workspace = Workspace(Path(pytestconfig.cache.mkdir("finished")))
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    with (workspace.path.parent / "finished.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if run and lock.read() == run:  # another process of this session has made it
            return workspace
        config = workspace.path / "study.yaml"
        if not config.exists() or yaml.safe_load(config.read_text(encoding="utf-8")) != shrunken:
            shutil.rmtree(workspace.path)
            workspace.path.mkdir()
            workspace.write_config(shrunken)
        result = workspace.snakemake("all")
        assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
        lock.truncate(0)
        lock.write(run)
    return workspace


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

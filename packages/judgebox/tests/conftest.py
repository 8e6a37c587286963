"""Boxes that the tests share; where a backend does not work, its tests are skipped, loudly."""

import functools
from collections.abc import Iterator

import pytest

from judgebox import landlock
from judgebox.box import Box
from judgebox.check import Limits
from judgebox.detect import BackendStatus, available


@functools.cache
def _statuses() -> list[BackendStatus]:
    return available()


def _need(backend: str) -> None:
    statuses = [status for status in _statuses() if status.backend == backend]
    if not any(status.works for status in statuses):
        pytest.skip(f"{backend} does not work here, NOT TESTED: {statuses}")


@pytest.fixture(scope="session", params=["bubblewrap", "landlock"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend's name."""
    _need(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def bubblewrap() -> str:
    _need("bubblewrap")
    return "bubblewrap"


@pytest.fixture(scope="session")
def landlock_version() -> int:
    """The newest version of landlock that can be tested here."""
    _need("landlock")
    return landlock.version()


@pytest.fixture(scope="module")
def box(backend: str) -> Iterator[Box]:
    """A warm box of each backend."""
    with Box(backend=backend) as box:
        yield box
        with box.start("program", b"send(b'1')", Limits(20, 60, 2**30)) as check:
            assert list(check.frames()) == [b"1"], "a box must outlive all of the tests' programs"

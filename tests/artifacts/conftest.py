"""Fixtures of the tests of fingerprints and records."""

from collections.abc import Callable, Iterator

import pytest

from mixmerge.artifacts import fingerprint


@pytest.fixture
def forget() -> Iterator[Callable[[], None]]:
    """Forgets what fingerprints remember: files and versions are read once a process."""

    def clear() -> None:
        for value in vars(fingerprint).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()

    yield clear
    clear()

"""Scripts of the stage run by their files, as rules do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def script(root: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a script with arguments; what a user did wrong ends in one message, no traceback."""

    def run(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, root / "workflow/scripts" / name, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run

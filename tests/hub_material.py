"""What the tests of the fetching rules share: how a script ended, and what it left behind."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def message_of(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a rule's script; returns its one message, or nothing if it ended well."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    messages = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(messages) == (done.returncode != 0), done.stderr
    return "".join(messages)


def left_beside(out: Path) -> list[str]:
    """What stands where the script's target belongs."""
    return sorted(path.name for path in out.parent.iterdir()) if out.parent.exists() else []

"""How a script must end on broken input: one line, exit code 1, nothing changed."""

import hashlib
import os
import subprocess
from pathlib import Path

from fixtures.forks import run_script


def refuse(world: Path, command: tuple[str, ...], *says: str, obedient: bool = False) -> None:
    """Run a script that must refuse in one line, and change nothing."""
    before = listing(world)
    refused(run_script(*command, cwd=world, obedient=obedient), *says)
    assert listing(world) == before, "it left something behind, or changed an input"


def refused(ended: subprocess.CompletedProcess[str], *says: str) -> None:
    """Check that a script ended as a user's mistake does, with one line that holds all words."""
    assert ended.returncode == 1, f"exit code {ended.returncode}\n{ended.stderr}"
    assert "Traceback" not in ended.stderr, ended.stderr
    _, *messages = f"\n{ended.stderr}".split("\nerror: ")
    assert len(messages) == 1 and len(messages[0].splitlines()) == 1, ended.stderr
    for word in says:
        assert word in messages[0], f"{word!r} is not said in:\n{messages[0]}"


def listing(folder: Path) -> dict[str, str]:
    """What lies below a folder: path -> kind and content. Records of cut-off hold times."""
    kinds = {}
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(root, name)
            if path.is_symlink():
                kind = f"-> {path.readlink()}"
            elif path.is_dir():
                kind = "folder"
            elif path.name.endswith(".made"):
                kind = "record"
            else:
                kind = hashlib.sha256(path.read_bytes()).hexdigest()
            kinds[path.relative_to(folder).as_posix()] = kind
    return kinds

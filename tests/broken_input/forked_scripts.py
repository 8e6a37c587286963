"""Scripts of the stages run in forks of one process, and how they must end on broken input."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow/scripts"


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str


class Server(AbstractContextManager["Server"]):
    """`fork_server.py`: runs scripts in forks of a process that has imported ``modules``.

    Args:
        modules: imported once, before the first script.
        mounts: whether it has mounts of its own, which vanish with it.
    """

    def __init__(self, *modules: str, mounts: bool) -> None:
        self.mounts = mounts
        unshare = ["unshare", *([] if os.getuid() == 0 else ["-Ur"]), "-m"] if mounts else []
        command = [sys.executable, "-P", str(Path(__file__).with_name("fork_server.py")), *modules]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        # The hub's libraries look once, when they are imported.
        quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "NO_COLOR": "1"}
        environment = {**os.environ, **threads, **quiet, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [*unshare, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def seen(self, path: Path) -> Path:
        """A path as the server sees it, mounts included."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def mount(self, at: Path, options: str) -> None:
        """Mount a tmpfs of the server's own, or mount it anew with other options."""
        self._ask(do="mount", at=str(at), options=options)

    def run(self, script: str, *arguments: object, cwd: Path, obedient: bool = False) -> Ended:
        """Run a script, or a module's ``main``; ``obedient``: without root's rights on files."""
        notes = cwd.parent / f"{cwd.name}.said"
        notes.mkdir(exist_ok=True)
        files = {name: str(notes / name) for name in ("stdout", "stderr")}
        answer = self._ask(
            do="run",
            script=str(SCRIPTS / script) if script.endswith(".py") else script,
            arguments=[str(argument) for argument in arguments],
            cwd=str(cwd),
            obedient=obedient,
            environment={},
            **files,
        )
        out, err = (Path(file).read_text(errors="replace") for file in files.values())
        return Ended(answer["code"], out, err)

    def refuse(
        self, world: Path, command: tuple[str, ...], *says: str, obedient: bool = False
    ) -> None:
        """Run a script that must refuse in one line, and change nothing."""
        before = listing(world)
        refused(self.run(*command, cwd=world, obedient=obedient), *says)
        assert listing(world) == before, "it left something behind, or changed an input"

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the server is gone: {self._process.poll()}"
        return json.loads(line)


def refused(ended: Ended, *says: str) -> None:
    """Check that a script ended as a user's mistake does, with one line that holds all words."""
    assert ended.code == 1, f"exit code {ended.code}\n{ended.err}"
    assert "Traceback" not in ended.err, ended.err
    _, *messages = f"\n{ended.err}".split("\nerror: ")
    assert len(messages) == 1 and len(messages[0].splitlines()) == 1, ended.err
    for word in says:
        assert word in messages[0], f"{word!r} is not said in:\n{messages[0]}"


def listing(folder: Path) -> dict[str, str]:
    """What lies below a folder: path -> kind and content. Records of cut-off hold times."""
    found = {}
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(root, name)
            if path.is_symlink():
                what = f"-> {path.readlink()}"
            elif path.is_dir():
                what = "folder"
            elif path.name.endswith(".made"):
                what = "record"
            else:
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path.relative_to(folder).as_posix()] = what
    return found

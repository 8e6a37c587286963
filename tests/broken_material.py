"""Worlds of small, whole inputs, what breaks them, and what must then be said."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow/scripts"
#: What the stages from completions to tables import.
EVIDENCE = (
    "numpy",
    "mixmerge.evaluate.scoring",
    "mixmerge.uncertainty.analysis",
    "mixmerge.report.strategy_tables",
    "mixmerge.report.verdict_tables",
    "mixmerge.evaluate.summaries",
)


@dataclass(frozen=True)
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str
    cpu_seconds: float


class Server(AbstractContextManager["Server"]):
    """`broken_server.py`: runs scripts in forks of a process that has imported ``modules``.

    Args:
        modules: imported once, before the first script.
        mounts: whether it has mounts of its own, which vanish with it.
    """

    def __init__(self, *modules: str, mounts: bool = False) -> None:
        unshare = ["unshare", *([] if os.getuid() == 0 else ["-Ur"]), "-m"] if mounts else []
        command = [sys.executable, "-P", str(ROOT / "tests/broken_server.py"), *modules]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        # The hub's libraries look once, when they are imported.
        environment = {
            **os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "NO_COLOR": "1",
        }  # fmt: skip
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

    def run(
        self, script: str, *arguments: object, cwd: Path, obedient: bool = False, **variables: str
    ) -> Ended:
        """Run a script, or a module's ``main``; ``obedient``: without root's rights on files."""
        notes = cwd.parent / f"{cwd.name}.said"
        notes.mkdir(exist_ok=True)
        files = {name: str(notes / name) for name in ("stdout", "stderr")}
        answer = self._ask(
            do="run",
            script=str(SCRIPTS / script) if script.endswith(".py") else script,
            arguments=[str(argument) for argument in arguments],
            cwd=str(cwd), obedient=obedient, environment=variables, **files,
        )  # fmt: skip
        out, err = (Path(file).read_text(errors="replace") for file in files.values())
        return Ended(answer["code"], out, err, answer["cpu"])

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the server is gone: {self._process.poll()}"
        return json.loads(line)


@dataclass(frozen=True)
class Stage:
    """A stage's script in a world of its own: whole inputs below ``in``, what it makes in ``out``.

    Attributes:
        script: file in ``workflow/scripts``.
        arguments: as the rule gives them; paths are relative to the world.
        build: writes the inputs into the folder it is given.
    """

    script: str
    arguments: tuple[object, ...]
    build: Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One way to break a world.

    Attributes:
        name: what is broken.
        damage: breaks it; is given the folder ``in``.
        says: what the message must hold: file, place, value, and the way out.
        obedient: whether the script runs without root's privileges on files.
        lines: most lines that the message may have.
        mends: whether the mended world is run again; not where that takes seconds, each time.
    """

    name: str
    damage: Callable[[Path], object]
    says: tuple[str, ...]
    obedient: bool = False
    lines: int = 1
    mends: bool = True


def cases(table: Mapping[str, Sequence[Case]]) -> list[Any]:
    """A table of cases by stage as parameters of a test."""
    return [
        pytest.param(stage, case, id=f"{stage}: {case.name}")
        for stage, found in table.items()
        for case in found
    ]


@dataclass
class Worlds:
    """Fresh copies of a stage's whole world, and what the stage makes of it undisturbed."""

    server: Server
    root: Path
    made: dict[str, tuple[Path, dict[str, str]]] = field(default_factory=dict)

    def check(self, name: str, stage: Stage, case: Case) -> None:
        """Break a copy, see it refused in one message and nothing touched; mend it, see it made."""
        whole, wanted = self._whole(name, stage)
        world = self.root / f"{name}-{len(list(self.root.iterdir()))}"
        shutil.copytree(whole / "in", world / "in", symlinks=True)
        (world / "out").mkdir()  # as Snakemake does
        try:
            case.damage(world / "in")
            before = listing(world)
            ended = self.server.run(
                stage.script, *stage.arguments, cwd=world, obedient=case.obedient
            )
            refused(ended, *case.says, lines=case.lines)
            assert listing(world) == before, "it left something behind, or changed an input"
        finally:
            _deletable(world)
        if not case.mends:
            return
        shutil.rmtree(world / "in")
        shutil.copytree(whole / "in", world / "in", symlinks=True)
        again = self.server.run(stage.script, *stage.arguments, cwd=world, obedient=case.obedient)
        assert again.code == 0, again.err
        assert listing(world / "out") == wanted

    def _whole(self, name: str, stage: Stage) -> tuple[Path, dict[str, str]]:
        if name not in self.made:
            world = Path(tempfile.mkdtemp(dir=self.root)) / "whole"
            (world / "in").mkdir(parents=True)
            stage.build(world / "in")
            ended = self.server.run(stage.script, *stage.arguments, cwd=world)
            assert ended.code == 0, ended.err
            self.made[name] = world, listing(world / "out")
        return self.made[name]


def refused(ended: Ended, *says: str, lines: int = 1) -> str:
    """Check that a script ended as a user's mistake does; returns the message."""
    assert ended.code == 1, f"exit code {ended.code}\n{ended.err}"
    assert "Traceback" not in ended.err, ended.err
    _, *messages = f"\n{ended.err}".split("\nerror: ")
    assert len(messages) == 1, f"{len(messages)} messages\n{ended.err}"
    message = messages[0].rstrip("\n")
    assert len(message.splitlines()) <= lines, ended.err
    for word in says:
        assert word in message, f"{word!r} is not said in:\n{message}"
    return message


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


def _deletable(folder: Path) -> None:
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            if not Path(root, name).is_symlink():
                Path(root, name).chmod(0o755)

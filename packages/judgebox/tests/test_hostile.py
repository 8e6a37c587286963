"""Hostile programs through the judge, in each backend: none forged, none escaped.

`hostile_corpus` tells how a program that got through would be known, `hostile_world` what it could
have got at. The whole corpus runs in `pytest -m long`, a few of each table in `pytest -m slow`;
``HOSTILE=network,forging/frame`` chooses programs whose names begin so.
"""

import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import hostile_corpus as corpus
import hostile_world as watch
from boxed import environment
from hostile_corpus import KINDS, Program
from hostile_world import VARIABLE, World, canaries

other = platform.machine() != "x86_64"
pytestmark = pytest.mark.skipif(other, reason="system calls by their numbers")

#: Resident memory of a judge, whatever a program sends to it; in bytes.
LARGEST = 1024 * 2**20
#: Seconds that a process lives at most which its check leaves behind; left alone it would live 120.
SHORT_LIVED = 100.0
#: Programs of each table in the smaller selection: every so many, and those that leave something.
EVERY = 6
#: Programs that only look at canaries: outside a box each finds the secret.
CONTROLS = {
    *("reading/secret_file", "reading/environment", "reading/process_vm_readv"),
    *("reading/suite_files", "reading/shared_memory", "reading/message_queue", "reading/keyring"),
    *("network/tcp_loopback", "network/udp", "network/unix_path", "network/abstract"),
    "network/high_level",
}


@dataclass
class Outcome:
    world: World
    programs: list[Program]
    verdicts: dict[str, str]
    seen: watch.Seen
    log: str

    def unexpected(self, hostile: bool) -> dict[str, str]:
        """Programs whose verdict is none of those that they may get, with it."""
        return {
            program.name: self.verdicts[program.name]
            for program in self.programs
            if program.hostile == hostile and self.verdicts[program.name] not in program.ends
        }


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(EVERY, marks=pytest.mark.slow, id="selection"),
        pytest.param(1, marks=pytest.mark.long, id="whole"),
    ],
)
def outcome(
    request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    pytest.importorskip("evalplus", reason="MBPP's inputs are made by it: NOT TESTED")
    folder = tmp_path_factory.mktemp(backend)
    with pytest.MonkeyPatch.context() as patch, canaries(folder) as world:
        patch.setenv("JUDGEBOX_BACKEND", backend)
        programs = corpus.among_honest(_chosen(backend, request.param), world.secret)
        problems = {kind: corpus.problem(kind, world.secret) for kind in KINDS}
        corpus.make_test_cases(folder, [*problems.values()])
        (folder / "completions").mkdir()
        with (folder / "completions" / "all.jsonl").open("w", encoding="ascii") as file:
            for program in programs:
                text = world.told(program.text, KINDS[program.kind].suite)
                row = {"name": program.name, "problem": problems[program.kind], "text": text}
                file.write(json.dumps(row) + "\n")  # ASCII: a lone surrogate is legal JSON
        seen = watch.run(
            [sys.executable, corpus.__file__, str(folder)],
            environment(**{VARIABLE: world.secret}),
            folder / "log",
            "hx-",
            int(world.names["FREE_PORT"]),
            f"{world.mark}-listener",
        )
        log = (folder / "log").read_text(errors="replace")
        assert seen.status == 0, log[-3000:]
        verdicts = json.loads((folder / "scores" / "verdicts.json").read_text())
        yield Outcome(world, programs, verdicts, seen, log)


def _chosen(backend: str, every: int) -> list[Program]:
    """All programs, or every so many, and those whose names begin as HOSTILE says."""
    only = tuple(os.environ.get("HOSTILE", "").split(","))
    every = every if only == ("",) else 1
    return [one for one in corpus.programs(backend)[::every] if one.name.startswith(only)]


def test_corpus_is_large_enough() -> None:
    names = [program.name for program in corpus.programs()]
    groups = Counter(name.split("/")[0] for name in names)
    assert len(set(names)) == groups.total() >= 214
    assert groups["forging"] >= 30
    assert min(groups.values()) >= 5
    assert set(names) > CONTROLS


def test_none_is_forged_and_each_ends_as_expected(outcome: Outcome) -> None:
    assert outcome.unexpected(hostile=True) == {}


def test_honest_programs_are_unharmed(outcome: Outcome) -> None:
    assert outcome.unexpected(hostile=False) == {}


def test_nothing_outside_was_reached_or_changed(outcome: Outcome) -> None:
    assert outcome.world.harm() == outcome.seen.reached == []
    assert outcome.world.secret not in outcome.log


def test_checks_end_as_a_whole(outcome: Outcome) -> None:
    """What stays behind in a check is gone when the check is, not only when the box is."""
    assert outcome.seen.left == []
    lives = outcome.seen.lives.items()
    assert {name: life for (_, name), life in lives if life > SHORT_LIVED} == {}


def test_memory_outside_the_boxes_is_bounded(outcome: Outcome) -> None:
    assert 0 < outcome.seen.largest < LARGEST


@pytest.mark.slow
def test_outside_a_box_the_secret_is_found(tmp_path: Path) -> None:
    """The canaries and the programs work: without a sandbox, what only reads does find it."""
    with canaries(tmp_path) as world:
        problems = tmp_path / "suites" / "main" / "problems.jsonl"
        problems.parent.mkdir(parents=True)
        problems.write_text(json.dumps(corpus.problem("number", world.secret)) + "\n")
        for program in corpus.programs():
            if program.name not in CONTROLS:
                continue
            world.reached.clear()
            text = world.told(program.text, "main") + "\nprint(solve([1, 2]))\n"
            ran = subprocess.run(
                [sys.executable, "-c", text],
                env=environment(**{VARIABLE: world.secret}),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert ran.stdout.strip() == str(int(world.secret) + 3), (program.name, ran.stderr)
            assert bool(world.reached) == program.name.startswith("network/"), program.name

"""Hostile programs through the judge, in each backend: none forged, none escaped.

The programs are the tables under ``hostile/``, a sentence in each says what it tries.
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
import hostile_judge
import hostile_watch as watch
from boxed import environment
from hostile_corpus import KINDS, Program
from hostile_world import VARIABLE, World

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls by their numbers"),
]

#: Resident memory of a judge, whatever a program sends to it; in bytes.
LARGEST = 1024 * 2**20
#: Seconds for which a process of a check may live, of the programs that end at once themselves.
SHORT_LIVED = 10.0
#: Programs of each table in the smaller selection: every so many, and those that leave something.
EVERY = 6

#: Programs that only look at canaries: outside a box each finds the secret.
CONTROLS = (
    "reading/secret_file",
    "reading/environment",
    "reading/process_vm_readv",
    "reading/suite_files",
    "reading/shared_memory",
    "reading/message_queue",
    "reading/keyring",
    "network/tcp_loopback",
    "network/udp",
    "network/unix_path",
    "network/abstract",
    "network/high_level",
)


@dataclass
class Outcome:
    """One backend's run over the corpus."""

    secret: str
    programs: dict[str, Program]
    verdicts: dict[str, str]
    seen: watch.Seen
    harm: list[str]
    log: str


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
    with pytest.MonkeyPatch.context() as patch, World(folder, Path(__file__).parents[1]) as world:
        patch.setenv("JUDGEBOX_BACKEND", backend)
        programs = corpus.among_honest(_chosen(backend, request.param), world.secret)
        # Not below 1000: EvalPlus makes tuples of inputs of some of MBPP's numbers.
        tasks = {f"h/{number}": program for number, program in enumerate(programs, 1000)}
        problems = {
            task: corpus.problem(task, program.kind, world.secret)
            for task, program in tasks.items()
        }
        hostile_judge.make_test_cases(folder, problems)
        completions = [
            {"id": task, "text": world.told(program.text, KINDS[program.kind][0])}
            for task, program in tasks.items()
        ]
        hostile_judge.write_completions(folder, completions)
        seen = watch.run(
            [sys.executable, hostile_judge.__file__, str(folder)],
            environment(**{VARIABLE: world.secret}),
            folder / "log",
            "hx-",
            world.number("FREE_PORT"),
            f"{world.mark}-listener",
        )
        log = (folder / "log").read_text(errors="replace")
        assert seen.status == 0, log[-3000:]
        verdicts = json.loads((folder / "scores" / "verdicts.json").read_text())
        assert verdicts.keys() == tasks.keys()
        yield Outcome(world.secret, tasks, verdicts, seen, world.harm(), log)


def _chosen(backend: str, every: int) -> list[Program]:
    """All programs, or every so many, and those whose names begin as HOSTILE says."""
    only = tuple(os.environ.get("HOSTILE", "").split(","))
    chosen = corpus.programs(backend)
    if every > 1 and only == ("",):
        chosen = chosen[::every]
    return [program for program in chosen if program.name.startswith(only)]


def _unexpected(outcome: Outcome, hostile: bool) -> dict[str, str]:
    """Programs whose verdict is none of those that they may get, with it."""
    return {
        program.name: outcome.verdicts[task]
        for task, program in outcome.programs.items()
        if program.hostile == hostile and outcome.verdicts[task] not in program.ends
    }


def test_corpus_is_large_enough() -> None:
    groups = Counter(program.name.split("/")[0] for program in corpus.programs())
    assert groups.total() >= 214
    assert groups["forging"] >= 30
    assert min(groups.values()) >= 5
    assert {name.split("/")[0] for name in CONTROLS} < groups.keys()


def test_none_is_forged_and_each_ends_as_expected(outcome: Outcome) -> None:
    assert _unexpected(outcome, hostile=True) == {}


def test_honest_programs_are_unharmed(outcome: Outcome) -> None:
    assert _unexpected(outcome, hostile=False) == {}


def test_nothing_outside_was_reached_or_changed(outcome: Outcome) -> None:
    assert outcome.harm == []
    assert outcome.seen.reached == []


def test_no_secret_is_in_the_log(outcome: Outcome) -> None:
    assert outcome.secret not in outcome.log


def test_no_process_is_left(outcome: Outcome) -> None:
    assert outcome.seen.left == []


def test_checks_end_as_a_whole(outcome: Outcome) -> None:
    """What stays behind in a check is gone when the check is, not only when the box is."""
    late = {
        name: round(last - first, 1)
        for (_, name), (first, last) in outcome.seen.lives.items()
        if last - first > SHORT_LIVED
    }
    assert late == {}


def test_memory_outside_the_boxes_is_bounded(outcome: Outcome) -> None:
    print(
        f"largest {outcome.seen.largest / 2**20:.0f} MiB, together "
        f"{outcome.seen.together / 2**20:.0f} MiB, {outcome.seen.seconds:.0f} s"
    )
    assert 0 < outcome.seen.largest < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLS)
def test_outside_a_box_the_secret_is_found(name: str, tmp_path: Path) -> None:
    """The canaries and the programs work: without a sandbox, what only reads does find it."""
    program = next(one for one in corpus.programs() if one.name == name)
    with World(tmp_path, Path(__file__).parents[1]) as world:
        problems = tmp_path / "suites" / "main" / "problems.jsonl"
        problems.parent.mkdir(parents=True)
        problems.write_text(json.dumps(corpus.problem("h/0", "number", world.secret)) + "\n")
        text = world.told(program.text, "main") + "\nprint(solve([1, 2]))\n"
        ran = subprocess.run(
            [sys.executable, "-c", text],
            env=environment(**{VARIABLE: world.secret}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.stdout.strip() == str(int(world.secret) + 3), ran.stderr[-1000:]
        if name.startswith("network/"):
            assert world.reached

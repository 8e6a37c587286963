"""Hostile programs through the real scoring command, in each backend: none forged, none escaped.

The programs are under ``hostile/``, a sentence in each says what it tries. `hostile.corpus` tells
how a program that got through would be known, `hostile.world` what it could have got at.
"""

import os
import platform
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pytest
from hostile.corpus import KINDS, SUITES, Program
from hostile.world import VARIABLE, World

from hostile import corpus, study, watch
from judgebox import available
from mixmerge.core.io import read_jsonl, write_jsonl
from mixmerge.evaluate.settings import CodeScoring

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls by their numbers"),
]

CODE = CodeScoring(workers=2, min_time_limit=0.6, memory_bytes=512 * 2**20)

#: Resident memory of a judge, whatever a program sends to it; in bytes.
LARGEST = 1024 * 2**20

#: Seconds for which a process of a check may live, of the programs that end at once themselves.
SHORT_LIVED = 10.0

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
    rows: dict[str, dict[str, str]]
    seen: watch.Seen
    harm: list[str]
    log: str


@pytest.fixture(scope="module")
def offers():
    """What this machine offers: one sandbox at least."""
    found = available()
    assert any(offer.works for offer in found), found
    return found


@pytest.fixture(scope="module", params=["bubblewrap", "landlock"])
def outcome(request, root, offers, tmp_path_factory):
    said = [offer.reason for offer in offers if offer.backend == request.param and not offer.works]
    if not any(offer.works for offer in offers if offer.backend == request.param):
        pytest.skip(f"no {request.param} on this machine: NOT TESTED ({'; '.join(said)})")
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch, World(folder, root) as world:
        patch.setenv("JUDGEBOX_BACKEND", request.param)
        programs = corpus.among_honest(_chosen(request.param), world.secret)
        # Not below 1000: EvalPlus makes tuples of inputs of some of MBPP's numbers.
        tasks = {f"h/{number}": program for number, program in enumerate(programs, 1000)}
        used = {KINDS[program.kind][0] for program in programs}
        suites = {name: judging for name, judging in SUITES.items() if name in used}
        for suite in suites:
            study.write_suite(world, suite, tasks, CODE)
        study.write_completions(world, suites, tasks)
        seen = study.score(world, suites, root, CODE)
        log = (folder / "log").read_text(errors="replace")
        assert seen.status == 0, log[-3000:]
        rows = {
            row["id"]: row
            for suite in suites
            for row in read_jsonl(folder / "scores" / f"{suite}.jsonl")
        }
        yield Outcome(world.secret, tasks, rows, seen, world.harm(), log)


def _chosen(backend: str) -> list[Program]:
    """All programs, or those whose names begin as HOSTILE says (`HOSTILE=codec,bombs/fork`)."""
    only = tuple(os.environ.get("HOSTILE", "").split(","))
    return [program for program in corpus.programs(backend) if program.name.startswith(only)]


def _found(outcome: Outcome, hostile: bool) -> dict[str, str]:
    """Programs whose verdict is none of those that they may get, with it."""
    return {
        program.name: outcome.rows[task]["base"]
        for task, program in outcome.programs.items()
        if program.hostile == hostile and outcome.rows[task]["base"] not in program.ends
    }


def test_corpus_is_large_enough():
    groups = Counter(program.name.split("/")[0] for program in corpus.programs())
    assert groups.total() >= 100
    assert groups["forging"] >= 30
    assert min(groups.values()) >= 5


def test_every_program_reaches_the_judge_whole(outcome):
    """No extraction may have dropped what a program tries."""
    cut = {
        program.name: program.names - corpus.defined(outcome.rows[task]["solution"])
        for task, program in outcome.programs.items()
        if program.names
    }
    cut = {name: names for name, names in cut.items() if names}
    assert not cut


def test_none_is_forged_and_each_ends_as_expected(outcome):
    assert _found(outcome, hostile=True) == {}


def test_honest_programs_are_unharmed(outcome):
    assert _found(outcome, hostile=False) == {}


def test_nothing_outside_was_reached_or_changed(outcome):
    assert outcome.harm == []
    assert outcome.seen.reached == []


def test_no_secret_is_in_the_log(outcome):
    assert outcome.secret not in outcome.log


def test_no_process_is_left(outcome):
    assert outcome.seen.left == []


def test_checks_end_as_a_whole(outcome):
    """What stays behind in a check is gone when the check is, not only when the box is."""
    late = {
        name: round(last - first, 1)
        for (_, name), (first, last) in outcome.seen.lives.items()
        if last - first > SHORT_LIVED
    }
    assert late == {}


def test_memory_outside_the_boxes_is_bounded(outcome):
    print(
        f"largest {outcome.seen.largest / 2**20:.0f} MiB, together "
        f"{outcome.seen.together / 2**20:.0f} MiB, {outcome.seen.seconds:.0f} s"
    )
    assert 0 < outcome.seen.largest < LARGEST


@pytest.mark.parametrize("name", CONTROLS)
def test_outside_a_box_the_secret_is_found(name, root, tmp_path):
    """The canaries and the programs work: without a sandbox, what only reads does find it."""
    program = next(one for one in corpus.programs() if one.name == name)
    with World(tmp_path, root) as world:
        rows = [corpus.problem("h/0", "number", world.secret)]
        write_jsonl(tmp_path / "suites" / "main" / "problems.jsonl", rows)
        text = world.told(program.text, "main") + "\nprint(solve([1, 2]))\n"
        ran = subprocess.run(
            [sys.executable, "-c", text],
            env=dict(os.environ) | {VARIABLE: world.secret},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.stdout.strip() == str(int(world.secret) + 3), ran.stderr[-1000:]
        if name.startswith("network/"):
            assert world.reached

"""Broken completions and suites: refused in one sentence by the rule that scores them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broken_damage import cut, edit, flip, line, reseal, shut
from broken_material import EVIDENCE, Case, Server, Stage, Worlds, cases
from fixtures.code_suites import write_completions
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import write_jsonl

pytestmark = pytest.mark.slow

TEXTS = {f"s/{n}": f"Return the sum of the first {n} numbers." for n in range(1, 7)}


def write_completed(folder: Path) -> None:
    """A summary suite, and what a model wrote for it."""
    rows = [
        {"id": id_, "messages": [{"role": "user", "content": "?"}], "reference": text}
        for id_, text in TEXTS.items()
    ]
    write_jsonl(folder / "s/items.jsonl", rows)
    write_manifest(folder / "s", "suite")
    write_completions(folder / "c", {"s": TEXTS})


SUMMARY = json.dumps({"suites": {"s": {"kind": "summary", "metrics": ["bleu4"]}}})

STAGES = {
    "score": Stage(
        "score.py",
        ("--completions", "in/c", "--suites", "s=in/s", "--settings", SUMMARY, "--out", "out/r"),
        write_completed,
    ),
}


def completions(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], object]:
    """Change the rows of the completions, whose manifest then fits."""

    def damage(folder: Path) -> None:
        file = folder / "c/s.jsonl"
        rows = [json.loads(text) for text in file.read_text().splitlines()]
        change(rows)
        write_jsonl(file, rows)
        reseal(folder / "c")

    return damage


def sealed(folder: str, damage: Callable[[Path], object]) -> Callable[[Path], object]:
    """Damage a folder and make its manifest fit."""

    def both(inputs: Path) -> None:
        damage(inputs / folder)
        reseal(inputs / folder)

    return both


C, BASE, MIXED = "in/c/s.jsonl", "scores/tiny/base/scores.json", "scores/tiny/mixed"

AGAIN = "delete the completions' manifest and generate them again"

SCORE = [
    Case(
        "a missing id", completions(lambda r: r.pop(2)), (f"{C}: 1 completions missing: s/3", AGAIN)
    ),
    Case(
        "a duplicated id",
        completions(lambda r: r.append(r[1])),
        (f"{C}: 1 completions of ids that come twice: s/2", AGAIN),
    ),
    Case(
        "an unknown id",
        completions(lambda r: r[0].update(id="t/1")),
        (f"{C}: 1 completions of ids that the suite does not have: t/1", AGAIN),
    ),
    Case(
        "no completions",
        completions(lambda r: r.clear()),
        (f"{C}: 6 completions missing: s/1", AGAIN),
    ),
    Case(
        "a number as completion",
        completions(lambda r: r[3].update(completion=7)),
        (f"{C}: row 4: field 'completion' is int, expected str",),
    ),
    Case(
        "a completion without its end",
        completions(lambda r: r[3].pop("stop_reason")),
        (f"{C}: row 4: field 'stop_reason' is missing",),
    ),
    Case(
        "a turn that is a text",
        sealed(
            "s",
            lambda s: line(
                s / "items.jsonl", 2, '{"id": "s/2", "messages": ["hi"], "reference": "x"}'
            ),
        ),
        ("in/s/items.jsonl: row 2: messages: 'hi' is no turn with role and content",),
    ),
    Case(
        "truncated completions",
        sealed("c", lambda c: cut(c / "s.jsonl", 30)),
        (f"{C}:6: not valid JSON", "mend or delete that line"),
    ),
    Case(
        "completions cut off behind the manifest's back",
        lambda i: cut(i / "c/s.jsonl", 30),
        (C, "bytes, but in/c/manifest.json lists", "run again"),
    ),
    Case(
        "completions edited behind the manifest's back",
        lambda i: flip(i / "c/s.jsonl", 30),
        (C, "in/c/manifest.json", "run again"),
    ),
    Case(
        "completions of no permission",
        lambda i: shut(i / "c/s.jsonl"),
        (C, "Permission denied"),
        obedient=True,
    ),
    Case(
        "completions with NUL bytes",
        sealed("c", lambda c: line(c / "s.jsonl", 2, b"\0\0")),
        (f"{C}:2: not valid JSON",),
    ),
    Case(
        "completions in another encoding",
        sealed("c", lambda c: line(c / "s.jsonl", 2, b'{"id": "s/2\xff"}')),
        (f"{C}:2: not UTF-8",),
    ),
    Case(
        "completions of another suite",
        sealed("c", lambda c: (c / "s.jsonl").rename(c / "other.jsonl")),
        (f"{C}: file not found",),
    ),
    Case(
        "a suite without items",
        sealed("s", lambda s: (s / "items.jsonl").write_text("")),
        ("in/s/items.jsonl: holds no items",),
    ),
    Case(
        "an item twice",
        sealed(
            "s",
            lambda s: line(s / "items.jsonl", 2, (s / "items.jsonl").read_text().split("\n")[0]),
        ),
        ("in/s/items.jsonl: row 2: id 's/1' comes twice",),
    ),
    Case(
        "an item without reference",
        sealed("s", lambda s: line(s / "items.jsonl", 2, '{"id": "s/2", "messages": []}')),
        ("in/s/items.jsonl: item 's/2' has no reference",),
    ),
    Case(
        "a reference that is a number",
        sealed(
            "s",
            lambda s: line(s / "items.jsonl", 2, '{"id": "s/2", "messages": [], "reference": 5}'),
        ),
        ("in/s/items.jsonl: row 2: field 'reference' is int",),
    ),
    Case(
        "a suite that is a file",
        lambda i: (
            [f.unlink() for f in (i / "s").iterdir()]
            + [(i / "s").rmdir(), (i / "s").write_text("")]
        ),
        ("in/s",),
    ),
    Case(
        "completions where the suite should be",
        lambda i: edit(i / "s/manifest.json", lambda m: m.update(kind="completions")),
        ("in/s/manifest.json: is a 'completions', expected a 'suite'",),
    ),
]

CASES = {
    "score": SCORE,
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*EVIDENCE) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_broken_completions_are_told_and_the_mended_go_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)

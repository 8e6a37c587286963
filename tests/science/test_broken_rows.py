"""Broken rows and manifests between the stages of data: refused in one sentence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broken_damage import cut, edit, line
from broken_material import Case, Server, Stage, Worlds, cases
from mixmerge.artifacts.manifest import write_manifest

pytestmark = pytest.mark.slow

ROWS = [
    {"id": f"r{n}", "problem": f"Add {n} to x.", "solution": f"def f{n}(x):\n    return x + {n}"}
    for n in range(1, 9)
]

TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)


def write_rows(folder: Path) -> None:
    """A fetched source."""
    (folder / "s").mkdir()
    (folder / "s/rows.jsonl").write_text(TEXT)
    write_manifest(folder / "s", "rows", {"rows": len(ROWS)})


def write_task(folder: Path) -> None:
    """A prepared task, decontaminated."""
    (folder / "write").mkdir()
    rows = [
        {
            "id": row["id"],
            "task": "write",
            "source": "s",
            "messages": [
                {"role": "user", "content": row["problem"]},
                {"role": "assistant", "content": row["solution"]},
            ],
        }
        for row in ROWS
    ]
    (folder / "write/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_manifest(folder / "write", "rows", {"rows": len(rows)})


PREPARE = {
    "templates": {"prompt": "Write: {problem}", "answer": "{solution}"},
    "columns": {"s": {"id_column": "id"}},
    "deduplicate": True,
}

STAGES = {
    "prepare": Stage(
        "prepare.py",
        (
            "--task",
            "write",
            "--sources",
            "s=in/s",
            "--settings",
            json.dumps(PREPARE),
            "--out",
            "out/write",
        ),
        write_rows,
    ),
    "split": Stage(
        "split.py",
        ("--rows", "in/write", "--fraction", "0.25", "--seed", "1", "--out", "out/write"),
        write_task,
    ),
}


def row(number: int, **changed: Any) -> str:
    return json.dumps(ROWS[number - 1] | changed)


def only(folder: Path, count: int) -> None:
    """The first rows alone, and a manifest that says so."""
    rows = (folder / "rows.jsonl").read_text().splitlines(keepends=True)[:count]
    (folder / "rows.jsonl").write_text("".join(rows))
    write_manifest(folder, "rows", {"rows": count})


def fewer(folder: Path) -> None:
    """A row taken out by hand, the sums in the manifest mended but not what it counts."""
    only(folder, 7)
    write_manifest(folder, "rows", {"rows": 8})


def resealed(folder: Path, number: int, text: str | bytes) -> None:
    """Edited by hand, its manifest made to fit."""
    line(folder / "rows.jsonl", number, text)
    facts = json.loads((folder / "manifest.json").read_text())["facts"]
    write_manifest(folder, "rows", facts)


PREPARING = [
    Case(
        "a list in a column",
        lambda i: resealed(i / "s", 2, row(2, solution=["a"])),
        ("in/s/rows.jsonl:2: column 'solution' of source 's' holds", "reach into it"),
    ),
    Case(
        "null in a column",
        lambda i: resealed(i / "s", 3, row(3, problem=None)),
        ("in/s/rows.jsonl:3: empty prompt", "on_empty: drop"),
    ),
    Case(
        "a column missing in one row",
        lambda i: resealed(i / "s", 4, json.dumps({"id": "r4", "problem": "x"})),
        ("in/s/rows.jsonl:4: source 's' has no column 'solution'", "it has 'id', 'problem'"),
    ),
    Case(
        "null as id",
        lambda i: resealed(i / "s", 5, row(5, id=None)),
        ("in/s/rows.jsonl:5: the id in column 'id' is None", "Leave sources.s.id_column out"),
    ),
    Case(
        "a duplicate id",
        lambda i: resealed(i / "s", 6, row(6, id="r2")),
        ("in/s/rows.jsonl:6: duplicate id 'r2'", "line 2 has it too"),
    ),
    Case(
        "rows cut off",
        lambda i: cut(i / "s/rows.jsonl", 50),
        ("in/s/rows.jsonl", "bytes, but in/s/manifest.json lists", "run again"),
    ),
    Case(
        "no manifest",
        lambda i: (i / "s/manifest.json").unlink(),
        ("in/s/manifest.json: no manifest", "Run its rule again"),
    ),
    Case(
        "a truncated manifest",
        lambda i: cut(i / "s/manifest.json", 40),
        ("in/s/manifest.json:", "not valid JSON"),
    ),
    Case(
        "another kind of manifest",
        lambda i: edit(i / "s/manifest.json", lambda m: m.update(kind="suite")),
        ("in/s/manifest.json: is a 'suite', expected a 'rows'",),
    ),
    Case(
        "a manifest that is a list",
        lambda i: (i / "s/manifest.json").write_text("[]"),
        ("in/s/manifest.json: is no manifest", "run again"),
    ),
    Case(
        "a manifest without files",
        lambda i: edit(i / "s/manifest.json", lambda m: m.pop("files")),
        ("in/s/manifest.json: is no manifest", "run again"),
    ),
    Case(
        "a manifest of another version",
        lambda i: edit(i / "s/manifest.json", lambda m: m.update(files=["rows.jsonl"])),
        ("in/s/manifest.json: is no manifest", "run again"),
    ),
    Case(
        "a manifest without its facts",
        lambda i: edit(i / "s/manifest.json", lambda m: m.update(facts={})),
        ("in/s/manifest.json", "'rows'", "run again"),
    ),
    Case(
        "a manifest that names files elsewhere",
        lambda i: edit(
            i / "s/manifest.json",
            lambda m: m["files"].update({"../../x": {"bytes": 1, "sha256": ""}}),
        ),
        ("in/s/manifest.json", "'../../x'"),
    ),
]

SPLITTING = [
    Case(
        "one row",
        lambda i: only(i / "write", 1),
        ("in/write/rows.jsonl: task 'write' has 1 row", "needs two"),
    ),
    Case(
        "a row without id",
        lambda i: resealed(i / "write", 3, '{"task": "write"}'),
        ("in/write/rows.jsonl:3: 'id' is missing", "run again"),
    ),
    Case(
        "fewer rows than its manifest says",
        lambda i: fewer(i / "write"),
        ("in/write/rows.jsonl: holds 7 rows", "counts 8", "run again"),
    ),
]

CASES = {
    "prepare": PREPARING,
    "split": SPLITTING,
}

MODULES = ("numpy", "pyarrow.parquet", "mixmerge.config.study", "mixmerge.data.prepare")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_broken_rows_are_told_and_the_mended_go_on(worlds: Worlds, stage: str, case: Case) -> None:
    worlds.check(stage, STAGES[stage], case)

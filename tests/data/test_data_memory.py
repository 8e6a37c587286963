"""Peak memory does not follow the number of rows: each stage runs in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
TEMPLATES = {"prompt": "Do:\n{q}", "answer": "{a}"}


def peak(name, *arguments):
    """Peak resident memory of one script, in bytes."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, name
    return usage.ru_maxrss * (1024 if sys.platform == "linux" else 1)


def stages(root, rows):
    """Run every stage on ``rows`` rows of about 2 kB; stage -> peak memory."""
    root.mkdir()
    text = "word " * 200
    with (root / "rows.jsonl").open("w") as file:
        for number in range(rows):
            file.write(json.dumps({"q": f"{number} {text}", "a": f"{text} {number}"}) + "\n")
    source = json.dumps({"kind": "local", "path": str(root / "rows.jsonl"), "limit": rows})
    held = root / "held"
    suite = json.dumps({"suite": {"kind": "summary", "source": "held"}, "templates": TEMPLATES})
    small = json.dumps({"kind": "local", "path": str(root / "item.jsonl")})
    (root / "item.jsonl").write_text('{"q": "a b c d e f g h i j k", "a": "x"}\n')
    peak("fetch", "--source", "s", "--settings", small, "--out", root / "item")
    peak("heldout", "--settings", suite, "--source", root / "item", "--out", held)
    task = json.dumps({"templates": TEMPLATES, "columns": {"src": {}}})
    seed = ["--seed", 1]
    given = ["--sources", f"src={root / 'src'}", "--out", root / "task"]
    both = ["--tasks", f"t={root / 'split'}", "--percent", 100, "--subset-seeds", "t=1"]
    return {
        "fetch": peak("fetch", "--source", "s", "--settings", source, "--out", root / "src"),
        "prepare": peak("prepare", "--task", "t", "--settings", task, *given),
        "decontaminate": peak(
            "decontaminate",
            *["--rows", root / "task", "--heldout", f"s={held}"],
            *["--settings", "{}", "--out", root / "clean"],
        ),
        "split": peak(
            "split", "--rows", root / "clean", "--fraction", 0.1, *seed, "--out", root / "split"
        ),
        "subset": peak(
            "subset", "--rows", root / "split", "--percent", 50, *seed, "--out", root / "half"
        ),
        "mix": peak("mix", *both, *seed, "--out", root / "mix"),
    }


@pytest.mark.slow
def test_memory_stays_while_rows_grow(tmp_path):
    few, many = stages(tmp_path / "few", 2_000), stages(tmp_path / "many", 40_000)
    grown = (tmp_path / "many" / "src" / "rows.jsonl").stat().st_size
    assert grown > 75e6
    for stage, before in few.items():
        growth = many[stage] - before
        # Per row: digests (prepare), 8-byte ranks (split, subset, mix). `mix` also sorts one
        # bucket of at most 64 MiB in memory; all others hold one row at a time.
        allowed = 40_000 * 250 + (4 << 20) + ((100 << 20) if stage == "mix" else 0)
        assert growth < allowed, f"{stage}: {growth / 2**20:.0f} MiB more for 38,000 rows more"

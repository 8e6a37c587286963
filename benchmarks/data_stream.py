"""Time and peak memory of the data stage on many rows.

Writes synthetic rows of two tasks into a temporary directory, then runs each rule's script in a
process of its own, as Snakemake does, and prints rows a second and the peak resident memory.

    python benchmarks/data_stream.py [--rows 700000] [--characters 1500] [--keep DIR]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow" / "scripts"
WORDS = [f"{a}{b}" for a in ("load", "parse", "merge", "split", "find") for b in range(2000)]


def generate(path: Path, rows: int, characters: int, seed: int) -> None:
    """Write rows of about ``characters`` characters; each tenth repeats the one before."""
    rng = random.Random(seed)
    row = ""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            if number % 10 != 9:
                words = rng.choices(WORDS, k=characters // 9)
                half = len(words) // 2
                row = json.dumps({"q": " ".join(words[:half]), "a": " ".join(words[half:])})
            file.write(row + "\n")


def run(name: str, rows: int, *arguments: str) -> None:
    """Run one script and print what it took."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments], stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    errors = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{name} failed:\n{errors[-2000:]}")
    memory = usage.ru_maxrss / 1024
    print(
        f"| {name} | {rows:,} | {seconds:.1f} | {rows / seconds:,.0f} | {memory:,.0f} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=700_000)
    parser.add_argument("--characters", type=int, default=1500)
    parser.add_argument("--items", type=int, default=25_834, help="held-out rows (CodeXGLUE's)")
    parser.add_argument("--keep", type=Path, help="work here and keep the files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stages(given.keep or Path(scratch), given.rows, given.characters, given.items)


def stages(root: Path, rows: int, characters: int, items: int) -> None:
    """All stages of one task of ``rows`` rows, then a mixture with a second, small one."""
    data = root / "data"
    data.mkdir(parents=True, exist_ok=True)
    sizes = {"large": rows, "small": max(10, rows // 100), "held": items}
    templates = {"prompt": "Write this:\n{q}", "answer": "{a}"}
    print("| stage | rows | s | rows/s | peak RSS, MB |\n|---|---|---|---|---|")
    for seed, (name, count) in enumerate(sizes.items()):
        source = data / f"{name}.jsonl"
        generate(source, count, characters, seed)
        settings = json.dumps({"kind": "local", "path": str(source)})
        given = ["--source", name, "--settings", settings, "--out", str(data / "sources" / name)]
        run("fetch", count, *given)
        source.unlink()
    held = data / "heldout" / "suite"
    settings = json.dumps({"suite": {"kind": "summary", "source": "held"}, "templates": templates})
    source = data / "sources" / "held"
    run("heldout", items, "--settings", settings, "--source", str(source), "--out", str(held))
    for name in ("large", "small"):
        count = sizes[name]
        tasks, clean, split = (data / part / name for part in ("tasks", "clean", "split"))
        settings = json.dumps({"templates": templates, "columns": {name: {}}})
        source = data / "sources" / name
        given = ["--settings", settings, "--sources", f"{name}={source}", "--out", str(tasks)]
        run("prepare", count, "--task", name, *given)
        given = ["--rows", str(tasks), "--heldout", f"suite={held}", "--out", str(clean)]
        run("decontaminate", count, "--settings", "{}", *given)
        run("split", count, *_seeded(clean, split), "--fraction", "0.1")
        half = data / "sets" / f"{name}-p50"
        run("subset", count, *_seeded(split, half), "--percent", "50")
    splits = [f"{name}={data / 'split' / name}" for name in ("large", "small")]
    given = ["--tasks", *splits, "--weights", '{"small": 2.5}', "--percent", "100", "--seed", "1"]
    mixed = data / "sets" / "mix-p100"
    run("mix", rows, *given, "--subset-seeds", '{"large": 1, "small": 1}', "--out", str(mixed))


def _seeded(rows: Path, out: Path) -> list[str]:
    return ["--rows", str(rows), "--out", str(out), "--seed", "1"]


if __name__ == "__main__":
    main()

"""Time and peak memory of scoring 25,000 summary pairs.

    python benchmarks/summaries.py --nltk-data results/nltk_data [--pairs 25000] [--runs 3]

References are docstrings of the installed packages, predictions the same with words dropped,
repeated and replaced. `workflow/scripts/score.py` scores them as a study does; the peer is a loop
over nltk, sacrebleu and rouge-score, as one would write it. Times include starting Python and
loading WordNet. Exits with 1 unless all rows are equal.
"""

import argparse
import ast
import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import read_jsonl, write_json, write_jsonl
from mixmerge.evaluate.normalisation import normalise

_SCORE = Path(__file__).resolve().parents[1] / "workflow/scripts/score.py"
_METRICS = ["bleu4", "chrfpp", "rouge_l", "meteor"]


def docstrings() -> Iterator[str]:
    """Docstrings of the installed packages' functions, up to 300 words each, no two alike."""
    seen: set[str] = set()
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                if 3 <= len(text.split()) <= 300 and text not in seen:
                    seen.add(text)
                    yield text


def pairs(count: int) -> list[tuple[str, str]]:
    """So many (prediction, reference)."""
    found: list[str] = []
    for text in docstrings():
        found.append(text)
        if len(found) == count:
            break
    dice = random.Random(0)
    references = dice.sample(found, len(found))
    words = " ".join(references).split()
    made = []
    for reference in references:
        kept = [word for word in reference.split() if dice.random() < 0.8]
        edited = [dice.choice(words) if dice.random() < 0.2 else word for word in kept]
        made.append((" ".join(edited) or "None", reference))
    return made


def peer(path: Path, nltk_data: Path) -> list[dict[str, Any]]:
    """The metrics as one would write them down, one pair after another."""
    import nltk

    nltk.data.path[:] = [str(nltk_data)]
    from nltk.tokenize import word_tokenize
    from nltk.translate.bleu_score import sentence_bleu
    from nltk.translate.meteor_score import meteor_score
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import sentence_chrf

    warnings.simplefilter("ignore")
    rouge = RougeScorer(["rougeL"], use_stemmer=False)
    rows = []
    for row in read_jsonl(path):
        prediction, reference = normalise(row["prediction"]), normalise(row["reference"])
        if not prediction or not reference:
            rows.append({"id": row["id"], **dict.fromkeys(_METRICS, 0.0)})
            continue
        meteor = meteor_score(
            [word_tokenize(reference)], word_tokenize(prediction), alpha=0.9, beta=3, gamma=0.5
        )
        rows.append(
            {
                "id": row["id"],
                "bleu4": float(sentence_bleu([reference.split()], prediction.split())),
                "chrfpp": float(sentence_chrf(prediction, [reference], word_order=2).score) / 100,
                "rouge_l": float(rouge.score(reference, prediction)["rougeL"].fmeasure),
                "meteor": float(meteor),
            }
        )
    return rows


def write_study(work: Path, made: list[tuple[str, str]]) -> None:
    """A suite and completions as `score.py` takes them, and the pairs for the peer."""
    ids = [f"s/{number}" for number in range(len(made))]
    named = list(zip(ids, made, strict=True))
    write_jsonl(
        work / "pairs.jsonl", ({"id": i, "prediction": p, "reference": r} for i, (p, r) in named)
    )
    prompt = [{"role": "user", "content": "?"}]
    write_jsonl(
        work / "suite/items.jsonl",
        ({"id": i, "messages": prompt, "reference": r} for i, (_, r) in named),
    )
    write_manifest(work / "suite", "suite")
    ended = {"stop_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
    write_jsonl(
        work / "completions/s.jsonl", ({"id": i, "completion": p, **ended} for i, (p, _) in named)
    )
    write_manifest(work / "completions", "completions")


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds, and the peak memory of the process and its children, in MB.

    Shared pages count once (proportional set size).
    """
    started = time.perf_counter()
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed with the process
    process = subprocess.Popen(command, stderr=errors)
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.5):
            peak = max(peak, sum(_resident(pid) for pid in _tree(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if status:
        errors.seek(0)
        sys.exit(f"{command}: failed with {status}:\n{errors.read()[-2000:]}")
    return seconds, peak / 1024


def _tree(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return [pid]
    return [pid, *(other for child in text.split() for other in _tree(int(child)))]


def _resident(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return float(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nltk-data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=25_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        write_json(given.peer / "peer.json", peer(given.peer / "pairs.jsonl", given.nltk_data))
        return
    with tempfile.TemporaryDirectory(prefix="mixmerge-summaries-") as folder:
        work = Path(folder)
        write_study(work, pairs(given.pairs))
        settings = json.dumps({"suites": {"s": {"kind": "summary", "metrics": _METRICS}}})
        nltk_data = ["--nltk-data", str(given.nltk_data)]

        commands = {
            "nltk, sacrebleu, rouge-score in a loop": [
                *(sys.executable, __file__, *nltk_data, "--peer", str(work)),
            ],
            "score.py": [
                *(sys.executable, str(_SCORE), *nltk_data, "--settings", settings),
                *("--completions", str(work / "completions"), "--suites", f"s={work / 'suite'}"),
                *("--out", str(work / "scores")),
            ],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(given.runs):
            for name, command in commands.items():
                found[name].append(measured(command))
        print(f"{given.pairs} pairs, {given.runs} runs, load {os.getloadavg()[0]:.1f}\n")
        print("| what | seconds (median) | all runs | pairs/s | peak memory, MB |")
        print("|---|---|---|---|---|")
        for name, runs in found.items():
            seconds = statistics.median(one for one, _ in runs)
            every = ", ".join(f"{one:.0f}" for one, _ in runs)
            memory = max(peak for _, peak in runs)
            rate = given.pairs / seconds
            print(f"| {name} | {seconds:.1f} | {every} | {rate:.0f} | {memory:.0f} |")
        expected = json.loads((work / "peer.json").read_text(encoding="utf-8"))
        if list(read_jsonl(work / "scores/s.jsonl")) != expected:
            sys.exit("score.py: rows differ from the peer's")


if __name__ == "__main__":
    main()

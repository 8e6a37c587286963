"""Time of scoring 563 published completions, against `evalplus.evaluate`, in the same run.

    MIXMERGE_DATA=DIR python benchmarks/scoring.py --work DIR [--runs 3]

Both start from raw completions with cached ground truths and use the same number of processes, in
turns. Ours is `workflow/scripts/score.py` as a study runs it: sandbox, extraction (which EvalPlus
leaves to another command), time-outs run again. Prints medians and their ratio; exits with 1 if
ours is not 2.5 times as fast.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from published import Published, published

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import read_json, read_jsonl, write_jsonl
from mixmerge.evaluate.settings import ScoreSettings

#: EvalPlus's time over ours.
_WANTED = 2.5
_SCORE = Path(__file__).resolve().parents[1] / "workflow/scripts/score.py"


def ours(work: Path, suites: list[Published], processes: int) -> list[list[str]]:
    """The command, after writing what it reads: suites and completions."""
    for suite in suites:
        prompt = [{"role": "user", "content": "?"}]
        rows = list(read_jsonl(suite.samples))
        folder = work / "suites" / suite.name
        items = ({"id": row["task_id"], "messages": prompt, "reference": None} for row in rows)
        write_jsonl(folder / "items.jsonl", items)
        shutil.copy(suite.problems, folder / "problems.jsonl")
        write_manifest(folder, "suite")
        ended = {"stop_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
        completions = (
            {"id": row["task_id"], "completion": row["completion"], **ended} for row in rows
        )
        write_jsonl(work / f"completions/{suite.name}.jsonl", completions)
    write_manifest(work / "completions", "completions")
    judging = {suite.name: {"kind": "code", "dataset": suite.name} for suite in suites}
    settings = ScoreSettings.model_validate({"suites": judging}).model_dump_json()
    return [
        [
            *(sys.executable, str(_SCORE), "--completions", str(work / "completions")),
            *("--suites", *(f"{suite.name}={work / 'suites' / suite.name}" for suite in suites)),
            *("--groundtruth", *(f"{suite.name}={suite.truth}" for suite in suites)),
            *("--settings", settings, "--processes", str(processes), "--out", str(work / "scores")),
        ]
    ]


def theirs(work: Path, suites: list[Published], processes: int) -> list[list[str]]:
    """EvalPlus's commands, one a suite, on copies of the samples beside which it writes."""
    commands = []
    for suite in suites:
        samples = work / f"{suite.name}.jsonl"
        shutil.copy(suite.samples, samples)
        commands.append(
            [
                *(sys.executable, "-m", "evalplus.evaluate", "--dataset", suite.name),
                *("--samples", str(samples), "--parallel", str(processes)),
            ]
        )
    return commands


def measured(commands: list[list[str]], environment: dict[str, str], work: Path) -> float:
    """Seconds by the clock of commands one after another.

    Not their processor time: what runs in a box is not added to that of the process outside.
    """
    for old in work.glob("*_eval_results.json"):
        old.unlink()
    started = time.perf_counter()
    for command in commands:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{command[:4]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps the ground truths")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    work = given.work.resolve()
    suites = published(work, given.processes)
    environment = os.environ | {"XDG_CACHE_HOME": str(work / "cache"), "OMP_NUM_THREADS": "1"}
    environment["MIXMERGE_FORCE"] = "1"  # ours would find that all is made already
    for suite in suites:
        environment[f"{suite.name.upper()}_OVERRIDE_PATH"] = str(suite.problems)
    commands = {
        "evalplus.evaluate": theirs(work, suites, given.processes),
        "score.py": ours(work, suites, given.processes),
    }
    if not list((work / "cache").glob("evalplus/*.pkl")):
        measured(commands["evalplus.evaluate"], environment, work)  # makes its ground truths
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(given.runs):
        for name, lines in commands.items():
            found[name].append(measured(lines, environment, work))
            print(
                f"{name}: {found[name][-1]:.1f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr
            )
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"{given.processes} processes each, {given.runs} runs, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| command | seconds (median) | all runs |")
    print("|---|---|---|")
    wall = {name: statistics.median(runs) for name, runs in found.items()}
    for name, runs in found.items():
        print(f"| `{name}` | {wall[name]:.1f} | {', '.join(f'{one:.1f}' for one in runs)} |")
    ratio = wall["evalplus.evaluate"] / wall["score.py"]
    print(f"\nOurs is {ratio:.2f} times as fast by the clock (at least {_WANTED} wanted).")
    for name, entry in read_json(work / "scores/scores.json").items():
        print(f"{name}: {entry['metrics']}, {entry['timeouts']} time-outs")
    sys.exit(ratio < _WANTED)


if __name__ == "__main__":
    main()

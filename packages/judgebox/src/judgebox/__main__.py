"""The command ``judgebox``, also ``python -m judgebox``: see its parser."""

import argparse
import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from judgebox import SetupError, evalplus
from judgebox.detect import available
from judgebox.judging import PASS, Clocks, Program, judge
from judgebox.runtime import PACKAGES
from judgebox.workers import Workers

#: EvalPlus's releases of its problem files, as it caches them.
_CACHED = {"humaneval": "HumanEvalPlus-v0.1.10.jsonl", "mbpp": "MbppPlus-v0.2.0.jsonl"}
#: Processor time of a canonical solution under its own tests: as good as no limit.
_NO_LIMIT = Clocks(1000.0, 1.0)
#: Progress, on a terminal.
_bar = partial(tqdm, disable=None)


def main() -> int:
    """Run a subcommand; returns the exit code."""
    options = _parser().parse_args()
    try:
        if options.command == "evaluate":
            return _evaluate(options)
        statuses = available()
        for status in statuses:
            print(f"{status.label}: {'works' if status.works else status.reason}")
        return 0 if any(status.works for status in statuses) else 1
    except SetupError as error:
        print(f"judgebox: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="judgebox", description="Judge generated programs.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say which sandboxes this machine offers")
    add = commands.add_parser(
        "evaluate",
        help="judge samples by HumanEval+, MBPP+ or any problems in EvalPlus's format",
        description="Judge samples in a sandbox; write *_eval_results.json and print pass@k.",
    ).add_argument
    add("--samples", type=Path, required=True, metavar="FILE", help="EvalPlus's samples.jsonl")
    oracles = "whose special oracles and types of inputs apply"
    add("--dataset", choices=["humaneval", "mbpp", "other"], required=True, help=oracles)
    problems = "problem file, .jsonl or .jsonl.gz; by default what EvalPlus has cached"
    add("--problems", type=Path, metavar="FILE", help=problems)
    add("--output", type=Path, metavar="FILE", help="by default SAMPLES_eval_results.json")
    add("--overwrite", action="store_true", help="replace results that are there")
    add("--base-only", action="store_true", help="run the base tests only")
    add("--parallel", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N")
    add("--min-time-limit", type=float, default=1.0, metavar="SECONDS")
    add("--gt-time-limit-factor", type=float, default=4.0, metavar="FACTOR")
    add("--memory-bytes", type=int, default=Clocks().memory_bytes, metavar="N")
    packages = "distributions that programs may import"
    add("--packages", nargs="*", default=[*PACKAGES], metavar="NAME", help=packages)
    return parser


def _evaluate(options: argparse.Namespace) -> int:
    """Judge the samples and write the result file; returns the exit code."""
    output = options.output or options.samples.with_name(
        options.samples.name.removesuffix(".jsonl") + "_eval_results.json"
    )
    if output.exists() and not options.overwrite:
        raise SetupError(f"{output}: is there already; --overwrite replaces it")
    if options.parallel < 1:
        raise SetupError(f"--parallel: {options.parallel} is less than 1")
    source, plus = options.problems or _cached(options.dataset), not options.base_only
    problems = evalplus.checked_problems(evalplus.read_jsonl(source), source, plus)
    samples = evalplus.read_samples(options.samples, problems)
    clocks = Clocks(options.min_time_limit, options.gt_time_limit_factor, options.memory_bytes)
    checks = []
    with (
        tempfile.TemporaryDirectory(prefix="judgebox-cases-") as folder,
        Workers(options.parallel, options.packages, patience=3600) as workers,
    ):
        cases = {task: Path(folder, f"{number}.tests") for number, task in enumerate(problems)}
        _make_cases(workers, problems, cases, options, source)
        for task, code in samples:
            entry_point, atol = problems[task]["entry_point"], problems[task]["atol"]
            program = Program(code, entry_point, options.dataset, atol)
            check = partial(judge, program=program, cases=cases[task], clocks=clocks)
            checks.append(partial(check, every_set=True))
        answers = dict(_bar(workers.judged(checks), "samples", len(checks)))
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, (task, code) in enumerate(samples):
        outcomes = answers[number] or {}  # none where it has brought down its judge twice
        row = evalplus.result_row(problems[task], code, outcomes, options.dataset, plus)
        rows[task].append(row)
    text = source.read_bytes()
    text = gzip.decompress(text) if source.suffix == ".gz" else text
    content = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "hash": hashlib.md5(text, usedforsecurity=False).hexdigest(),
        "eval": rows,
    }
    output.write_text(json.dumps(content), encoding="utf-8")
    for tests in [" (base tests)", "+ (base + extra tests)"][: 1 + plus]:
        print(options.dataset + tests)
        for k, share in evalplus.pass_at_k(rows, tests.startswith("+")).items():
            print(f"pass@{k}:\t{share:.3f}")
    return 0


def _make_cases(
    workers: Workers,
    problems: dict[str, evalplus.Problem],
    cases: dict[str, Path],
    options: argparse.Namespace,
    source: Path,
) -> None:
    """Write test cases of each problem; its canonical solution should pass them."""
    tasks, oracle, memory = [*problems], options.dataset, options.memory_bytes
    requests = [
        evalplus.expect_request(row, oracle, not options.base_only, cases[task], memory)
        for task, row in problems.items()
    ]
    for number, recording in _bar(workers.answers(requests), "expected outputs", len(tasks)):
        error = "no answer" if recording is None else recording.reason
        if error:
            where = f"{source}: {tasks[number]}"
            raise SetupError(f"{where}: the canonical solution failed on its own inputs ({error})")
    checks = []
    for request in requests:
        program, file = request.keywords["program"], request.keywords["cases"]
        checks.append(partial(judge, program=program, cases=file, clocks=_NO_LIMIT, alone=False))
    for number, outcomes in _bar(workers.answers(checks), "canonical solutions", len(tasks)):
        if outcomes is None or any(outcome.verdict != PASS for outcome in outcomes.values()):
            words = "the canonical solution does not pass its own tests when run again"
            print(f"judgebox: warning: {tasks[number]}: {words}", file=sys.stderr)


def _cached(dataset: str) -> Path:
    """The problem file in EvalPlus's cache, else `SetupError`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "evalplus")
    path = cache / _CACHED.get(dataset, "other.jsonl")
    if dataset not in _CACHED or not path.is_file():
        way_out = "give the problem file, such as HumanEvalPlus.jsonl.gz of EvalPlus's releases"
        raise SetupError(f"--problems: missing, and EvalPlus has not cached {path}; {way_out}")
    return path


if __name__ == "__main__":
    sys.exit(main())

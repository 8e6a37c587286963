"""``judgebox evaluate``: what ``evalplus.evaluate`` does, with programs in a sandbox."""

import argparse
import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgebox import evalplus
from judgebox.judging import PASS, Program
from judgebox.runtime import PACKAGES, SetupError
from judgebox.verdict import Clocks
from judgebox.workers import WorkerDied, Workers, judge_request, needs_another_run

#: EvalPlus's releases of its problem files, as it caches them.
_CACHED = {"humaneval": "HumanEvalPlus-v0.1.10.jsonl", "mbpp": "MbppPlus-v0.2.0.jsonl"}
#: Processor time of a canonical solution under its own tests: as good as no limit.
_NO_LIMIT = Clocks(1000.0, 1.0)


def add_command(commands: Any) -> None:
    """Add ``judgebox evaluate`` to the command's parser.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    parser = commands.add_parser(
        "evaluate",
        help="judge samples by HumanEval+, MBPP+ or any problems in EvalPlus's format",
        description="Judge samples in a sandbox; write *_eval_results.json and print pass@k.",
    )
    parser.set_defaults(run=_evaluate)
    add = parser.add_argument
    add("--samples", type=Path, required=True, metavar="FILE", help="EvalPlus's samples.jsonl")
    add(
        "--dataset",
        choices=["humaneval", "mbpp", "other"],
        required=True,
        help="whose special oracles and types of inputs apply",
    )
    add(
        "--problems",
        type=Path,
        metavar="FILE",
        help="problem file, .jsonl or .jsonl.gz; by default what EvalPlus has cached",
    )
    add("--output", type=Path, metavar="FILE", help="by default SAMPLES_eval_results.json")
    add("--overwrite", action="store_true", help="replace results that are there")
    add("--base-only", action="store_true", help="run the base tests only")
    add("--parallel", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N")
    add("--min-time-limit", type=float, default=1.0, metavar="SECONDS")
    add("--gt-time-limit-factor", type=float, default=4.0, metavar="FACTOR")
    add("--memory-bytes", type=int, default=Clocks().memory_bytes, metavar="N")
    add(
        "--packages",
        nargs="*",
        default=[*PACKAGES],
        metavar="NAME",
        help="distributions that programs may import",
    )


def _evaluate(options: argparse.Namespace) -> int:
    """Judge the samples and write the result file; returns the exit code."""
    output = options.output or options.samples.with_name(
        options.samples.name.removesuffix(".jsonl") + "_eval_results.json"
    )
    if output.exists() and not options.overwrite:
        raise SetupError(f"{output}: is there already; --overwrite replaces it")
    if options.parallel < 1:
        raise SetupError(f"--parallel: {options.parallel} is less than 1")
    plus = not options.base_only
    source = options.problems or _cached(options.dataset)
    problems = evalplus.checked_problems(evalplus.read_jsonl(source), source, plus)
    samples = evalplus.read_samples(options.samples, problems)
    clocks = Clocks(options.min_time_limit, options.gt_time_limit_factor, options.memory_bytes)
    with (
        tempfile.TemporaryDirectory(prefix="judgebox-cases-") as folder,
        Workers(options.parallel, options.memory_bytes, options.packages, patience=3600) as workers,
    ):
        oracle = options.dataset
        cases = _expected_outputs(workers, problems, oracle, plus, Path(folder), source)
        rows = _judged(workers, problems, samples, cases, oracle, plus, clocks)
    content = evalplus.results(rows, _digest(source))
    output.write_text(json.dumps(content), encoding="utf-8")
    print(f"{oracle} (base tests)")
    _print_shares(evalplus.pass_at_k(rows, plus=False))
    if plus:
        print(f"{oracle}+ (base + extra tests)")
        _print_shares(evalplus.pass_at_k(rows, plus=True))
    return 0


def _expected_outputs(
    workers: Workers,
    problems: dict[str, evalplus.Problem],
    oracle: str,
    plus: bool,
    folder: Path,
    source: Path,
) -> dict[str, Path]:
    """Test cases of each problem, which its canonical solution passes."""
    tasks = [*problems]
    cases = {task: folder / f"{number}.tests" for number, task in enumerate(tasks)}
    requests = [
        evalplus.expect_request(
            problem, oracle, plus, cases[task].with_suffix(".draft"), cases[task]
        )
        for task, problem in problems.items()
    ]
    for number, answer in _shown(workers, requests, "expected outputs"):
        error = "no answer" if isinstance(answer, WorkerDied) else answer["error"]
        if error:
            raise SetupError(
                f"{source}: {tasks[number]}: the canonical solution failed on its own inputs "
                f"({error})"
            )
    checks = [
        judge_request(cases[task], evalplus.reference_program(problem, oracle), _NO_LIMIT)
        for task, problem in problems.items()
    ]
    for number, answer in _shown(workers, checks, "canonical solutions"):
        passed = not isinstance(answer, WorkerDied) and {*answer["verdicts"].values()} == {PASS}
        if not passed:
            print(f"judgebox: warning: {tasks[number]}: the canonical solution does not pass its "
                  "own tests when run again", file=sys.stderr)  # fmt: skip
    return cases


def _judged(
    workers: Workers,
    problems: dict[str, evalplus.Problem],
    samples: dict[str, list[str]],
    cases: dict[str, Path],
    oracle: str,
    plus: bool,
    clocks: Clocks,
) -> dict[str, list[dict[str, Any]]]:
    """The result file's entries: task id -> a row a sample."""
    pairs = [(task, code) for task, programs in samples.items() for code in programs]
    requests = [
        judge_request(
            cases[task],
            Program(code, problems[task]["entry_point"], oracle, problems[task]["atol"]),
            clocks,
            every_set=True,
        )
        for task, code in pairs
    ]
    answers = dict(_shown(workers, requests, "samples"))
    again = [number for number, answer in answers.items() if needs_another_run(answer)]
    for number in sorted(again):  # one after another: each has the machine to itself
        for _, answer in workers.answers([requests[number] | {"alone": True}]):
            answers[number] = answer
    rows: dict[str, list[dict[str, Any]]] = {task: [] for task in samples}
    for number, (task, code) in enumerate(pairs):
        answer = answers[number]
        if isinstance(answer, WorkerDied):  # a program that brings down its judge twice
            answer = {"verdicts": dict.fromkeys(("base", "plus"), "fail"), "failed": {}}
        rows[task].append(evalplus.result_row(problems[task], code, answer, oracle, plus))
    return rows


def _shown(workers: Workers, requests: Sequence[dict[str, Any]], what: str) -> Any:
    """The answers, counted on a terminal."""
    for done, answer in enumerate(workers.answers(requests), start=1):
        if sys.stderr.isatty():
            print(f"\r{what}: {done}/{len(requests)}", end="", file=sys.stderr, flush=True)
        yield answer
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _print_shares(shares: dict[int, float]) -> None:
    for k, share in shares.items():
        print(f"pass@{k}:\t{share:.3f}")


def _cached(dataset: str) -> Path:
    """The problem file in EvalPlus's cache.

    Raises:
        SetupError: there is none.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "evalplus")
    path = cache / _CACHED.get(dataset, "other.jsonl")
    if dataset not in _CACHED or not path.is_file():
        raise SetupError(
            f"--problems: missing, and EvalPlus has cached nothing as {path}; give the problem "
            "file (.jsonl or .jsonl.gz), such as HumanEvalPlus.jsonl.gz of EvalPlus's releases"
        )
    return path


def _digest(path: Path) -> str:
    """MD5 of a problem file's text, which EvalPlus calls its hash."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return hashlib.md5(data, usedforsecurity=False).hexdigest()

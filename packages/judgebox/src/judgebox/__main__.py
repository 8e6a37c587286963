"""The command ``judgebox``, also ``python -m judgebox``.

``check`` says which sandboxes a machine offers. ``evaluate`` does what ``evalplus.evaluate`` does,
with programs in a sandbox.
"""

import argparse
import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from judgebox import SetupError, evalplus
from judgebox.detect import available
from judgebox.judging import FAIL, PASS, Clocks, Program
from judgebox.runtime import PACKAGES
from judgebox.workers import WorkerDied, Workers, judge_request, needs_another_run

#: EvalPlus's releases of its problem files, as it caches them.
_CACHED = {"humaneval": "HumanEvalPlus-v0.1.10.jsonl", "mbpp": "MbppPlus-v0.2.0.jsonl"}
#: Processor time of a canonical solution under its own tests: as good as no limit.
_NO_LIMIT = Clocks(1000.0, 1.0)


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
    with (
        tempfile.TemporaryDirectory(prefix="judgebox-cases-") as folder,
        Workers(options.parallel, options.memory_bytes, options.packages, patience=3600) as workers,
    ):
        cases = {task: Path(folder, f"{number}.tests") for number, task in enumerate(problems)}
        _make_cases(workers, problems, cases, options, source)
        rows = _judged(workers, problems, samples, cases, options)
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
    oracle, plus = options.dataset, not options.base_only
    requests = {
        task: evalplus.expect_request(problem, oracle, plus, cases[task])
        for task, problem in problems.items()
    }
    for task, answer in _answers(workers, requests, "expected outputs"):
        error = "no answer" if isinstance(answer, WorkerDied) else answer["error"]
        if error:
            raise SetupError(
                f"{source}: {task}: the canonical solution failed on its own inputs ({error})"
            )
    requests = {
        task: judge_request(cases[task], evalplus.reference_program(problem, oracle), _NO_LIMIT)
        for task, problem in problems.items()
    }
    for task, answer in _answers(workers, requests, "canonical solutions"):
        if isinstance(answer, WorkerDied) or {*answer["verdicts"].values()} != {PASS}:
            words = "the canonical solution does not pass its own tests when run again"
            print(f"judgebox: warning: {task}: {words}", file=sys.stderr)


def _judged(
    workers: Workers,
    problems: dict[str, evalplus.Problem],
    samples: dict[str, list[str]],
    cases: dict[str, Path],
    options: argparse.Namespace,
) -> dict[str, list[dict[str, Any]]]:
    """The result file's entries: task id -> a row a sample."""
    oracle, plus = options.dataset, not options.base_only
    clocks = Clocks(options.min_time_limit, options.gt_time_limit_factor, options.memory_bytes)
    requests = {}
    for task, programs in samples.items():
        entry_point, atol = problems[task]["entry_point"], problems[task]["atol"]
        for number, code in enumerate(programs):
            program = Program(code, entry_point, oracle, atol)
            request = judge_request(cases[task], program, clocks, every_set=True)
            requests[task, number] = request
    answers = dict(_answers(workers, requests, "samples"))
    rows: dict[str, list[dict[str, Any]]] = {task: [] for task in samples}
    for (task, number), request in requests.items():
        answer = answers[task, number]
        if needs_another_run(answer):  # one after another: each has the machine to itself
            ((_, answer),) = workers.answers([request | {"alone": True}])
        if isinstance(answer, WorkerDied):  # a program that brings down its judge twice
            answer = {"verdicts": dict.fromkeys(("base", "plus"), FAIL), "failed": {}}
        code = samples[task][number]
        rows[task].append(evalplus.result_row(problems[task], code, answer, oracle, plus))
    return rows


def _answers(
    workers: Workers, requests: dict[Any, dict[str, Any]], what: str
) -> Iterator[tuple[Any, dict[str, Any] | WorkerDied]]:
    """Answers by their requests' keys, as they come; counted on a terminal."""
    keys = [*requests]
    for done, (number, answer) in enumerate(workers.answers(requests.values()), start=1):
        if sys.stderr.isatty():
            end = "\n" if done == len(keys) else ""
            print(f"\r{what}: {done}/{len(keys)}", end=end, file=sys.stderr, flush=True)
        yield keys[number], answer


def _cached(dataset: str) -> Path:
    """The problem file in EvalPlus's cache, else `SetupError`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "evalplus")
    path = cache / _CACHED.get(dataset, "other.jsonl")
    if dataset not in _CACHED or not path.is_file():
        raise SetupError(
            f"--problems: missing, and EvalPlus has cached nothing as {path}; give the problem "
            "file (.jsonl or .jsonl.gz), such as HumanEvalPlus.jsonl.gz of EvalPlus's releases"
        )
    return path


if __name__ == "__main__":
    sys.exit(main())

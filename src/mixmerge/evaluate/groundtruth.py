"""Expected outputs of a code suite's canonical solutions, run in the box; one file a problem."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from judgebox import codec
from mixmerge.artifacts.manifest import read_manifest, write_manifest, write_provenance
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, read_jsonl, sha256, write_jsonl
from mixmerge.evaluate import testset
from mixmerge.evaluate.compare import NOT_NONE
from mixmerge.evaluate.problems import inputs, read_problems
from mixmerge.evaluate.settings import GroundTruthSettings
from mixmerge.evaluate.workers import WorkerDied, Workers

#: Index of a ground truth's directory: one row a problem.
INDEX = "tasks.jsonl"

# Above EvalPlus's limit for all tests of a problem, so that a failing check fails by its outputs
# and not by a clock that a loaded machine makes run fast.
_NO_LIMIT = 1000.0


def make_ground_truth(problems_path: Path, out: Path, settings: GroundTruthSettings) -> None:
    """Compute and check the expected outputs of every problem, and publish them into ``out``.

    What EvalPlus caches under the home directory as one pickle of all problems becomes one file of
    data a problem here (`mixmerge.evaluate.testset`).

    Args:
        problems_path: the suite's ``problems.jsonl``.
        out: directory of kind "groundtruth": ``tasks.jsonl`` and ``tests/*.tests``.
        settings: the suite's data set and how tests are run.

    Raises:
        UserError: a canonical solution that raises, has outputs that cannot be stored, or does
            not pass the tests made from it.
    """
    problems = read_problems(problems_path, settings.plus)
    names = ["base", "plus"] if settings.plus else ["base"]
    rows = [
        {
            "id": task,
            "tests": f"tests/{number:05d}.tests",
            "entry_point": problem["entry_point"],
            "atol": problem["atol"],
            "prompt": problem["prompt"],
        }
        for number, (task, problem) in enumerate(problems.items())
    ]
    with (
        atomic_dir(out) as target,
        tempfile.TemporaryDirectory(prefix="mixmerge-truth-") as drafts,
        Workers(settings.code) as workers,
    ):
        (target / "tests").mkdir()
        requests = []
        for number, (row, problem) in enumerate(zip(rows, problems.values(), strict=True)):
            draft = Path(drafts, f"{number}.tests")
            with testset.Writer(draft) as writer:
                for name in names:
                    given = inputs(problem, name, settings.dataset)
                    writer.begin(name, map(codec.pack, given))
            requests.append(
                {
                    "do": "expect",
                    "draft": str(draft),
                    "tests": str((target / row["tests"]).resolve()),
                    "code": problem["prompt"] + problem["canonical_solution"],
                    "entry_point": row["entry_point"],
                    "not_none": _not_none(row["entry_point"], settings.dataset),
                }
            )
        for number, answer in _with_bar(workers, requests, "expected outputs"):
            error = "gave no answer" if isinstance(answer, WorkerDied) else answer["error"]
            if error:
                raise UserError(
                    f"{problems_path}: {rows[number]['id']}: the canonical solution failed on its "
                    f"own inputs ({error}); mend the problem or drop it from the file"
                )
            rows[number]["seconds"] = answer["seconds"]
        checks = [
            judge_request(target, row, request["code"], settings.dataset, _NO_LIMIT, 1)
            for row, request in zip(rows, requests, strict=True)
        ]
        for number, answer in _with_bar(workers, checks, "checked"):
            verdicts = {} if isinstance(answer, WorkerDied) else answer["verdicts"]
            _check_canonical(f"{problems_path}: {rows[number]['id']}", verdicts, names)
        write_jsonl(target / INDEX, rows)
        write_provenance(
            target,
            inputs=[problems_path],
            settings=settings.model_dump(mode="json"),
            seed=None,
            packages=["evalplus", "msgpack", "numpy"],
        )
        facts = {
            "n": len(rows),
            "dataset": settings.dataset,
            "plus": settings.plus,
            "problems": sha256(problems_path),
        }
        write_manifest(target, "groundtruth", facts)


def read_ground_truth(
    directory: Path, problems_path: Path, dataset: str, plus: bool
) -> dict[str, dict[str, Any]]:
    """Read a ground truth's index: task id -> row.

    Raises:
        UserError: it is unfinished, was made from other problems or settings, or of pickles.
    """
    facts = read_manifest(directory, "groundtruth")["facts"]
    expected = {"problems": sha256(problems_path), "dataset": dataset, "plus": plus}
    for name, value in expected.items():
        if facts.get(name) != value:
            raise UserError(
                f"{directory}: was made from another {name} ({facts.get(name)!r}, not {value!r}); "
                "run the rule ground_truth again"
            )
    rows = {row["id"]: row for row in read_jsonl(directory / INDEX)}
    if any(row["tests"].endswith(".pickle") for row in rows.values()):
        raise UserError(
            f"{directory}: an earlier version made it, of pickles, which are not read any more; "
            "remove it and run the rule ground_truth again"
        )
    return rows


def _check_canonical(where: str, verdicts: dict[str, str], names: list[str]) -> None:
    """Refuse a problem whose own solution fails; one that is merely slow is only told of."""
    for name in names:
        if verdicts.get(name) == "timeout":
            tqdm.write(
                f"warning: {where}: the canonical solution is still busy with its {name} tests "
                "after a minute, when EvalPlus gives up: hardly any solution will pass",
                file=sys.stderr,
            )
            return
        if verdicts.get(name) != "pass":
            raise UserError(
                f"{where}: the canonical solution does not pass its own {name} tests when run "
                "again: its outputs vary from run to run, or it leaves the limits of a check "
                "(code.memory_bytes among them); mend the problem or drop it"
            )


def judge_request(
    directory: Path,
    row: dict[str, Any],
    solution: str,
    dataset: str,
    min_time_limit: float,
    time_limit_factor: float,
) -> dict[str, Any]:
    """The request that makes a worker judge one solution of one problem."""
    return {
        "do": "judge",
        "tests": str((directory / row["tests"]).resolve()),
        "code": solution,
        "dataset": dataset,
        "entry_point": row["entry_point"],
        "atol": row["atol"],
        "min_time_limit": min_time_limit,
        "time_limit_factor": time_limit_factor,
    }


def _not_none(entry_point: str, dataset: str) -> bool:
    """Whether only the presence of an output counts."""
    return dataset == "mbpp" and entry_point in NOT_NONE


def _with_bar(workers: Workers, requests: list[dict[str, Any]], what: str) -> Any:
    bar = tqdm(total=len(requests), desc=what, unit="problem", mininterval=1)
    with bar:
        for answer in workers.answers(requests):
            bar.update()
            yield answer

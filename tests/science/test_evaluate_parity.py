"""Verdicts equal to the published ones on real completions (Qwen2.5-Coder-1.5B, HumanEval+)."""

import gzip
import json
from pathlib import Path

import pytest

from mixmerge.config.evaluation import CodeScoring
from mixmerge.evaluate.extraction import solution
from mixmerge.evaluate.groundtruth import make_ground_truth
from mixmerge.evaluate.settings import CodeJudging, GroundTruthSettings
from mixmerge.evaluate.verdicts import Verdict, judge, pass_at_1
from mixmerge.files import read_jsonl


@pytest.mark.slow
def test_humaneval_equals_the_published_verdicts(real_data: Path, tmp_path: Path) -> None:
    problems = tmp_path / "problems.jsonl"
    with gzip.open(real_data / "benchmarks/HumanEvalPlus.jsonl.gz", "rb") as file:
        problems.write_bytes(file.read())
    code = CodeScoring(workers=2)
    settings = GroundTruthSettings(dataset="humaneval", code=code)
    make_ground_truth(problems, tmp_path / "truth", settings)
    tasks = {row["id"]: row for row in read_jsonl(tmp_path / "truth/tasks.jsonl")}

    folder = real_data / "completions/qwen2.5-coder-1.5b-base"
    published = json.loads((folder / "humaneval-generated_eval_results.json").read_text())["eval"]
    texts = {
        row["task_id"]: row["completion"]
        for row in read_jsonl(folder / "humaneval-generated.jsonl")
    }
    assert set(texts) == set(published) == set(tasks)
    assert len(texts) == 164
    as_published = {task: rows[0]["solution"] for task, rows in published.items()}
    extracted = {task: solution(text, tasks[task]["entry_point"]) for task, text in texts.items()}

    for programs in (as_published, extracted):
        judging = CodeJudging(dataset="humaneval")
        verdicts = judge(list(programs.items()), tasks, tmp_path / "truth", judging, code)
        rows = [Verdict(*pair, *verdicts[pair]) for pair in programs.items()]
        for row in rows:
            expected = published[row.id][0]
            assert (row.base == "pass") == (expected["base_status"] == "pass"), row.id
            both = expected["base_status"] == expected["plus_status"] == "pass"
            assert (row.base == row.plus == "pass") == both, row.id
        shares = pass_at_1(rows, plus=True)
        assert round(100 * shares["base"], 1) == 43.9
        assert round(100 * shares["plus"], 1) == 36.6

"""The published completions of Qwen2.5-Coder-1.5B: material of the scoring benchmarks.

Found below MIXMERGE_DATA: 164 of HumanEval+ v0.1.10 and 399 of MBPP+ v0.1.0, with EvalPlus's
verdicts of September 2024.
"""

import gzip
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.evaluate.groundtruth import make_ground_truth, read_ground_truth
from mixmerge.evaluate.scoring import judge
from mixmerge.evaluate.settings import CodeJudging, CodeScoring, GroundTruthSettings

_FILES = {"humaneval": "HumanEvalPlus.jsonl.gz", "mbpp": "MbppPlus-v0.1.0.jsonl.gz"}

Verdicts = dict[tuple[str, str], tuple[str, str | None]]


@dataclass(frozen=True)
class Published:
    """One suite, ready to be scored."""

    name: str
    """``humaneval`` or ``mbpp``."""

    problems: Path
    truth: Path
    samples: Path
    """The raw completions, as `evalplus.evaluate` takes them."""

    programs: dict[str, str]
    """Task id -> published solution."""

    statuses: dict[str, tuple[str, str]]
    """Task id -> published base and plus status."""

    def judge(self, code: CodeScoring) -> Verdicts:
        """Our verdicts of the published solutions."""
        judging = CodeJudging.model_validate({"dataset": self.name})
        truths = {self.name: read_ground_truth(self.truth, self.problems, judging)}
        rows = judge({self.name: list(self.programs.items())}, truths, code)[self.name]
        return {(row.id, row.solution): (row.base, row.plus) for row in rows}

    def solved(self, verdicts: Verdicts) -> dict[str, tuple[bool, bool]]:
        """Task id -> whether base, and base and plus together, pass."""
        return {
            task: (base == "pass", base == plus == "pass")
            for (task, _), (base, plus) in verdicts.items()
        }

    def published(self) -> dict[str, tuple[bool, bool]]:
        """The same of the published statuses."""
        return {
            task: (base == "pass", base == plus == "pass")
            for task, (base, plus) in self.statuses.items()
        }


def published(work: Path, workers: int = 2) -> list[Published]:
    """Both suites; ground truths are made below ``work`` where they are not there yet."""
    if "MIXMERGE_DATA" not in os.environ:
        sys.exit("MIXMERGE_DATA: not set; name the directory of the real inputs")
    data = Path(os.environ["MIXMERGE_DATA"])
    folder = data / "completions/qwen2.5-coder-1.5b-base"
    suites = []
    for name, file in _FILES.items():
        home = work / name
        home.mkdir(parents=True, exist_ok=True)
        problems = home / "problems.jsonl"
        with gzip.open(data / "benchmarks" / file, "rb") as source, problems.open("wb") as target:
            shutil.copyfileobj(source, target)
        truth = home / "truth"
        if not (truth / MANIFEST).exists():
            settings = {"dataset": name, "code": {"workers": workers}}
            make_ground_truth(problems, truth, GroundTruthSettings.model_validate(settings))
        text = (folder / f"{name}-generated_eval_results.json").read_text(encoding="utf-8")
        rows = {task: found[0] for task, found in json.loads(text)["eval"].items()}
        suites.append(
            Published(
                name,
                problems,
                truth,
                folder / f"{name}-generated.jsonl",
                {task: row["solution"] for task, row in rows.items()},
                {task: (row["base_status"], row["plus_status"]) for task, row in rows.items()},
            )
        )
    return suites

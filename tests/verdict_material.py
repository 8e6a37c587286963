"""Results for the verdict's tests: what jobs cost, and comparisons that decide nothing."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixmerge.report.dossier import verdict_page
from mixmerge.report.evidence import read_evidence
from mixmerge.report.layout import Layout
from mixmerge.report.scores import read_scores
from mixmerge.report.verdict import ModelVerdict, verdicts
from report_material import scores, write_results

Special = Mapping[tuple[str, str], float]


def decide(study: Layout, root: Path, special: Special | None = None, **how: Any) -> None:
    """Write a study's results; `spend` and `doubt` add to them."""
    write_results(study, root, scores(study, special), **how)


def read(study: Layout, root: Path) -> list[ModelVerdict]:
    return verdicts(study, read_scores(study, root), read_evidence(study, root), root)


def doubt(root: Path, model: str, difference: float | None = None, p: float = 0.4) -> None:
    """Make every comparison of AVG one that is not distinguishable."""
    path = root / "uncertainty" / f"{model}.json"
    found = json.loads(path.read_text())
    for entry in found["comparisons"]:
        if entry["column"] == "avg":
            if difference is not None:
                entry |= {"difference": difference, "low": difference - 3, "high": difference + 3}
            entry |= {"p": p / 2, "p_adjusted": p, "distinguishable": False}
    path.write_text(json.dumps(found))


def spend(
    study: Layout,
    root: Path,
    hours: Mapping[str, float],
    *,
    device: str = "cpu",
    processes: int = 1,
    threads: int = 1,
    resumed: str = "",
) -> None:
    """Benchmarks and provenance: hours of a job by variant (or by rule and variant)."""
    for model in study.models:
        for variant in model.variants:
            sft = {"processes": processes, "threads": threads, "device": device}
            checkpoint = {
                "sft": {**sft, "resumed": variant.name == resumed},
                "mix": {**sft, "resumed": variant.name == resumed},
                "merge": {"recipe": {}, "shard_bytes": 1, "device": "cpu"},
                "base": {},
            }[variant.kind]
            for folder, settings in (
                ("checkpoints", checkpoint),
                ("completions", {"device": device, "decoding": {"threads": 2}}),
                ("scores", {"code": {"workers": 4}}),
            ):
                write(
                    root / folder / model.key / variant.name / "provenance.json",
                    json.dumps({"settings": settings}),
                )
            rule = "merge" if variant.kind == "merge" else "sft"
            for name in (rule, "generate", "score"):
                spent = hours.get(f"{name}/{variant.name}", hours.get(name, 0.0))
                write(
                    root / "benchmarks" / name / model.key / f"{variant.name}.tsv",
                    f"s\th:m:s\n{3600 * spent}\t-\n",
                )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def flat(text: str) -> str:
    return " ".join(text.split())


def page_text(study: Layout, found: list[ModelVerdict]) -> str:
    return " ".join(" ".join(section.paragraphs) for section in verdict_page(study, found).sections)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / name).read_text())))


#: The blend is 5 points behind on the test suites: 0.4 against 0.5 in one column of four is -20 %.
BEHIND = {
    ("blend-0.25", "write-test.base"): 0.4,
    ("blend-0.75", "write-test.base"): 0.3,
    ("write-at-50", "write-test.base"): 0.25,
}

"""The verdict: who wins, what is not distinguishable, what it costs, in its own sentences."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.report_study import change_json, csv_rows, decide, doubt, judged, layout, spend
from mixmerge.report.layout import VERDICT_FILES, Strategy, Variant
from mixmerge.report.verdict import write_verdict

CASES = yaml.safe_load(Path(__file__).with_name("verdicts.yaml").read_text(encoding="utf-8"))


def written(case: dict[str, Any], root: Path) -> dict[str, str]:
    """The verdict's files of a case in ``verdicts.yaml``, by name."""
    study = layout(**case.get("study", {}))
    if name := case.get("lone"):
        study.strategies.append(Strategy(key=name, title=name.capitalize(), recipe=name))
        study.models[0].variants.append(Variant(name=name, kind="merge", strategy=name))
    special = {tuple(place.split()): value for place, value in case.get("special", {}).items()}
    decide(study, root, special, pearson=case.get("pearson", 0.25))
    for model, difference in case.get("doubt", {}).items():
        doubt(root, model, difference)
    if "hours" in case:
        spend(study, root, case["hours"], **case.get("spent", {}))
    for name in case.get("without", ()):
        (root / name).unlink()
    if model := case.get("correlated"):
        for group in range(3):
            change_json(
                root / f"weights/{model}/updates.json",
                lambda c, group=group: c["pairs"][0]["groups"][group].update(pearson=0.8),
            )
    write_verdict(study, judged(study, root), root / "tables")
    return {name: (root / "tables" / name).read_text() for name in VERDICT_FILES}


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_verdict(case: dict[str, Any], tmp_path: Path) -> None:
    files = written(case, tmp_path)
    text = " ".join(f"{files['verdict.md']} {files['verdict.txt']}".split())
    for sentence in case.get("says", ()):
        assert sentence in text
    for word in case.get("never", ()):
        assert not [name for name, content in files.items() if word in content]
    for name, expected in case.get("rows", {}).items():
        rows = csv_rows(files[name])[: len(expected)]
        for line, row in zip(expected, rows, strict=True):
            for key, value in line.items():
                found = row[key] if isinstance(value, str) else float(row[key])
                assert found == (value if isinstance(value, str) else pytest.approx(value)), key


def test_the_page_in_html_and_latex(tmp_path: Path) -> None:
    study = layout(models=("one", "two"))
    decide(study, tmp_path)
    write_verdict(study, judged(study, tmp_path), tmp_path)
    page = (tmp_path / "verdict.html").read_text()
    assert page.count("<h2>") == 2 + 3 + 1 and page.count("<table>") == 6
    latex = (tmp_path / "verdict.tex").read_text()
    assert r"\paragraph{One model}" in latex and r"0.00 \%" in latex and "−" not in latex

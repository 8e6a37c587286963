"""Uncertainty of a model's scores, from rows on disk to the file that the report reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from fixtures.report_study import read
from fixtures.score_rows import settings, study, write_rows
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl
from mixmerge.report.layout import Layout
from mixmerge.report.results import AVERAGES
from mixmerge.study.layout import uncertainty_settings
from mixmerge.uncertainty.analysis import analyse, matches
from mixmerge.uncertainty.settings import Uncertainty

SKILLS = {"write-at-100": 0.8, "explain-at-100": 0.8, "mixed": 0.75, "blend-0.25": 0.2}


def run(root: Path, found: Layout, skills: dict[str, float], **given: Any) -> dict[str, Any]:
    directories = write_rows(found, root, skills, **given)
    result = analyse(settings(found), directories, seed=5)
    path = root / "uncertainty" / "tiny.json"
    path.parent.mkdir()
    path.write_text(json.dumps(result), encoding="utf-8")
    return result


def entry(result: dict[str, Any], variant: str, against: str, column: str) -> dict[str, Any]:
    (one,) = (
        c
        for c in result["comparisons"]
        if (c["variant"], c["against"], c["column"]) == (variant, against, column)
    )
    return one


def test_values_are_those_of_the_tables(tmp_path: Path) -> None:
    found = study()
    run(tmp_path, found, SKILLS)
    results, model = read(found, tmp_path), found.models[0]
    content = json.loads((tmp_path / "uncertainty/tiny.json").read_text())
    for variant in model.variants:
        for column in found.columns:
            interval = content["intervals"][variant.name][column.key]
            value = results.score(model, variant.name, column.key).value
            assert value is not None
            assert interval["value"] == pytest.approx(value, abs=1e-9)
            assert interval["low"] <= value <= interval["high"]
            assert results.score(model, variant.name, column.key).interval == (
                interval["low"],
                interval["high"],
            )
        for role in ("test", "validation"):
            average = content["averages"][variant.name][role]
            printed = results.score(model, variant.name, AVERAGES[role]).value
            assert average["value"] == pytest.approx(printed, abs=1e-8)
            assert average["low"] < average["value"] < average["high"]
    match = results.score(model, "mixed", "explain-test.bleu4").tests.get("specialist")
    assert match is not None
    ends = ("mixed", "explain-at-100")
    mixed, specialist = (results.score(model, n, "explain-test.bleu4").value for n in ends)
    assert mixed is not None and specialist is not None
    assert match["difference"] == pytest.approx(mixed - specialist, abs=1e-9)


def test_a_real_difference_is_found_and_none_is_made_up(tmp_path: Path) -> None:
    result = run(tmp_path, study(), {**SKILLS, "mixed": 0.8}, items=150)
    for against in ("specialist", "mixture"):
        for column in ("write-test.base", "write-test.plus", "explain-test.meteor", "avg"):
            far = entry(result, "blend-0.25", against, column)
            assert far["distinguishable"] and far["difference"] < 0 and far["high"] < 0
    near = entry(result, "mixed", "specialist", "write-test.base")
    assert not near["distinguishable"] and near["low"] < 0 < near["high"]
    counts = (
        [row["base"] for row in read_jsonl(tmp_path / f"scores/tiny/{name}/write-test.jsonl")]
        for name in ("mixed", "write-at-100")
    )
    pairs = [pair for pair in zip(*counts, strict=True) if pair[0] != pair[1]]
    gained = sum(first == "pass" for first, _ in pairs)
    assert near["p"] == pytest.approx(binomtest(gained, len(pairs)).pvalue, rel=1e-9)
    assert near["family"] == "mixed, write-test.base, against specialist"


def test_identical_checkpoints_are_never_told_apart(tmp_path: Path) -> None:
    found = study()
    directories = write_rows(found, tmp_path, SKILLS)
    result = analyse(settings(found), directories | {"blend-0.25": directories["mixed"]}, seed=5)
    for match in result["comparisons"]:
        if match["variant"] == "blend-0.25" and match["against"] == "mixture":
            assert (match["difference"], match["p"], match["p_adjusted"]) == (0, 1, 1)
            assert match["low"] <= 0 <= match["high"]
    # Nor is AVG uncertain where all are the specialists, which are resampled with the rest.
    same = analyse(settings(found), dict.fromkeys(directories, directories["mixed"]), seed=5)
    for averages in same["averages"].values():
        assert averages["test"] == {"value": 0, "low": 0, "high": 0}


def test_who_meets_whom() -> None:
    found = study(tasks=3, percents=(50, 100))
    all_matches = matches(settings(found))
    met = {tuple(m.values())[:4] for m in all_matches}
    assert len(met) == len(all_matches)
    assert ("base", "specialist", "write-at-100", "write-test.base") in met
    assert ("write-at-50", "specialist", "write-at-100", "write-test.base") in met
    assert ("write-at-100", "specialist", "explain-at-100", "explain-test.bleu4") in met
    everyone = "write-at-100+explain-at-100+translate-at-100"
    assert ("mixed", "specialist", everyone, "avg") in met
    assert ("blend-0.25", "mixture", "mixed", "avg") in met
    # Not a specialist with itself, nor one of half the data in another task's columns.
    assert not [m for m in met if m[0] == m[2]]
    assert not [m for m in met if m[0] == "write-at-50" and "explain" in m[3]]
    column = "write-test.base"
    sweeps = {m["variant"]: m["family"] for m in all_matches if m["column"] == column}
    assert sweeps["blend-0.25"] == sweeps["blend-0.75"] != sweeps["mixed"]


def test_same_bytes_whatever_the_order_of_rows(tmp_path: Path) -> None:
    found = study()
    directories = write_rows(found, tmp_path, SKILLS)
    first = analyse(settings(found), directories, seed=5)
    assert json.dumps(analyse(settings(found), directories, seed=5)) == json.dumps(first)
    assert analyse(settings(found), directories, seed=6) != first
    for file in tmp_path.glob("scores/*/*/*.jsonl"):
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    assert analyse(settings(found), directories, seed=5) == first


def test_average_is_left_out_where_no_specialist_scores(tmp_path: Path) -> None:
    found = study()
    skills = {"write-at-100": -1.0, "explain-at-100": -1.0}
    result = run(tmp_path, found, skills)
    assert result["averages"]["mixed"] == {}
    assert not [c for c in result["comparisons"] if c["column"] == "avg"]
    results, model = read(found, tmp_path), found.models[0]
    assert results.score(model, "mixed", "avg").value is None
    assert "specialist" not in results.score(model, "mixed", "avg").tests


def test_plus_counts_only_with_base(tmp_path: Path) -> None:
    found = study()
    result = run(tmp_path, found, {"mixed": -1.0})
    # All base tests failed; every seventh row says that its plus tests passed.
    for metric in ("base", "plus"):
        interval = result["intervals"]["mixed"][f"write-test.{metric}"]
        assert (interval["value"], interval["low"]) == (0, 0) and 0 < interval["high"] < 0.1


def test_too_few_resamples_for_a_sweep_are_refused(tmp_path: Path) -> None:
    found = study(ratios=[i / 100 for i in range(1, 31)])
    with pytest.raises(UserError, match=r"resamples: 1000 .* sweep of 30; ask for 1200 or more"):
        analyse(settings(found), {}, seed=5)


def test_titles_are_no_settings() -> None:
    found = study()
    titled = found.model_copy(
        update={
            "columns": [c.model_copy(update={"header": "Other"}) for c in found.columns],
            "models": [m.model_copy(update={"title": "Other"}) for m in found.models],
        }
    )
    plain, other = (uncertainty_settings(f, "tiny", Uncertainty()) for f in (found, titled))
    assert plain == other

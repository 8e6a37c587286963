"""Figures: files, determinism, what is drawn, and sizes from one model to six."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.report_study import decide, layout, results
from mixmerge.core.errors import UserError
from mixmerge.report import figures
from mixmerge.report.entries import figure_files
from mixmerge.report.results import read_distances, read_pairs, read_results


def test_same_results_same_bytes_in_another_process(root: Path, tmp_path: Path) -> None:
    study = layout(models=("one", "two"))
    decide(study, tmp_path)
    command = [
        sys.executable,
        str(root / "workflow/scripts/figures.py"),
        "--layout",
        study.model_dump_json(exclude_defaults=True),
        "--results",
        str(tmp_path),
        "--out",
    ]
    subprocess.run([*command, str(tmp_path / "a")], check=True)
    figures.write_figures(read_results(study, tmp_path), tmp_path, tmp_path / "b")
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(figure_files(study))
    for name in figure_files(study):
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes(), name
        assert b"dc:date" not in content
        if name.endswith("png"):
            assert content.startswith(b"\x89PNG") and b"Software" not in content


def test_figures_have_title_and_no_time(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path)
    figures.write_figures(read_results(study, tmp_path), tmp_path, tmp_path)
    text = (tmp_path / "figure2-distance.svg").read_text()
    assert "<dc:title>Figure 2: Distance from base by layer</dc:title>" in text


def test_users_matplotlibrc_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    study = layout()
    decide(study, tmp_path)
    found = read_results(study, tmp_path)
    figures.write_figures(found, tmp_path, tmp_path / "a")
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 20, "savefig.dpi": 30}):
        figures.write_figures(found, tmp_path, tmp_path / "b")
    for name in figure_files(study):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_specialists_mixture_and_chosen_merges_are_drawn() -> None:
    study = layout(percents=(50, 100))
    found = results(study, {("blend-0.75", "write-test.base"): 0.9})
    names = [variant.name for variant in figures.drawn(found, study.models[0])]
    assert names == ["write-at-100", "explain-at-100", "mixed", "blend-0.75"]


def test_only_transformer_layers_count(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path, layers=4, pearson=0.2)
    profile = read_distances(tmp_path, "tiny", "base")
    assert profile == pytest.approx({0: 1, 1: 1.1, 2: 1.2, 3: 1.3})
    pairs = read_pairs(study, study.models[0], tmp_path)
    assert list(pairs) == [("write", "explain")]
    assert sum(pairs["write", "explain"]["pearson"].values()) / 4 == pytest.approx(0.215)


def test_pairs_of_other_percentages_are_left_aside_and_a_missing_one_is_named(
    tmp_path: Path,
) -> None:
    study = layout(tasks=3)
    decide(study, tmp_path)
    path = tmp_path / "weights/tiny/updates.json"
    content = json.loads(path.read_text())
    content["pairs"].append({**content["pairs"][0], "a": "write-at-50"})
    path.write_text(json.dumps(content))
    assert len(read_pairs(study, study.models[0], tmp_path)) == 3
    content["pairs"] = content["pairs"][1:]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="no pair write-at-100 / explain-at-100"):
        read_pairs(study, study.models[0], tmp_path)


@pytest.mark.parametrize(("models", "layers"), [(1, 2), (3, 80), (6, 28)])
def test_grids_and_legends_fit(models: int, layers: int, tmp_path: Path) -> None:
    profile = {i: 1 + i / layers for i in range(layers)}
    names = ["Code generation specialist", "Code summarisation specialist", "Data mixture", "TIES"]
    distances = {f"A model with a name {i}": dict.fromkeys(names, profile) for i in range(models)}
    pair = {"pearson": profile, "cosine": profile}
    pairs = {title: {("a", "b"): pair} for title in distances}
    with figures.style():
        for drawing in (
            figures.distance_figure(distances, 2),
            figures.correlation_figure(pairs, {"a": "A", "b": "B"}),
        ):
            drawing.canvas.draw()
            (legend,) = drawing.legends
            page, box = drawing.bbox, legend.get_window_extent()
            assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0
            for axis in drawing.axes:
                assert axis.get_window_extent().y0 >= box.y1
        spread = figures.spread_figure(distances, 2)
        assert len(spread.axes) == models


def test_undefined_correlations_leave_a_gap() -> None:
    pair = {"pearson": {0: 0.5, 1: float("nan"), 2: 0.7}, "cosine": dict.fromkeys(range(3), 0.3)}
    with figures.style():
        figures.correlation_figure({"m": {("a", "b"): pair}}, {})


def test_looks_differ_in_more_than_colour() -> None:
    looks = figures.make_looks([str(i) for i in range(63)])
    assert len(set(looks.values())) == 63
    assert len({(look.marker, str(look.dash)) for look in list(looks.values())[:7]}) == 7


def test_no_models_no_figures() -> None:
    assert figure_files(layout(figure_models=[])) == []

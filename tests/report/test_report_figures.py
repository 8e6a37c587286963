"""Figures: determinism, what is drawn, and sizes from one model to six."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.report_study import change_json, decide, layout, read, results
from mixmerge.core.errors import UserError
from mixmerge.report import figures
from mixmerge.report.layout import figure_files
from mixmerge.report.results import read_distances, read_pairs


@pytest.mark.slow
def test_same_results_same_bytes_whatever_the_users_matplotlibrc(tmp_path: Path) -> None:
    import matplotlib as mpl

    study = layout()
    decide(study, tmp_path)
    figures.write_figures(read(study, tmp_path), tmp_path, tmp_path / "a")
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 20, "savefig.dpi": 30}):
        figures.write_figures(read(study, tmp_path), tmp_path, tmp_path / "b")
    for name in figure_files(study):
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes(), name
        assert b"dc:date" not in content
        if name.endswith("png"):
            assert content.startswith(b"\x89PNG") and b"Software" not in content
    text = (tmp_path / "a/figure2-distance.svg").read_text()
    assert "<dc:title>Figure 2: Distance from base by layer</dc:title>" in text


def test_specialists_mixture_and_chosen_merges_are_drawn() -> None:
    study = layout(percents=(50, 100))
    found = results(study, {("blend-0.75", "write-test.base"): 0.9})
    names = [variant.name for variant in figures.drawn(found, study.models[0])]
    assert names == ["write-at-100", "explain-at-100", "mixed", "blend-0.75"]


def test_only_transformer_layers_count(tmp_path: Path) -> None:
    study = layout()
    decide(study, tmp_path, layers=4, pearson=0.2)
    profile, _ = read_distances(tmp_path, "tiny", "base")
    assert profile == pytest.approx({0: 1, 1: 1.1, 2: 1.2, 3: 1.3})
    pairs = read_pairs(study, study.models[0], tmp_path)
    assert list(pairs) == [("write", "explain")]
    measures = pairs["write", "explain"]
    assert measures["pearson"] == pytest.approx({i: 0.2 + i / 100 for i in range(4)})

    def other_way(content: dict[str, Any]) -> None:
        [pair] = content["pairs"]
        pair["a"], pair["b"] = pair["b"], pair["a"]

    change_json(tmp_path / "weights/tiny/updates.json", other_way)
    turned = read_pairs(study, study.models[0], tmp_path)["write", "explain"]
    assert turned == measures | {"norm_ratio": pytest.approx(dict.fromkeys(range(4), 1 / 0.8))}


def test_pairs_of_other_percentages_are_left_aside_and_a_missing_one_is_named(
    tmp_path: Path,
) -> None:
    study = layout(tasks=3)
    decide(study, tmp_path)
    path, model = tmp_path / "weights/tiny/updates.json", study.models[0]
    change_json(path, lambda c: c["pairs"].append({**c["pairs"][0], "a": "write-at-50"}))
    assert len(read_pairs(study, model, tmp_path)) == 3
    change_json(path, lambda content: {"pairs": content["pairs"][1:]})
    with pytest.raises(UserError, match="no pair write-at-100 / explain-at-100"):
        read_pairs(study, model, tmp_path)


NAMES = ["Code generation specialist", "Code summarisation specialist", "Data mixture", "TIES"]


def panels(models: int, layers: int) -> tuple[figures.Panels, figures.Panels]:
    """Distances of each model's checkpoints, and similarities of all models."""
    profile = {i: 1 + i / layers for i in range(layers)}
    profile[1] = float("nan")  # an undefined correlation leaves a gap
    titles = [f"A model with a name {i}" for i in range(models)]
    distances = {title: dict.fromkeys(NAMES, profile) for title in titles}
    return distances, {"A / B": dict.fromkeys(titles, profile)}


@pytest.mark.slow
@pytest.mark.parametrize(("models", "layers"), [(1, 2), (3, 80), (6, 28)])
def test_grids_and_legends_fit(models: int, layers: int) -> None:
    distances, pairs = panels(models, layers)
    looks = figures.checkpoint_looks(distances, 2)
    own = figures.make_looks(list(distances), [0] * models)
    with figures.style():
        for drawing in (
            figures.line_figure(distances, looks),
            figures.line_figure(pairs, own, pairs),
        ):
            drawing.draw_without_rendering()
            (legend,) = drawing.legends
            page, box = drawing.bbox, legend.get_window_extent()
            assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0
            for axis in drawing.axes:
                assert axis.get_window_extent().y0 >= box.y1
        assert len(figures.spread_figure(distances, looks).axes) == models


@pytest.mark.slow
def test_panels_have_scales_shifted_markers_and_named_boxes() -> None:
    distances, pairs = panels(2, 80)
    looks = figures.checkpoint_looks(distances, 2)
    with figures.style():
        drawing = figures.line_figure(distances, looks)
        similar = figures.line_figure(pairs, figures.make_looks(list(distances), [0, 0]), pairs)
        spread = figures.spread_figure(distances, looks)
    left, right = drawing.axes
    assert [axis.get_title() for axis in (left, right)] == list(distances)
    assert (left.get_ylim()[0], left.get_ylabel()) == (0, "L2 distance from base")
    assert right.get_ylabel() == ""
    assert len({line.get_markevery() for line in left.lines}) == len(NAMES)
    [axis] = similar.axes
    assert axis.get_title() == "" and axis.get_ylim() == (-0.1, 1)
    assert [line.get_linewidth() for line in axis.lines] == [0.9, 1.3, 0.9, 1.3, 0.7]
    names = [[label.get_text() for label in axis.get_yticklabels()] for axis in spread.axes]
    assert names == [NAMES, [""] * 4] and spread.axes[0].yaxis_inverted()


def test_looks_differ_in_more_than_colour() -> None:
    looks = figures.make_looks([str(i) for i in range(63)]).values()
    assert len(set(map(repr, looks))) == 63
    assert len({(look["marker"], str(look["linestyle"])) for look in list(looks)[:7]}) == 7

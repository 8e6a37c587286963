"""Figures 2, 3 and 4: distances from base and correlations of updates, layer by layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixmerge.report import comparison, label, style
from mixmerge.report.entries import FIGURE_FORMATS, figure_entries
from mixmerge.report.geometry import Pair, Profile, read_distances, read_pairs
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.scores import Scores

#: Model -> printed name of a checkpoint -> distances by layer.
Distances = dict[str, dict[str, Profile]]

#: Markers across a panel: more would hide the lines of deep models.
_MARKERS = 9

_HEIGHT = 2.15


def drawn(layout: Layout, model: Model, scores: Scores) -> list[Variant]:
    """Checkpoints in Figures 2 and 4: specialists, mixture, each strategy at its chosen ratio."""
    wanted = {*model.specialists.values(), model.mixture}
    variants = [variant for variant in model.variants if variant.name in wanted]
    return [*variants, *comparison.chosen(layout, model, scores)]


def write_figures(layout: Layout, results: Path, scores: Scores, out: Path) -> None:
    """Draw all figures of the layout into a directory, as SVG and PNG.

    Args:
        layout: what is drawn and how it is called.
        results: the study's directory, with ``weights/``.
        scores: choose each strategy's ratio.
        out: directory of the figures.
    """
    models = [layout.model(key) for key in layout.figure_models]
    distances: Distances = {
        model.title: {
            label.method(layout, variant): read_distances(results, model.key, variant.name)
            for variant in drawn(layout, model, scores)
        }
        for model in models
    }
    pairs = {model.title: read_pairs(layout, model, results) for model in models}
    titles = {task.key: task.title for task in layout.tasks}
    for entry in figure_entries(layout):
        with style.settings():
            if entry.kind == "distance":
                drawing = distance_figure(distances, len(layout.tasks))
            elif entry.kind == "correlation":
                drawing = correlation_figure(pairs, titles)
            else:
                drawing = spread_figure(distances, len(layout.tasks))
            for form in FIGURE_FORMATS:
                title = f"{entry.number}: {entry.labels['shows']}"
                style.save(drawing, out / f"{entry.name}.{form}", title, layout.dpi)


def distance_figure(distances: Distances, tasks: int) -> Any:
    """Figure 2: L2 distance from base by layer; a panel a model, a line a checkpoint.

    Args:
        distances: what is drawn.
        tasks: number of specialists, which come first and are drawn in full lines.
    """
    looks = _looks(distances, tasks)
    drawing, axes = style.figure(len(distances), _HEIGHT)
    for axis, (title, lines) in zip(axes, distances.items(), strict=True):
        depth = max(len(profile.layers) for profile in lines.values())
        for name, profile in lines.items():
            _line(axis, profile, looks, name, depth)
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        _layers_axis(axis)
    _left_label(axes, "L2 distance from base")
    _legend(drawing, [(name, look) for name, look in looks.items()])
    return drawing


def correlation_figure(pairs: dict[str, list[Pair]], titles: dict[str, str]) -> Any:
    """Figure 3: correlation of the specialists' updates by layer; a line a model.

    Args:
        pairs: model's title -> its pairs of updates. A panel each pair of tasks.
        titles: task -> title.
    """
    looks = style.looks(list(pairs), dashes=[0] * len(pairs))
    kinds = [pair.tasks for pair in next(iter(pairs.values()))]
    drawing, axes = style.figure(len(kinds), 2.6 if len(kinds) == 1 else _HEIGHT)
    depth = max(len(found[0].pearson.layers) for found in pairs.values())
    for index, (axis, tasks) in enumerate(zip(axes, kinds, strict=True)):
        for model, found in pairs.items():
            pair, look = found[index], looks[model]
            axis.plot(
                pair.cosine.layers,
                pair.cosine.values,
                color=look.color,
                linestyle=(0, (3, 2)),
                linewidth=0.9,
            )
            _line(axis, pair.pearson, looks, model, depth)
        # The scale of a correlation, not of its noise: unrelated updates lie on 0.
        axis.set_ylim(min(axis.get_ylim()[0], -0.1), 1)
        axis.axhline(0, color="#767676", linewidth=0.7)
        if len(kinds) > 1:
            axis.set_title(" / ".join(titles[task] for task in tasks), fontsize=8)
        _layers_axis(axis)
    _left_label(axes, "Similarity of updates")
    plain = style.Look("#000000", "", "-")
    dashed = style.Look("#000000", "", (0, (3, 2)))
    _legend(drawing, [*looks.items(), ("Pearson r", plain), ("Cosine", dashed)])
    return drawing


def spread_figure(distances: Distances, tasks: int) -> Any:
    """Figure 4: spread of the distances over layers; a panel a model, a box a checkpoint."""
    looks = _looks(distances, tasks)
    longest = max(len(lines) for lines in distances.values())
    drawing, axes = style.figure(len(distances), max(1.6, 0.5 + 0.24 * longest))
    columns = axes[0].get_gridspec().ncols
    for index, (axis, (title, lines)) in enumerate(zip(axes, distances.items(), strict=True)):
        names = list(looks)
        # All panels have the same lines of boxes, so that only the left ones need names.
        boxes = [lines[name].known if name in lines else [] for name in names]
        drawn = axis.boxplot(
            boxes,
            orientation="horizontal",
            widths=0.62,
            patch_artist=True,
            medianprops={"color": "#000000", "linewidth": 1.4},
            flierprops={"marker": "o", "markersize": 2.5, "markeredgecolor": "#4d4d4d"},
        )
        for box, name in zip(drawn["boxes"], names, strict=True):
            box.set(facecolor=looks[name].color, alpha=0.75, edgecolor="#000000", linewidth=0.8)
        axis.set_yticks(range(1, len(names) + 1), names if index % columns == 0 else [])
        axis.invert_yaxis()
        axis.set_xlim(left=0)
        axis.grid(axis="y", visible=False)
        axis.set_title(title)
    drawing.supxlabel("L2 distance from base, over transformer layers", fontsize=8)
    return drawing


def _looks(distances: Distances, tasks: int) -> dict[str, style.Look]:
    """Full lines for specialists, dashed for the mixture, dotted or dash-dotted for merges."""
    names = list(dict.fromkeys(name for lines in distances.values() for name in lines))
    dashes = [0 if i < tasks else 1 if i == tasks else 2 + i % 2 for i in range(len(names))]
    return style.looks(names, dashes)


def _line(axis: Any, profile: Profile, looks: dict[str, style.Look], name: str, depth: int) -> None:
    """Draw a line; its markers are shifted against the others', so that none hides another."""
    look = looks[name]
    step = max(1, depth // _MARKERS)
    shift = list(looks).index(name) * step // len(looks)
    axis.plot(
        profile.layers,
        profile.values,
        color=look.color,
        linestyle=look.dash,
        marker=look.marker,
        markevery=(shift, step),
        markeredgecolor="white",
        markeredgewidth=0.4,
    )


def _left_label(axes: Sequence[Any], text: str) -> None:
    """Name the y axis once a line of panels."""
    columns = axes[0].get_gridspec().ncols
    for axis in axes[::columns]:
        axis.set_ylabel(text)


def _layers_axis(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=2))
    axis.set_xlabel("Transformer layer")


def _legend(drawing: Any, entries: Sequence[tuple[str, style.Look]]) -> None:
    """A legend below all panels, where it can cover nothing."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.color, linestyle=look.dash, marker=look.marker)
        for _, look in entries
    ]
    names = [name for name, _ in entries]
    # In points: handle and gaps take about 50, a letter of this size 4.8.
    widest = 50 + 4.8 * max(len(name) for name in names)
    columns = max(1, min(len(names), int(drawing.get_figwidth() * 72 / widest)))
    drawing.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=3.2)

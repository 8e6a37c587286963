"""Figures 2, 3 and 4: distances from base and correlations of updates, layer by layer.

They survive grey print and colour blindness: colours are Okabe and Ito's (2008), without their
yellow, which is too pale on white, and with a grey for their black, in which a box would hide its
median. Each line also has a marker and, by kind, a dash of its own, so that colour never carries
meaning alone.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

from mixmerge.core.io import atomic_open
from mixmerge.report.layout import FIGURE_FORMATS, Model, Variant, figure_entries
from mixmerge.report.results import Profile, Results, read_distances, read_pairs

#: Model -> printed name of a checkpoint -> distances by layer.
Distances = Mapping[str, Mapping[str, Profile]]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#737373")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_DOTTED = (0, (3, 2))

#: Text width of a two-column page, and height of a panel, in inches.
_PAGE, _HEIGHT = 7.1, 2.15

#: Markers across a panel: more would hide the lines of deep models.
_MARKS = 9

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.2,
    "legend.frameon": False,
    "svg.hashsalt": "mixmerge",  # else the ids in the file are random
    "svg.fonttype": "path",  # looks the same on machines without the font
}


class Look(NamedTuple):
    """How one line or box is drawn: colour, marker and line style in matplotlib's words."""

    color: str
    marker: str
    linestyle: Any


def write_figures(results: Results, root: Path, out: Path) -> None:
    """Draw all figures of the layout into a directory, as SVG and PNG.

    Args:
        results: scores, which choose each strategy's ratio; the layout says what is drawn.
        root: the study's directory, with ``weights/``.
        out: directory of the figures.
    """
    layout, tasks = results.layout, results.layout.tasks
    models = [layout.model(key) for key in layout.figure_models]
    distances: Distances = {
        model.title: {
            layout.method(variant): read_distances(root, model.key, variant.name)[0]
            for variant in drawn(results, model)
        }
        for model in models
    }
    pairs = {model.title: read_pairs(layout, model, root) for model in models}
    for entry in figure_entries(layout):
        with style():
            if entry.kind == "distance":
                figure = distance_figure(distances, len(tasks))
            elif entry.kind == "correlation":
                figure = correlation_figure(pairs, {task.key: task.title for task in tasks})
            else:
                figure = spread_figure(distances, len(tasks))
            for form in FIGURE_FORMATS:
                # No date, no software version: the same numbers give the same file.
                title = f"{entry.number}: {entry.labels['shows']}"
                metadata = {"Title": title, "Date" if form == "svg" else "Software": None}
                with atomic_open(out / f"{entry.name}.{form}", "wb") as file:
                    figure.savefig(file, format=form, dpi=layout.dpi, metadata=metadata)


def drawn(results: Results, model: Model) -> list[Variant]:
    """Checkpoints in Figures 2 and 4: specialists, mixture, each strategy at its chosen ratio."""
    wanted = {*model.specialists.values(), model.mixture}
    return [*(v for v in model.variants if v.name in wanted), *results.chosen(model)]


def style() -> Any:
    """A context in which matplotlib's defaults and our style hold, whatever the user's own say."""
    import matplotlib as mpl

    return mpl.rc_context({**mpl.rcParamsDefault, "backend": "agg", **_SETTINGS})


def distance_figure(distances: Distances, tasks: int) -> Any:
    """Figure 2: L2 distance from base by layer; a panel a model, a line a checkpoint.

    Args:
        distances: what is drawn.
        tasks: number of specialists, which come first and are drawn in full lines.
    """
    looks = _checkpoint_looks(distances, tasks)
    figure, axes = _panels(len(distances), _HEIGHT)
    for axis, (title, lines) in zip(axes, distances.items(), strict=True):
        depth = max(map(len, lines.values()))
        for name, profile in lines.items():
            _line(axis, profile, looks, name, depth)
        axis.set_title(title)
        axis.set_ylim(bottom=0)
    _label_axes(axes, "L2 distance from base")
    _legend(figure, looks)
    return figure


def correlation_figure(
    pairs: Mapping[str, Mapping[tuple[str, str], Mapping[str, Profile]]], titles: Mapping[str, str]
) -> Any:
    """Figure 3: correlation of the specialists' updates by layer; a line a model.

    Args:
        pairs: model's title -> pair of tasks -> their similarity by layer. A panel each pair.
        titles: task -> title.
    """
    looks = make_looks(list(pairs), dashes=[0] * len(pairs))
    kinds = list(next(iter(pairs.values())))
    figure, axes = _panels(len(kinds), 2.6 if len(kinds) == 1 else _HEIGHT)
    depth = max(len(measures[kinds[0]]["pearson"]) for measures in pairs.values())
    for axis, tasks in zip(axes, kinds, strict=True):
        for model, measures in pairs.items():
            cosine, color = measures[tasks]["cosine"], looks[model].color
            points = list(cosine), list(cosine.values())
            axis.plot(*points, color=color, linestyle=_DOTTED, linewidth=0.9)
            _line(axis, measures[tasks]["pearson"], looks, model, depth)
        # The scale of a correlation, not of its noise: unrelated updates lie on 0.
        axis.set_ylim(min(axis.get_ylim()[0], -0.1), 1)
        axis.axhline(0, color="#767676", linewidth=0.7)
        if len(kinds) > 1:
            axis.set_title(" / ".join(titles[task] for task in tasks), fontsize=8)
    _label_axes(axes, "Similarity of updates")
    measured = {"Pearson r": Look("#000000", "", "-"), "Cosine": Look("#000000", "", _DOTTED)}
    _legend(figure, {**looks, **measured})
    return figure


def spread_figure(distances: Distances, tasks: int) -> Any:
    """Figure 4: spread of the distances over layers; a panel a model, a box a checkpoint."""
    looks = _checkpoint_looks(distances, tasks)
    longest = max(map(len, distances.values()))
    figure, axes = _panels(len(distances), max(1.6, 0.5 + 0.24 * longest))
    columns = axes[0].get_gridspec().ncols
    for index, (axis, (title, lines)) in enumerate(zip(axes, distances.items(), strict=True)):
        # All panels have the same lines of boxes, so that only the left ones need names.
        boxes = axis.boxplot(
            [[v for v in lines.get(name, {}).values() if not isnan(v)] for name in looks],
            orientation="horizontal",
            widths=0.62,
            patch_artist=True,
            medianprops={"color": "#000000", "linewidth": 1.4},
            flierprops={"marker": "o", "markersize": 2.5, "markeredgecolor": "#4d4d4d"},
        )
        for box, look in zip(boxes["boxes"], looks.values(), strict=True):
            box.set(facecolor=look.color, alpha=0.75, edgecolor="#000000", linewidth=0.8)
        axis.set_yticks(range(1, len(looks) + 1), list(looks) if index % columns == 0 else [])
        axis.invert_yaxis()
        axis.set_xlim(left=0)
        axis.grid(axis="y", visible=False)
        axis.set_title(title)
    figure.supxlabel("L2 distance from base, over transformer layers", fontsize=8)
    return figure


def make_looks(names: Sequence[str], dashes: Sequence[int] | None = None) -> dict[str, Look]:
    """A look for each name, all different for the first 63 of them.

    Args:
        names: what lines stand for, in the order of the legend.
        dashes: index of each name's dash; by default it changes when the colours are used up.
    """
    looks = {}
    for at, name in enumerate(names):
        dash = dashes[at] if dashes else at // len(_COLOURS)
        color, marker = _COLOURS[at % len(_COLOURS)], _MARKERS[at % len(_MARKERS)]
        looks[name] = Look(color, marker, _DASHES[dash % len(_DASHES)])
    return looks


def _checkpoint_looks(distances: Distances, tasks: int) -> dict[str, Look]:
    """Full lines for specialists, dashed for the mixture, dotted or dash-dotted for merges."""
    names = list(dict.fromkeys(name for lines in distances.values() for name in lines))
    dashes = [0 if i < tasks else 1 if i == tasks else 2 + i % 2 for i in range(len(names))]
    return make_looks(names, dashes)


def _panels(panels: int, height: float) -> tuple[Any, list[Any]]:
    """A figure in a grid sized for a page, and the axes of its panels in reading order."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(panels, 3)
    rows = -(-panels // columns)
    width = 0.66 * _PAGE if panels == 1 else _PAGE
    figure = Figure(figsize=(width, rows * height + 0.55), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def _line(axis: Any, profile: Profile, looks: Mapping[str, Look], name: str, depth: int) -> None:
    """Draw a line; its markers are shifted against the others', so that none hides another."""
    step = max(1, depth // _MARKS)
    shift = list(looks).index(name) * step // len(looks)
    axis.plot(
        list(profile),
        list(profile.values()),
        **looks[name]._asdict(),
        markevery=(shift, step),
        markeredgecolor="white",
        markeredgewidth=0.4,
    )


def _label_axes(axes: Sequence[Any], text: str) -> None:
    """Name the y axis once a line of panels, and every x axis."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=2))
        axis.set_xlabel("Transformer layer")
    for axis in axes[:: axes[0].get_gridspec().ncols]:
        axis.set_ylabel(text)


def _legend(figure: Any, looks: Mapping[str, Look]) -> None:
    """A legend below all panels, where it can cover nothing."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look._asdict()) for look in looks.values()]
    # In points: handle and gaps take about 50, a letter of this size 4.8.
    widest = 50 + 4.8 * max(map(len, looks))
    columns = max(1, min(len(looks), int(figure.get_figwidth() * 72 / widest)))
    names = list(looks)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=3.2)

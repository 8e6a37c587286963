"""Figures 2, 3 and 4: distances from base and correlations of updates, layer by layer.

They survive grey print and colour blindness: colours are Okabe and Ito's (2008), without their pale
yellow, and with a grey for their black; each line also has a marker and, by kind, a dash.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from mixmerge.core.io import atomic_open
from mixmerge.report import templates
from mixmerge.report.layout import FIGURE_FORMATS, Model, Variant, figure_entries
from mixmerge.report.results import Profile, Results, read_distances, read_pairs

Panels = Mapping[str, Mapping[str, Profile]]  # title of a panel -> name of a line -> its values
Looks = Mapping[str, Mapping[str, Any]]  # name of a line -> its color, marker and linestyle

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#737373")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_DOTTED = (0, (3, 2))

_PAGE, _HEIGHT = 7.1, 2.15  # text width of a two-column page and height of a panel, in inches


def write_figures(results: Results, root: Path, out: Path) -> None:
    """Draw all figures of the layout as SVG and PNG; below the study's root is ``weights/``."""
    layout = results.layout
    distances: dict[str, dict[str, Profile]] = {}
    similar: dict[str, dict[str, dict[str, Profile]]] = {"pearson": {}, "cosine": {}}
    for model in map(layout.model, layout.figure_models):
        distances[model.title] = {
            layout.method(variant): read_distances(root, model.key, variant.name)[0]
            for variant in drawn(results, model)
        }
        for tasks, measures in read_pairs(layout, model, root).items():
            pair = " / ".join(layout.task(task).title for task in tasks)
            for measure, panels in similar.items():
                panels.setdefault(pair, {})[model.title] = measures[measure]
    looks = checkpoint_looks(distances, len(layout.tasks))
    model_looks = make_looks(list(distances), [0] * len(distances))
    for entry in figure_entries(layout):
        with style():
            if entry.kind == "spread":
                figure = spread_figure(distances, looks)
            elif entry.kind == "distance":
                figure = line_figure(distances, looks)
            else:
                figure = line_figure(similar["pearson"], model_looks, similar["cosine"])
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

    path = Path(templates.__file__).with_name("figures.mplstyle")
    own = mpl.rc_params_from_file(path, use_default_template=False)
    return mpl.rc_context({**mpl.rcParamsDefault, **own})


def line_figure(panels: Panels, looks: Looks, cosines: Panels | None = None) -> Any:
    """Figure 2; with cosines Figure 3, a panel a pair of tasks, a dotted line for the cosine."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    figure, axes = _grid(len(panels), 2.6 if cosines and len(panels) == 1 else _HEIGHT)
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        step = max(1, max(map(len, lines.values())) // 9)  # more markers would hide deep lines
        for name, profile in lines.items():
            if cosines:
                cosine, dotted = cosines[title][name], {"linestyle": _DOTTED, "linewidth": 0.9}
                axis.plot([*cosine], [*cosine.values()], color=looks[name]["color"], **dotted)
            # Markers are shifted against the others', so that none hides another.
            shift = list(looks).index(name) * step // len(looks)
            marks = {"markevery": (shift, step), "markeredgecolor": "white", "markeredgewidth": 0.4}
            axis.plot([*profile], [*profile.values()], **looks[name], **marks)
        if not cosines:
            axis.set_ylim(bottom=0)
            axis.set_title(title)
        else:
            # The scale of a correlation, not of its noise: unrelated updates lie on 0.
            axis.set_ylim(min(axis.get_ylim()[0], -0.1), 1)
            axis.axhline(0, color="#767676", linewidth=0.7)
            axis.set_title(title if len(panels) > 1 else "", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=2))
        axis.set_xlabel("Transformer layer")
    for axis in axes[:: axes[0].get_gridspec().ncols]:
        axis.set_ylabel("Similarity of updates" if cosines else "L2 distance from base")
    black: dict[str, Any] = {"color": "#000000", "marker": ""}
    measured = {"Pearson r": black | {"linestyle": "-"}, "Cosine": black | {"linestyle": _DOTTED}}
    shown: Looks = {**looks, **(measured if cosines else {})}
    handles = [Line2D([], [], **look) for look in shown.values()]
    # In points: handle and gaps take about 50, a letter of this size 4.8.
    widest = 50 + 4.8 * max(map(len, shown))
    columns = max(1, min(len(shown), int(figure.get_figwidth() * 72 / widest)))
    # Below all panels, where it can cover nothing.
    place: dict[str, Any] = {"loc": "outside lower center", "ncols": columns, "handlelength": 3.2}
    figure.legend(handles, list(shown), **place)
    return figure


def spread_figure(distances: Panels, looks: Looks) -> Any:
    """Figure 4: spread of the distances over layers; a panel a model, a box a checkpoint."""
    height = max(1.6, 0.5 + 0.24 * max(map(len, distances.values())))
    figure, axes = _grid(len(distances), height)
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
            box.set(facecolor=look["color"], alpha=0.75, edgecolor="#000000", linewidth=0.8)
        axis.set_yticks(range(1, len(looks) + 1), list(looks) if index % columns == 0 else [])
        axis.invert_yaxis()
        axis.set_xlim(left=0)
        axis.grid(axis="y", visible=False)
        axis.set_title(title)
    figure.supxlabel("L2 distance from base, over transformer layers", fontsize=8)
    return figure


def make_looks(names: Sequence[str], dashes: Sequence[int] | None = None) -> Looks:
    """A look for each name, different for the first 63; a new dash when the colours are used up."""
    looks: dict[str, dict[str, Any]] = {}
    for at, name in enumerate(names):
        dash = dashes[at] if dashes else at // len(_COLOURS)
        color, marker = _COLOURS[at % len(_COLOURS)], _MARKERS[at % len(_MARKERS)]
        looks[name] = {"color": color, "marker": marker, "linestyle": _DASHES[dash % len(_DASHES)]}
    return looks


def checkpoint_looks(distances: Panels, tasks: int) -> Looks:
    """Full lines for specialists, dashed for the mixture, dotted or dash-dotted for merges."""
    names = list(dict.fromkeys(name for lines in distances.values() for name in lines))
    dashes = [0 if i < tasks else 1 if i == tasks else 2 + i % 2 for i in range(len(names))]
    return make_looks(names, dashes)


def _grid(panels: int, height: float) -> tuple[Any, list[Any]]:
    """A figure in a grid sized for a page, and the axes of its panels in reading order."""
    from matplotlib.figure import Figure

    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(panels, 3)
    rows = -(-panels // columns)
    width = 0.66 * _PAGE if panels == 1 else _PAGE
    figure = Figure(figsize=(width, rows * height + 0.55), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]

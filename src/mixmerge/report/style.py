"""How figures look: colours, markers and dashes that survive grey print and colour blindness.

Colours are Okabe and Ito's (2008), without their yellow, which is too pale on white, and with a
grey for their black, in which a box would hide its median. Each line also has a marker and, by
kind, a dash of its own, so that colour never carries meaning alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#737373")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))

#: Text width of a two-column page, in inches.
_PAGE = 7.1

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


@dataclass(frozen=True)
class Look:
    """How one line or box is drawn."""

    color: str
    """Colour, hexadecimal."""

    marker: str
    """Marker's code in matplotlib."""

    dash: Any
    """Line style in matplotlib."""


def looks(names: Sequence[str], dashes: Sequence[int] | None = None) -> dict[str, Look]:
    """A look for each name, all different for the first 63 of them.

    Args:
        names: what lines stand for, in the order of the legend.
        dashes: index of each name's dash; by default it changes when the colours are used up.
    """
    found = {}
    for index, name in enumerate(names):
        dash = dashes[index] if dashes else index // len(_COLOURS)
        found[name] = Look(
            color=_COLOURS[index % len(_COLOURS)],
            marker=_MARKERS[index % len(_MARKERS)],
            dash=_DASHES[dash % len(_DASHES)],
        )
    return found


def figure(panels: int, height: float) -> tuple[Any, list[Any]]:
    """A figure with so many panels in a grid, sized for a page.

    Args:
        panels: number of panels, at least 1.
        height: height of a panel in inches.

    Returns:
        The matplotlib figure and its axes in reading order.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(panels, 3)
    rows = -(-panels // columns)
    width = 0.66 * _PAGE if panels == 1 else _PAGE
    drawing = Figure(figsize=(width, rows * height + 0.55), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return drawing, axes[:panels]


def settings() -> Any:
    """A context in which matplotlib's defaults and this style hold, whatever the user's own say."""
    import matplotlib as mpl

    return mpl.rc_context({**mpl.rcParamsDefault, "backend": "agg", **_SETTINGS})


def save(drawing: Any, path: Path, title: str, dpi: int) -> None:
    """Write a figure as SVG or PNG, by the path's suffix, with the same bytes each time.

    Args:
        drawing: the matplotlib figure.
        path: target, ``.svg`` or ``.png``; written atomically.
        title: description in the file's metadata, for screen readers and search.
        dpi: resolution of a PNG.
    """
    from mixmerge.core.io import atomic_open

    form = path.suffix.removeprefix(".")
    # No date, no software version: the same numbers give the same file.
    metadata = (
        {"Title": title, "Date": None} if form == "svg" else {"Title": title, "Software": None}
    )
    with atomic_open(path, "wb") as file:
        drawing.savefig(file, format=form, dpi=dpi, metadata=metadata)

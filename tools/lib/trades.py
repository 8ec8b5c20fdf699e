"""Quality against cost, a figure for each pair."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import ScalarFormatter
from matplotlib.transforms import Bbox

from latentbench import figures
from latentbench.evaluation import columns
from tools.lib.pages import Picture

_DPI = 100
_POINT = 4  # half the side of a point, in pixels


@dataclass(frozen=True)
class Axis:
    """A column to draw, and its name on the axis."""

    column: str
    name: str


_QUALITIES = (
    Axis("knn_accuracy", "kNN accuracy on the test images"),
    Axis("frechet", "Fréchet distance (lower is better)"),
)
# Offsets of a label from its point, and its alignment; the first free place is used.
_PLACES: tuple[tuple[tuple[float, float], Literal["left", "right"]], ...] = (
    ((5, 4), "left"),
    ((-5, 4), "right"),
    ((5, -11), "left"),
    ((-5, -11), "right"),
    ((5, 16), "left"),
    ((-5, 16), "right"),
)
_COSTS = (Axis("fit_s", "seconds to fit"), Axis("model_bytes", "bytes of the model"))


def pictures(glance: pd.DataFrame) -> Iterator[Picture]:
    """Yield each quality over each cost, for the rows that have both.

    Args:
        glance: a line for each row, with the qualities, their `_lo` and `_hi`, and the costs.
    """
    for quality in _QUALITIES:
        for cost in _COSTS:
            if {quality.column, cost.column} <= set(glance):
                there = glance.dropna(subset=[quality.column, cost.column])
                there = there[there[cost.column] > 0]  # raw pixels cost nothing, and the axis is logarithmic
                if len(there) > 1:
                    pixels = glance.loc[glance["row"] == "raw", quality.column].dropna()
                    yield _picture(there, cost, quality, float(pixels.iloc[0]) if len(pixels) else None)


def _picture(table: pd.DataFrame, cost: Axis, quality: Axis, pixels: float | None) -> Picture:
    larger = columns.better(quality.column) == "higher"
    x, y = (table[axis.column].to_numpy(dtype=float) for axis in (cost, quality))
    front = np.array([not _beaten(i, x, y if larger else -y) for i in range(len(table))])
    figure = figures.trade(np.stack([x, y], axis=1), list(table["row"]), front, (cost.name, quality.name))
    (axes,) = figure.axes
    ends = [table.get(f"{quality.column}{end}", table[quality.column]).to_numpy(dtype=float) for end in ("_lo", "_hi")]
    if quality.column == "frechet":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.errorbar(x, y, yerr=[y - ends[0], ends[1] - y], fmt="none", ecolor="tab:blue", capsize=3)
    if pixels is not None:
        axes.axhline(pixels, linestyle=":", color="tab:gray", label="raw pixels")
    axes.margins(x=0.25, y=0.08)
    axes.legend(loc="best", fontsize=8)
    _part_labels(figure)
    room = io.BytesIO()
    figure.savefig(room, format="png", dpi=_DPI, metadata={"Software": None})
    best = ", ".join(table["row"][front])
    return Picture(
        room.getvalue(),
        f"{quality.name} against {cost.name}",
        f"{quality.name} against {cost.name}, with 95% intervals; no row is better and cheaper than {best}.",
    )


def _part_labels(figure: Figure) -> None:
    """Move the label of each point so that it is inside the axes and covers no other label, if there is room."""
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    (axes,) = figure.axes
    inside, taken = axes.get_window_extent(), [each.get_window_extent() for each in [axes.get_legend()] if each]
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    points = axes.transData.transform([label.xy for label in labels])
    taken += [Bbox.from_extents(*(point - _POINT), *(point + _POINT)) for point in points]
    for label in labels:
        for place, side in _PLACES:
            label.set_position(place)
            label.set_horizontalalignment(side)
            box = label.get_window_extent()
            if inside.x0 < box.x0 and box.x1 < inside.x1 and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def _beaten(i: int, costs: np.ndarray, qualities: np.ndarray) -> bool:
    """Return whether some other row is at least as cheap and as good as this one, and better in one of them."""
    no_worse = (costs <= costs[i]) & (qualities >= qualities[i])
    return bool((no_worse & ((costs < costs[i]) | (qualities > qualities[i]))).any())

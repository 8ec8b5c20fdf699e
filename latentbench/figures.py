"""Pictures: arrays in, matplotlib figures out. Nothing here reads or writes a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from latentbench.mosaics import mosaic

_SCATTER_INK = 20_000.0  # points times their area: many points are drawn small
_MOST_DOTS = 60_000  # in a scatter plot: more hide each other, and take minutes
_DPI = 100  # at which figures are written
_TILE = 56  # approximate side, in pixels, of an image drawn at a whole multiple of its size
_SHADES = 15  # of grey, plus white: enough to see, at a fraction of the file size


def is_grey(images: np.ndarray) -> bool:
    """Return whether images (..., c, h, w) have no colour: a palette of 256 loses nothing then."""
    return bool(images.shape[-3] == 1)


def no_labels() -> Figure:
    """Return a placeholder for a figure about classes, which says that the images have no labels."""
    figure = Figure(figsize=(4.0, 0.6))
    figure.text(0.5, 0.5, "not available: the images have no labels", ha="center", va="center", fontsize=9)
    return figure


def image_grid(images: np.ndarray, row_labels: Sequence[str] = (), title: str = "", *, signed: bool = False) -> Figure:
    """Draw images (rows, columns, c, h, w), grey ones dark on light.

    uint8 values range from 0 to 255, floats from 0 to 1. Those of `signed` images are scaled by the largest magnitude:
    grey ones go from blue through white to red, each channel of others from none through half to all of its colour.
    """
    n_rows, n_columns, channels, height, width = images.shape
    gap = 2
    whole = mosaic(images.astype(np.float64), gap, np.nan)
    size = 0.65
    label_width = 0.11 * max((len(label) for label in row_labels), default=0)
    shape = (size * n_columns * width / height + label_width + 0.3, size * n_rows + (0.4 if title else 0.1))
    figure = Figure(figsize=shape, layout="compressed")
    axes = figure.add_subplot()
    limit = float(np.nanmax(np.abs(whole))) if signed else 255.0 if images.dtype == np.uint8 else 1.0
    if channels == 1:
        shades, low = ("RdBu_r", -limit) if signed else ("gray_r", 0.0)
        axes.imshow(whole[..., 0], cmap=shades, vmin=low, vmax=limit, interpolation="nearest")
    else:
        colours = (whole / limit + 1.0) / 2.0 if signed else whole / limit
        axes.imshow(np.nan_to_num(colours, nan=1.0), interpolation="nearest")
    axes.set_frame_on(False)
    axes.set_xticks([])
    ticks = [i * (height + gap) + height / 2 for i in range(n_rows)] if row_labels else []
    axes.set_yticks(ticks, labels=list(row_labels))
    axes.tick_params(length=0)
    if title:
        axes.set_title(title, fontsize=10)
    return figure


def tiles(
    images: np.ndarray,
    row_labels: Sequence[str] = (),
    title: str = "",
    captions: Sequence[Sequence[str]] = (),
) -> Figure:
    """Draw images (rows, columns, c, h, w) in [0, 1] at whole pixels, grey ones dark on light.

    Grey ones are drawn in few shades: for grids of hundreds of images, the file is a quarter of the size that
    `image_grid` gives.

    Args:
        images: floats.
        row_labels: beside the rows, one line or more each.
        title: above the grid.
        captions: below each image, two lines at most.
    """
    _, _, channels, height, width = images.shape
    scale = max(1, round(_TILE / height))
    gap, below = 4, 24 if captions else 0
    step_down, step_right = scale * height + gap + below, scale * width + gap
    shown = np.rint(images * _SHADES) / _SHADES if channels == 1 else images.clip(0.0, 1.0)
    enlarged = shown.repeat(scale, axis=3).repeat(scale, axis=4)
    ground = 0.0 if channels == 1 else 1.0  # white
    canvas = np.pad(
        mosaic(enlarged, (gap + below, gap), ground), ((0, gap + below), (0, gap), (0, 0)), constant_values=ground
    )
    longest = max((len(line) for label in row_labels for line in label.split("\n")), default=0)
    beside, above = 7 * longest + 12, 26 if title else 4
    total_width, total_height = max(beside + canvas.shape[1] + 4, 7 * len(title) + 12), above + canvas.shape[0]
    figure = Figure(figsize=(total_width / _DPI, total_height / _DPI), dpi=_DPI)
    drawn = canvas[..., 0] if channels == 1 else canvas
    figure.figimage(drawn, beside, 0, cmap="gray_r", vmin=0.0, vmax=1.0, origin="upper")

    def write(text: str, right: float, down: float, size: float, **placed: Any) -> None:
        figure.text(right / total_width, 1.0 - down / total_height, text, fontsize=size, linespacing=1.0, **placed)

    write(title, 6, 5, 9, va="top", ha="left")
    for row, label in enumerate(row_labels):
        write(label, beside - 6, above + row * step_down + scale * height / 2, 8, va="center", ha="right")
    for row, texts in enumerate(captions):
        for column, text in enumerate(texts):
            middle = beside + column * step_right + scale * width / 2
            write(text, middle, above + row * step_down + scale * height + 1, 6, va="top", ha="center")
    return figure


def class_maps(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]], labels: np.ndarray, classes: Sequence[str], title: str
) -> Figure:
    """Draw maps of the same points side by side, coloured by class, each class named at its centroid.

    Args:
        panels: the title of each map, its points (n, 2), and the centroids (n_classes, 2), NaN for an empty class.
        labels: (n,) indices into `classes`.
        classes: their names.
        title: above all maps.
    """
    figure = Figure(figsize=(4.0 * len(panels), 4.3), layout="constrained")
    colours = _class_colours(len(classes))
    for place, (name, points, centroids) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        _class_dots(axes, points, labels, colours)
        _name_centroids(axes, centroids, classes, colours)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10)
    return figure


def scatter(
    points: np.ndarray, labels: np.ndarray, classes: Sequence[str], axis_names: tuple[str, str], title: str
) -> Figure:
    """Draw points (n, 2) coloured by class, in a fixed random order so that no class hides the others.

    Above 60,000 points, only every second one is drawn, or every third, and so on.
    """
    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    axes = figure.add_subplot()
    colours = _class_colours(len(classes))
    step = max(1, -(-len(points) // _MOST_DOTS))
    points, labels = points[::step], labels[::step]
    _class_dots(axes, points, labels, colours)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name)
        for colour, name in zip(colours, classes, strict=True)
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, ncols=-(-len(classes) // 26))
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.set_title(title, fontsize=10)
    return figure


def cumulative_variance(shares: np.ndarray, marks: Mapping[str, int]) -> Figure:
    """Draw the cumulative share of variance, given the shares (p,), and mark named numbers of components."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    cumulative = np.cumsum(shares)
    axes.plot(np.arange(1, len(shares) + 1), cumulative)
    for name, count in marks.items():
        axes.plot(count, cumulative[count - 1], "o", label=f"{name}: {count} components")
    axes.set_xlabel("number of components")
    axes.set_ylabel("share of the variance explained")
    axes.set_ylim(0.0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def curves(x: Sequence[float], values: Mapping[str, np.ndarray], axis_names: tuple[str, str]) -> Figure:
    """Draw a line for each name, through values (n,) at x (n,), with a logarithmic x axis."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, heights in values.items():
        axes.plot(x, heights, "o-", markersize=4, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, labels=[f"{each:g}" for each in x], fontsize=8, rotation=45)
    axes.minorticks_off()
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


@dataclass(frozen=True)
class Line:
    """A score as a function of a param.

    Attributes:
        label: in the legend; "" for none.
        x: n values of the param, numbers or words.
        values, lows, highs: (n,) the score, and the ends of its interval: the score itself if it has none.
    """

    label: str
    x: Sequence[Any]
    values: np.ndarray
    lows: np.ndarray
    highs: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Lines on the same axes: joined, or only their points."""

    title: str
    axis_name: str
    lines: Sequence[Line]
    joined: bool = True


def sweep(panels: Sequence[Panel]) -> Figure:
    """Draw panels, two per row, with a logarithmic axis if all values of a param are positive numbers."""
    n_rows = -(-len(panels) // 2)
    figure = Figure(figsize=(6.4, 2.2 * n_rows), layout="constrained")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(n_rows, 2, place)
        there = list(dict.fromkeys(each for line in panel.lines for each in line.x))
        numbers = all(isinstance(each, int | float) for each in there)
        for line in panel.lines:
            x = line.x if numbers else [there.index(each) for each in line.x]
            ends = [line.values - line.lows, line.highs - line.values]
            style = "o-" if panel.joined else "o"
            axes.errorbar(x, line.values, yerr=ends, fmt=style, markersize=4, capsize=3, label=line.label)
        if numbers and min(there) > 0:
            axes.set_xscale("log")
        if panel.joined:
            ticks = there if numbers else list(range(len(there)))
            axes.set_xticks(ticks, labels=[f"{each:g}" if numbers else str(each) for each in there])
            axes.minorticks_off()
        axes.tick_params(labelsize=8, which="both")
        axes.tick_params(axis="x", rotation=45)
        axes.set_title(panel.title, fontsize=9)
        axes.set_xlabel(panel.axis_name, fontsize=8)
        axes.grid(alpha=0.3)
    if panels and any(line.label for line in panels[0].lines):
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", fontsize=8, ncols=3)
    return figure


def trade(points: np.ndarray, labels: Sequence[str], front: np.ndarray, axis_names: tuple[str, str]) -> Figure:
    """Draw points (n, 2), each with its label, and a line through those on the `front`, (n,) bool."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    best = points[front][points[front][:, 0].argsort()]
    axes.plot(best[:, 0], best[:, 1], "-", color="tab:orange", label="none is better in both")
    axes.plot(points[:, 0], points[:, 1], "o", markersize=5)
    for (x, y), label in zip(points, labels, strict=True):
        axes.annotate(label, (x, y), (5, 4), textcoords="offset points", fontsize=8)
    if points[:, 0].min() > 0:
        axes.set_xscale("log")
    axes.margins(x=0.18, y=0.08)
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    return figure


def panels(scatters: Sequence[tuple[str, np.ndarray, np.ndarray]], n_columns: int) -> Figure:
    """Draw a grid of titled scatters, each of points (n, 2) coloured by values (n,), from left to right."""
    n_rows = -(-len(scatters) // n_columns)
    figure = Figure(figsize=(2.0 * n_columns, 1.9 * n_rows), layout="constrained")
    for place, (title, points, values) in enumerate(scatters, start=1):
        axes = figure.add_subplot(n_rows, n_columns, place)
        axes.scatter(points[:, 0], points[:, 1], c=values, s=3, linewidths=0, cmap="viridis", rasterized=True)
        axes.set_title(title, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def dots_with_intervals(
    names: Sequence[str], values: np.ndarray, lows: np.ndarray, highs: np.ndarray, axis_name: str
) -> Figure:
    """Draw a horizontal dot for each name with its interval, the first name on top."""
    figure = Figure(figsize=(6.4, 0.38 * len(names) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    positions = np.arange(len(names))
    axes.errorbar(values, positions, xerr=[values - lows, highs - values], fmt="o", capsize=3)
    for position, value in zip(positions, values, strict=True):
        axes.annotate(f"{value:.4g}", (value, position), (0, 5), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(positions, labels=list(names))
    axes.invert_yaxis()
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.margins(x=0.08)
    _light_grid(axes)
    axes.set_xlabel(axis_name)
    return figure


def _name_centroids(axes: Axes, centroids: np.ndarray, classes: Sequence[str], colours: np.ndarray) -> None:
    """Mark centroids (n_classes, 2) and write their names above them, moved up as far as names would overlap."""
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    inches = (centroids - low) / (high - low) * 3.6  # the side of a map is about this long
    taken: list[tuple[float, float, float]] = []  # of each name: its middle, half its width, and its height
    for label in np.argsort(inches[:, 1]):
        if not np.isfinite(centroids[label]).all():
            continue
        middle, up = inches[label]
        half, height = 0.03 * len(classes[label]), 0.13
        lifted = up + 0.07
        while any(abs(middle - x) < half + w and abs(lifted - y) < height for x, w, y in taken):
            lifted += 0.02
        taken.append((middle, half, lifted))
        axes.plot(*centroids[label], "o", markersize=5, color=colours[label], mec="black", mew=0.8)
        note = axes.annotate(
            classes[label],
            centroids[label],
            (0.0, 72.0 * (lifted - up)),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0.0, "shrinkB": 2.0},
        )
        note.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


def _light_grid(axes: Axes) -> None:
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _class_dots(axes: Axes, points: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> None:
    """Draw points (n, 2) in the colours of their classes, in a fixed random order so that no class hides the others."""
    order = np.random.default_rng(0).permutation(len(points))
    axes.scatter(
        points[order, 0],
        points[order, 1],
        s=np.clip(_SCATTER_INK / len(points), 0.5, 8.0),
        c=colours[labels[order]],
        linewidths=0,
        rasterized=True,
    )


def _class_colours(n_classes: int) -> np.ndarray:
    if n_classes <= 10:
        return np.asarray(colormaps["tab10"](np.arange(n_classes)))
    return np.asarray(colormaps["turbo"](np.linspace(0.0, 1.0, n_classes)))

"""Cut the rows of a grid of images out of the picture that a stage drew, to show each beside its numbers."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from latentbench import figures
from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError

_GAP = 2  # pixels of the images between rows, as `figures.image_grid` leaves them
_DPI = 100


class StripsError(LatentbenchError):
    """A picture is not the expected grid."""


def cut(path: Path, labels: Sequence[str], shape: tuple[int, int, int, int]) -> dict[str, bytes]:
    """Return each row of a grid that `figures.image_grid` drew, as PNG, by its label.

    The places of the images are not measured in the picture: an empty grid with the same labels and shape is laid out.

    Args:
        path: of the picture.
        labels: of its rows.
        shape: of a row of images: how many, channels, height, width.

    Raises:
        ArtifactError: there is no such picture.
        StripsError: its size does not match such a grid.
    """
    n_columns, channels, height, width = shape
    figure = figures.image_grid(np.zeros((len(labels), *shape), dtype=np.uint8), labels)
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    with Image.open(io.BytesIO(artifacts.read_bytes(path))) as opened:
        picture = opened.convert("RGB")
    if picture.size != canvas.get_width_height():
        raise StripsError(
            f"{path.as_posix()} has {picture.size} pixels, but a grid of {len(labels)} rows of {n_columns} images of "
            f"{channels} x {height} x {width} has {canvas.get_width_height()}: run 'make repro' to draw it again"
        )
    place = figure.axes[0].get_window_extent()
    top = picture.height - place.y1
    step = place.height / (len(labels) * (height + _GAP) - _GAP)  # picture pixels per image pixel
    found = {}
    for row, label in enumerate(labels):
        above = top + row * (height + _GAP) * step
        box = (round(place.x0), round(above), round(place.x1), round(above + height * step))
        room = io.BytesIO()
        picture.crop(box).save(room, format="png", optimize=True)
        found[label] = room.getvalue()
    return found

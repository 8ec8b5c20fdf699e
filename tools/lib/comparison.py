"""The picture of the whole comparison: test images as each row rebuilds them, the images it draws, and its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from latentbench.core import artifacts
from latentbench.data.dataset import Dataset
from latentbench.methods.base import Decodes, Represents
from latentbench.mosaics import mosaic
from latentbench.params import file
from stages import densities, fitted, paths

_N_REBUILT, _N_DRAWN = 6, 7
_DPI = 100
_TILE, _GAP = 56, 4  # pixels
_BESIDE, _BETWEEN, _ABOVE = 176, 132, 30
_REAL = "real images"


@dataclass(frozen=True)
class Line:
    """A line of the picture.

    Attributes:
        name: of the row.
        rebuilt: (_N_REBUILT, c, h, w) in [0, 1]; None if it cannot be turned back into images.
        drawn: (_N_DRAWN, c, h, w) in [0, 1]; None if it draws none.
        below: its numbers as a representation, in a few words.
        beside: its numbers as a generator, in a few words.
    """

    name: str
    rebuilt: np.ndarray | None
    drawn: np.ndarray | None
    below: str = ""
    beside: str = ""


def lines(root: Path) -> list[Line]:
    """Return the lines of the picture of the run in the workspace, which is the current folder.

    Raises:
        ArtifactError: the run's models, samples or tables are missing.
    """
    params = file.load(root / "params.yaml")
    dataset = Dataset(root / paths.PROCESSED)
    tables = root / paths.METRICS / "evaluate"
    representations = artifacts.read_json(tables / "representations.json")
    generators = artifacts.read_json(tables / "generators.json")
    chosen = _one_of_each_class(dataset)
    real = np.array(dataset.test_images[chosen])
    found = [Line(_REAL, real / 255.0, _drawn(dataset.test_images[len(dataset.test_images) // 2 :]))]
    for row in params.rows.all():
        method = fitted.load(row)
        rebuilt, drawn, drawer = None, None, row
        if isinstance(method, Represents) and isinstance(method, Decodes):
            n_compared = method.n_compared(params.latent_dim)
            rebuilt = method.decode(artifacts.read_array(root / paths.embedding(row, "test"))[chosen, :n_compared])
        if (root / paths.samples(row)).exists():
            drawn = _drawn(artifacts.read_array(root / paths.samples(row)))
        elif (root / densities.folder(row)).is_dir() and densities.read_list(root / densities.folder(row)):
            density = densities.read_list(root / densities.folder(row))[-1]
            drawn = _drawn(artifacts.read_array(root / densities.samples(row, density)))
            drawer = densities.name(row, density)
        if rebuilt is not None or drawn is not None:
            below, beside = _told(representations.get(row, {})), _told(generators.get(drawer, {}))
            if drawer != row:
                beside = f"{drawer.removeprefix(row)}\n{beside}"
            found.append(Line(row, rebuilt, drawn, below, beside))
    return found


def _one_of_each_class(dataset: Dataset) -> list[int]:
    """Return the first test image of each of _N_REBUILT classes, or the first ones if there are fewer classes."""
    if not dataset.labelled or len(dataset.classes) < _N_REBUILT:
        return list(range(_N_REBUILT))
    firsts = [int(np.argmax(dataset.test_labels == label)) for label in range(len(dataset.classes))]
    return sorted(firsts)[:_N_REBUILT]


def _drawn(images: np.ndarray) -> np.ndarray:
    return np.array(images[:_N_DRAWN]) / 255.0


def _told(scores: Mapping[str, Any]) -> str:
    parts = {
        "mse": "error {:.4f}",
        "knn_accuracy": "kNN {:.1%}",
        "frechet": "Fréchet {:.0f}",
        "coverage": "coverage {:.0%}",
    }
    return "\n".join(text.format(scores[name]) for name, text in parts.items() if name in scores)


def figure(shown: list[Line]) -> Figure:
    """Draw the lines: rebuilt images on the left, drawn ones on the right, each with its numbers beside it."""
    channels, height, width = shown[0].rebuilt.shape[1:] if shown[0].rebuilt is not None else (1, 28, 28)
    scale = max(1, round(_TILE / height))
    step_down, step_right = scale * height + _GAP, scale * width + _GAP
    left, right = _BESIDE, _BESIDE + _N_REBUILT * step_right + _BETWEEN
    total_width, total_height = right + _N_DRAWN * step_right + _GAP, _ABOVE + len(shown) * step_down
    picture = Figure(figsize=(total_width / _DPI, total_height / _DPI), dpi=_DPI)
    ground = 0.0 if channels == 1 else 1.0  # white: grey images are drawn dark on light
    options: dict[str, Any] = {"cmap": "gray_r", "vmin": 0.0, "vmax": 1.0, "origin": "upper"}

    def write(text: str, x: float, y: float, size: float, **placed: Any) -> None:
        picture.text(x / total_width, 1.0 - y / total_height, text, fontsize=size, **placed)

    for x, n, title in ((left, _N_REBUILT, "test images, rebuilt"), (right, _N_DRAWN, "new images, not selected")):
        write(title, x + n * step_right / 2, _ABOVE / 2, 10, ha="center", va="center", fontweight="bold")
    for place, line in enumerate(shown):
        top = _ABOVE + place * step_down
        middle = top + scale * height / 2
        write(line.name, 8, middle, 10, ha="left", va="center")
        write(line.below, left - 10, middle, 7.5, ha="right", va="center", linespacing=1.3)
        write(line.beside, right - 10, middle, 7.5, ha="right", va="center", linespacing=1.3)
        for x, images in ((left, line.rebuilt), (right, line.drawn)):
            if images is not None:
                large = images.clip(0.0, 1.0).repeat(scale, axis=2).repeat(scale, axis=3)
                whole = mosaic(large[None], (0, _GAP), ground)
                y = total_height - top - whole.shape[0]  # from the bottom
                picture.figimage(whole[..., 0] if channels == 1 else whole, x, y, **options)
    return picture


def write(root: Path, path: Path) -> None:
    """Draw the run in the workspace into a PNG file.

    Raises:
        ArtifactError: the run's models, samples or tables are missing.
    """
    shown = lines(root)
    grey = all(each is None or each.shape[1] == 1 for line in shown for each in (line.rebuilt, line.drawn))
    artifacts.write_figure(path, figure(shown), palette=grey)

"""Rows of images are cut where they were drawn; quality is drawn against cost."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from latentbench import figures
from latentbench.core import artifacts
from tools.lib import strips, trades
from tools.lib.strips import StripsError


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (3, 3, 20, 32)])
def test_each_row_is_cut_whole_and_without_its_neighbours(tmp_path: Path, shape: tuple[int, int, int, int]) -> None:
    labels, levels = ["original", "a_long_label", "b"], [40, 120, 200]
    images = np.stack([np.full(shape, level, dtype=np.uint8) for level in levels])
    path = tmp_path / "grid.png"
    artifacts.write_figure(path, figures.image_grid(images, labels))
    found = strips.cut(path, labels, shape)
    assert list(found) == labels
    for label, level in zip(labels, levels, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(found[label])).convert("L"), dtype=float)
        drawn = 255 - level if shape[1] == 1 else level  # grey ones are dark on light
        share = (np.abs(pixels - drawn) < 3).mean()
        gaps = 2 * (shape[0] - 1) / (shape[0] * (shape[3] + 2) - 2)
        assert share > 1 - gaps - 0.06, "what is left of the other rows and the gaps between columns"
        assert pixels.shape[1] / pixels.shape[0] == pytest.approx((shape[0] * (shape[3] + 2) - 2) / shape[2], rel=0.04)


def test_a_picture_of_other_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    artifacts.write_figure(path, figures.image_grid(np.zeros((2, 4, 1, 28, 28)), ["a", "b"]))
    with pytest.raises(StripsError, match=r"grid.png has .* pixels, but a grid of 3 rows of 4 images of 1 x 28 x 28"):
        strips.cut(path, ["a", "b", "c"], (4, 1, 28, 28))


def test_quality_is_drawn_against_cost_and_names_what_nothing_beats() -> None:
    glance = pd.DataFrame(
        {
            "row": ["raw", "cheap", "good", "beaten", "draws"],
            "knn_accuracy": [0.85, 0.8, 0.9, 0.79, np.nan],
            "frechet": [np.nan, 100.0, np.nan, 200.0, 10.0],
            "model_bytes": [0.0, 10.0, 1000.0, 20.0, 5000.0],
            "fit_s": [np.nan, 1.0, 100.0, 2.0, 300.0],
        }
    ).assign(knn_accuracy_lo=lambda table: table["knn_accuracy"] - 0.01)
    glance["knn_accuracy_hi"] = glance["knn_accuracy"] + 0.01
    found = list(trades.pictures(glance))
    assert [picture.name.rpartition(" against ")[2] for picture in found] == [
        "seconds to fit",
        "bytes of the model",
    ] * 2
    assert all(picture.meaning.endswith("than cheap, good.") for picture in found[:2])
    assert all(picture.meaning.endswith("than cheap, draws.") for picture in found[2:])
    assert all(isinstance(picture.source, bytes) and picture.source.startswith(b"\x89PNG") for picture in found)
    assert list(trades.pictures(glance[glance["row"] == "good"])) == []

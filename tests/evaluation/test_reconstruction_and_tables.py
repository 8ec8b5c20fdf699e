"""Reconstruction errors and the tables for people."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_squared_error

from latentbench.evaluation import reconstruction, tables


def test_error_is_scikit_learns_and_zero_for_the_original(images: np.ndarray, rng: np.random.Generator) -> None:
    some = images[:2500]
    guess = rng.random(some.shape)
    expected = mean_squared_error(some.ravel() / 255, guess.ravel())
    assert reconstruction.mean_squared_error(some, guess) == pytest.approx(expected)
    assert reconstruction.mean_squared_error(some, some / 255) == 0


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        reconstruction.mean_squared_error(np.zeros((2, 3, 3), dtype=np.uint8), np.zeros((2, 9)))


def test_a_value_shares_its_cell_with_its_interval() -> None:
    table = pd.DataFrame(
        {"row": ["raw", "pca"], "dims": [784.0, 64.0], "a": [0.85551, 0.5], "a_lo": [0.8, 0.4], "a_hi": [0.9, 0.6]}
    ).assign(mse=[float("nan"), 0.0123456])
    assert tables.markdown(table) == (
        "| row | dims | a | mse |\n|---|---|---|---|\n"
        "| raw | 784 | 0.8555 (0.8 to 0.9) |  |\n| pca | 64 | 0.5 (0.4 to 0.6) | 0.01235 |\n"
    )

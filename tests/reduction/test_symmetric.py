"""A symmetric matrix in half the room, against a square one."""

from pathlib import Path

import numpy as np
import pytest

from latentbench.reduction.symmetric import SymmetricMatrix


@pytest.mark.parametrize("n", [1, 511, 512, 513, 1300])
@pytest.mark.parametrize("on_disk", [False, True])
def test_it_is_the_square_matrix(n: int, on_disk: bool, rng: np.random.Generator, tmp_path: Path) -> None:
    square = rng.normal(size=(n, n)).astype(np.float32)
    square += square.T
    ours = SymmetricMatrix(n, tmp_path / "matrix.npy" if on_disk else None)
    order = rng.permutation(n)
    for places in np.array_split(order, 7):
        ours.set_rows(places, square[places])
    some = rng.integers(0, n, 50)
    assert np.array_equal(ours.rows(some), square[some])
    assert np.array_equal(ours.rows(np.arange(n)), square)
    vector = rng.normal(size=n)
    expected = np.square(square.astype(np.float64)) @ vector
    np.testing.assert_allclose(ours.times_squares(vector), expected, rtol=1e-9, atol=1e-9)


def test_it_takes_little_more_than_half_the_room(tmp_path: Path) -> None:
    SymmetricMatrix(6000, tmp_path / "matrix.npy")
    assert (tmp_path / "matrix.npy").stat().st_size < 0.56 * 4 * 6000**2

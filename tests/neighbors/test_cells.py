"""The search in cells, against the exact one."""

import numpy as np
import pytest

from latentbench.core.errors import InputError
from latentbench.neighbors import cells
from latentbench.neighbors.search import Turn, nearest


def test_all_cells_find_all_neighbours(points: np.ndarray) -> None:
    found = cells.nearest_in_cells(points[:900], 6, 30, np.random.default_rng(0))
    exact = nearest(points[:900], points[:900], 6, exclude_self=True)
    assert np.array_equal(found.indices, exact.indices)
    assert np.array_equal(found.distances, exact.distances)


def test_few_cells_find_most_neighbours_and_no_wrong_distances(points: np.ndarray) -> None:
    n = 4000
    found = cells.nearest_in_cells(points[:n], 5, 16, np.random.default_rng(0))
    exact = nearest(points[:n], points[:n], 5, exclude_self=True)
    shares = [np.isin(one, other).mean() for one, other in zip(exact.indices, found.indices, strict=True)]
    assert 0.93 < np.mean(shares) < 1.0
    told = cells.recall(points[:n], found, n, np.random.default_rng(1))
    assert told == pytest.approx(np.mean(shares))
    assert not (found.indices == np.arange(n)[:, None]).any()
    true = np.linalg.norm(points[:n, None].astype(float) - points[found.indices].astype(float), axis=2)
    np.testing.assert_allclose(found.distances, true, rtol=1e-9)


def test_a_point_has_as_many_neighbours_as_asked_for_whatever_its_cell_is_like() -> None:
    """Most points are one, so that their cell holds nearly all and the others next to none."""
    points = np.zeros((300, 3))
    points[:40] = np.random.default_rng(0).normal(size=(40, 3)) * 100
    found = cells.nearest_in_cells(points, 12, 1, np.random.default_rng(0))
    assert all(len(set(row)) == 12 for row in found.indices.tolist())
    assert (found.distances[40:] == 0).all()


def test_every_point_is_in_one_cell(points: np.ndarray) -> None:
    made = cells.Cells.of(points[:1000], np.random.default_rng(0))
    assert sorted(made.members.tolist()) == list(range(1000))
    assert isinstance(made.turn, Turn)
    assert (made.order[:, 0] == np.arange(len(made.order))).all(), "a cell is nearest to itself"


@pytest.mark.parametrize(("k", "n_probes", "said"), [(0, 4, "k must be in 1..99"), (3, 0, "n_probes must be at least")])
def test_numbers_out_of_range_are_refused(points: np.ndarray, k: int, n_probes: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cells.nearest_in_cells(points[:100], k, n_probes, np.random.default_rng(0))

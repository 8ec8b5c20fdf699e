"""Distances and co-ranking against zadu, by the definition of the matrix, and at perfect and useless embeddings."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from zadu.measures import local_continuity_meta_criteria, scale_normalized_stress, spearman_rho

from latentbench.core.errors import InputError
from latentbench.evaluation import distances
from latentbench.evaluation.distances import Space
from latentbench.reduction.pca import PCA


@pytest.fixture(scope="module")
def few(points: np.ndarray) -> np.ndarray:
    return points[:300].astype(np.float64)


@pytest.fixture(scope="module")
def flat(few: np.ndarray) -> np.ndarray:
    return PCA(2).fit_transform(few)


def test_they_are_zadus(few: np.ndarray, flat: np.ndarray) -> None:
    first, second = Space.of(few), Space.of(flat)
    theirs = spearman_rho.measure(few, flat)["spearman_rho"]
    assert distances.spearman(first, second) == pytest.approx(theirs, abs=1e-10)
    theirs = scale_normalized_stress.measure(few, flat)["scale_normalized_stress"]
    assert distances.stress(first, second) == pytest.approx(theirs, abs=1e-10)
    shares = distances.q_nx(distances.common_neighbors(first, second))
    for k in (1, 15, 200):
        theirs = local_continuity_meta_criteria.measure(few, flat, k=k)["lcmc"]  # the share less that by chance
        assert shares[k - 1] == pytest.approx(theirs + k / 299, abs=1e-10)


def test_co_ranking_is_what_its_matrix_says(rng: np.random.Generator) -> None:
    """Written out: the matrix counts pairs by their two ranks, and its blocks are summed one by one."""
    n = 30
    first, second = rng.normal(size=(n, 5)), rng.normal(size=(n, 2))
    ranked = [cdist(space, space).argsort(axis=1).argsort(axis=1) for space in (first, second)]
    matrix = np.zeros((n - 1, n - 1), dtype=int)
    for i in range(n):
        for j in range(n):
            if i != j:
                matrix[ranked[0][i, j] - 1, ranked[1][i, j] - 1] += 1
    q = [matrix[:k, :k].sum() / (k * n) for k in range(1, n)]
    r = [((n - 1) * q[k - 1] - k) / (n - 1 - k) for k in range(1, n - 1)]
    area = sum(r[k - 1] / k for k in range(1, n - 1)) / sum(1 / k for k in range(1, n - 1))
    common = distances.common_neighbors(Space.of(first), Space.of(second))
    np.testing.assert_allclose(distances.q_nx(common), q)
    np.testing.assert_allclose(distances.r_nx(common), r, atol=1e-12)
    assert distances.areas(common).mean() == pytest.approx(area)


def test_a_perfect_a_useless_and_a_collapsed_embedding(few: np.ndarray, rng: np.random.Generator) -> None:
    first = Space.of(few)
    for embedding, rho, most_stress, area in (
        (3 * few[:, ::-1] + 5, 1.0, 1e-6, 1.0),
        (rng.normal(size=(300, 5)), 0.0, 1.0, 0.0),
        (np.zeros((300, 5)), 0.0, 1.0, 0.0),
    ):
        second = Space.of(embedding)
        assert distances.spearman(first, second) == pytest.approx(rho, abs=0.05)
        assert 0 <= distances.stress(first, second) <= most_stress
        assert distances.areas(distances.common_neighbors(first, second)).mean() == pytest.approx(area, abs=0.05)
    assert distances.stress(first, Space.of(np.zeros((300, 5)))) == 1
    assert distances.spearman(first, Space.of(np.zeros((300, 5)))) == 0


def test_five_points_by_hand() -> None:
    # The third and the fourth point of the line change places.
    first, second = (Space.of(np.array(line)[:, None]) for line in ([0, 1, 3, 7, 20], [0, 1, 7, 3, 20]))
    assert first.places[0].tolist() == [0, 1, 2, 3, 4]
    assert second.places[0].tolist() == [0, 1, 3, 2, 4]
    common = distances.common_neighbors(first, second)
    assert common[:, 0].tolist() == [1, 1, 0, 0, 0]
    assert common[0].tolist() == [1, 1, 3, 4]
    d, e = [1, 3, 7, 20, 2, 6, 19, 4, 17, 13], [1, 7, 3, 20, 6, 2, 19, 4, 13, 17]
    assert first.pairs.tolist() == d
    scale = np.dot(d, e) / np.dot(e, e)
    expected = np.linalg.norm(np.array(d) - scale * np.array(e)) / np.linalg.norm(d)
    assert distances.stress(first, second) == pytest.approx(expected)
    assert distances.spearman(first, second) == pytest.approx(stats.spearmanr(d, e).statistic)


def test_the_interval_of_pairs_covers_what_many_points_have(rng: np.random.Generator) -> None:
    def drawn(n: int) -> tuple[Space, Space]:
        points = rng.normal(size=(n, 3))
        return Space.of(points), Space.of(points[:, :2])

    for score in (distances.spearman, distances.stress):
        true, covered, widths = score(*drawn(1500)), 0, []
        for _ in range(40):
            found = distances.of_pairs(score, *drawn(160), distances.groups(160, rng))
            covered += found.low <= true <= found.high
            widths.append(found.high - found.low)
            assert found.low < found.value < found.high
        assert covered >= 34
        assert np.mean(widths) < 0.25


def test_the_interval_of_points_is_that_of_means_of_groups(rng: np.random.Generator) -> None:
    values, parts = rng.normal(size=200) / 9, distances.groups(200, rng)
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    assert {len(part) for part in parts} == {10}
    found = distances.of_points(values, parts)
    means = [values[part].mean() for part in parts]
    expected = stats.t.interval(0.95, 19, loc=values.mean(), scale=stats.sem(means))
    assert (found.low, found.high) == pytest.approx(expected)


def test_what_cannot_be_is_told(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="at least 4 points, not 3"):
        Space.of(np.ones((3, 2)))
    with pytest.raises(InputError, match="coordinates of points hold NaN"):
        Space.of(np.full((5, 2), np.nan))
    with pytest.raises(InputError, match="at least 8 points, not 7"):
        distances.groups(7, rng)
    with pytest.raises(InputError, match="all points are the same"):
        distances.stress(Space.of(np.ones((5, 2))), Space.of(rng.normal(size=(5, 2))))

"""Every estimator keeps scikit-learn's own rules for one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentbench.core.errors import InputError
from latentbench.neighbors.knn import KNeighborsClassifier
from latentbench.reduction.isomap import Isomap
from latentbench.reduction.pca import PCA
from latentbench.reduction.umap import UMAP

pytestmark = [
    pytest.mark.filterwarnings("ignore:the neighbour graph has"),
    pytest.mark.filterwarnings("ignore:n_neighbors .* is more than the"),
]


@parametrize_with_checks([PCA(), Isomap(), UMAP(n_epochs=10), KNeighborsClassifier()])
def test_it_is_an_estimator(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda points: Isomap(n_neighbors=250).fit(points), "n_neighbors must be in 1..199 for 200 points, not 250"),
        (
            lambda points: KNeighborsClassifier(500).fit(points, points[:, 0] > 0).predict(points),
            "n_neighbors must be in 1..200.*not 500",
        ),
        (lambda points: PCA(9).fit(points), "n_components must be in 1..4.*not 9"),
        (lambda points: PCA(scale=np.ones(3)).fit(points), "scale must have a number for each of 4"),
        (lambda points: UMAP(n_neighbors=1).fit(points), "n_neighbors must be at least 2, not 1"),
    ],
)
def test_an_impossible_value_is_told_by_the_name_that_the_caller_gave(
    rng: np.random.Generator, use: Callable[[np.ndarray], Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        use(rng.normal(size=(200, 4)))


def test_umap_takes_all_points_where_there_are_fewer_than_neighbours(rng: np.random.Generator) -> None:
    points = rng.normal(size=(5, 3))
    with pytest.warns(UserWarning, match=r"n_neighbors \(15\) is more than the 5 points"):
        found = UMAP(n_epochs=20).fit_transform(points)
    np.testing.assert_array_equal(found, UMAP(n_neighbors=5, n_epochs=20).fit_transform(points))
    assert found.dtype == np.float64
    assert UMAP(n_neighbors=3, n_epochs=20).fit_transform(points.astype(np.float32)).dtype == np.float32

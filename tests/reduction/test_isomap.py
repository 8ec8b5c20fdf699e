"""Isomap against scikit-learn, on the S-curve, and at the edges."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import procrustes
from sklearn.base import clone
from sklearn.datasets import make_s_curve
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap as Peer
from sklearn.neighbors import kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from latentbench.core import artifacts
from latentbench.core.errors import InputError
from latentbench.neighbors.knn import KNeighborsClassifier
from latentbench.neighbors.search import nearest
from latentbench.reduction import isomap, s_curve
from latentbench.reduction.isomap import Isomap


@pytest.mark.parametrize("n", [400, 3000])
def test_full_isomap_is_scikit_learns(points: np.ndarray, n: int) -> None:
    train, test = points[:n], points[5000:5100]
    ours = Isomap(n_neighbors=6, n_components=5, n_landmarks=None).fit(train)
    peer = Peer(n_neighbors=6, n_components=5).fit(train.astype(np.float64))
    np.testing.assert_allclose(ours.dist_matrix_, peer.dist_matrix_, rtol=1e-5)
    np.testing.assert_allclose(ours.scaling_.eigenvalues, peer.kernel_pca_.eigenvalues_, rtol=1e-4)
    assert procrustes(peer.embedding_, ours.embedding_)[2] < 1e-6
    signs = np.sign((peer.embedding_ * ours.embedding_).sum(axis=0))
    np.testing.assert_allclose(ours.embedding_ * signs, peer.embedding_, atol=2e-3)
    np.testing.assert_allclose(ours.transform(test) * signs, peer.transform(test.astype(np.float64)), atol=5e-3)
    assert ours.reconstruction_error() == pytest.approx(peer.reconstruction_error(), rel=1e-4)


@pytest.mark.parametrize("p", [1, 2])
def test_neighbourhoods_by_radius_and_by_either_distance_are_scikit_learns(p: int) -> None:
    points, _ = make_s_curve(600, random_state=3)
    for by in ({"n_neighbors": 10}, {"n_neighbors": None, "radius": 0.9}):
        ours = Isomap(**by, p=p, n_landmarks=None).fit(points)
        peer = Peer(**by, p=p).fit(points)
        np.testing.assert_allclose(ours.dist_matrix_, peer.dist_matrix_, rtol=1e-5)
        np.testing.assert_allclose(np.abs(ours.transform(points[:50])), np.abs(peer.transform(points[:50])), atol=1e-3)


def test_the_s_curve_is_unrolled_and_pca_does_not() -> None:
    points, along = make_s_curve(1000, random_state=0)
    for n_landmarks in (None, 100):
        embedding = Isomap(n_neighbors=35, n_landmarks=n_landmarks, random_state=0).fit_transform(points)
        assert abs(np.corrcoef(embedding[:, 0], along)[0, 1]) > 0.99
    flat = PCA(2).fit_transform(points)
    assert max(abs(np.corrcoef(flat[:, axis], along)[0, 1]) for axis in (0, 1)) < 0.95


def test_a_trial_on_the_s_curve_knows_the_flat_sheet(rng: np.random.Generator) -> None:
    trial = next(s_curve.trials(rng))
    others, near = nearest(trial.points, trial.points, 2, exclude_self=True).indices[:, 1], np.arange(len(trial.points))
    in_space = np.linalg.norm(trial.points[near] - trial.points[others], axis=1)
    on_sheet = np.linalg.norm(trial.flat[near] - trial.flat[others], axis=1)
    np.testing.assert_allclose(on_sheet, in_space, rtol=0.02)  # so near that the sheet is flat
    turned = 3 * trial.flat @ np.array([[0.6, -0.8], [0.8, 0.6]])
    assert trial.residual(turned) == pytest.approx(0, abs=1e-9)
    assert trial.correlation(trial.flat) == pytest.approx(1)
    assert trial.residual(trial.isomap) < 0.001
    assert trial.residual(trial.pca) > 0.1


def test_landmarks_tend_to_all_points(points: np.ndarray) -> None:
    few = points[:1200]
    full = Isomap(n_components=4, n_landmarks=None).fit(few).embedding_
    errors = []
    for n_landmarks in (30, 150, 800):
        disparities = [
            procrustes(full, Isomap(n_components=4, n_landmarks=n_landmarks, random_state=seed).fit(few).embedding_)[2]
            for seed in range(3)
        ]
        errors.append(np.mean(disparities))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.01
    np.testing.assert_array_equal(Isomap(n_components=4, n_landmarks=1200).fit(few).embedding_, full)


def test_a_fitted_point_is_placed_where_it_is(points: np.ndarray) -> None:
    isomap = Isomap(n_components=3, n_landmarks=80, random_state=0).fit(points[:500])
    np.testing.assert_allclose(isomap.transform(points[:500]), isomap.embedding_, atol=1e-3)
    together, alone = (
        isomap.transform(points[600:620]),
        [isomap.transform(points[i : i + 1])[0] for i in range(600, 620)],
    )
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_a_memory_map_changes_nothing(points: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = Isomap(n_landmarks=None).fit(points[:300])
    on_disk = Isomap(n_landmarks=None, memory_map=f"{tmp_path}/geodesics.npy").fit(points[:300])
    np.testing.assert_array_equal(in_memory.embedding_, on_disk.embedding_)
    assert artifacts.read_array(tmp_path / "geodesics.npy").max() == in_memory.dist_matrix_.max()
    by_landmarks = Isomap(n_landmarks=40, random_state=0, memory_map=f"{tmp_path}/geodesics.npy").fit(points[:300])
    peer = Isomap(n_landmarks=40, random_state=0).fit(points[:300])
    np.testing.assert_array_equal(by_landmarks.embedding_, peer.embedding_)
    new = peer.transform(points[300:350])
    np.testing.assert_array_equal(by_landmarks.transform(points[300:350]), new)
    monkeypatch.setattr(isomap, "_GATHERED", 40 * 30)  # many reads of the file, and of the queries
    by_landmarks = Isomap(n_landmarks=40, random_state=0, memory_map=f"{tmp_path}/geodesics.npy").fit(points[:300])
    np.testing.assert_allclose(by_landmarks.embedding_, peer.embedding_, rtol=1e-9)
    np.testing.assert_allclose(by_landmarks.transform(points[300:350]), new, rtol=1e-9)


@pytest.mark.parametrize("by", [{"n_neighbors": 4}, {"n_neighbors": None, "radius": 0.9}])
def test_whole_numbers_in_a_unit_are_embedded_as_the_numbers_they_stand_for(by: dict[str, float]) -> None:
    """Two parts, so that the lengths of bridges are in the unit too."""
    rng = np.random.default_rng(0)
    whole = np.concatenate([rng.integers(0, 90, (80, 3)), rng.integers(160, 250, (40, 3))]).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fits = [
            Isomap(**by, n_landmarks=50, random_state=0, unit=1 / 100).fit(whole),
            Isomap(**by, n_landmarks=50, random_state=0).fit(whole / 100),
        ]
    np.testing.assert_allclose(fits[0].embedding_, fits[1].embedding_, atol=1e-4)
    new = whole[:7] + np.uint8(1)
    np.testing.assert_allclose(fits[0].transform(new), fits[1].transform(new / 100), atol=1e-4)


def test_a_graph_in_parts_is_joined_with_a_warning(points: np.ndarray) -> None:
    far = np.concatenate([points[:60], points[60:120] + 50])
    with pytest.warns(UserWarning, match="has 2 parts"):
        isomap = Isomap(n_landmarks=None).fit(far)
    assert isomap.n_parts_ == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = Peer().fit(far.astype(np.float64))
    np.testing.assert_allclose(isomap.dist_matrix_, peer.dist_matrix_, rtol=1e-5)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"n_neighbors": 40}, "n_neighbors must be in 1..39 for 40 points, not 40"),
        ({"n_components": 40}, "n_components must be in 1..39, not 40"),
        ({"n_components": 5, "n_landmarks": 5}, "n_components must be in 1..4, not 5"),
        ({"radius": 1.0}, "not both or neither"),
        ({"n_neighbors": None}, "not both or neither"),
        ({"p": 3}, "p must be 1 or 2, not 3"),
    ],
)
def test_impossible_params_are_refused(points: np.ndarray, params: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Isomap(**params).fit(points[:40])


@pytest.mark.parametrize("uneven", [0.0, 0.5])
def test_points_on_a_line_have_one_dimension(uneven: float, rng: np.random.Generator) -> None:
    """Where lengths are uneven their sums in float32 are not exact, and what that leaves is no second dimension."""
    line = np.arange(300.0) + uneven * rng.random(300)
    with pytest.raises(ValueError, match="only 1 dimensions, fewer than n_components = 2"):
        Isomap(n_landmarks=None).fit(line[:, None])
    assert np.corrcoef(line, Isomap(n_components=1).fit_transform(line[:, None])[:, 0])[0, 1] ** 2 > 1 - 1e-6


def test_edges_that_lead_one_way_count_both_ways(rng: np.random.Generator) -> None:
    points = rng.random((200, 2))
    ours = Isomap(n_neighbors=12, n_landmarks=None).fit(points)
    given = Isomap(n_landmarks=None).fit_graph(points, kneighbors_graph(points, 12, mode="distance"))
    np.testing.assert_allclose(given.dist_matrix_, ours.dist_matrix_, rtol=1e-6)
    np.testing.assert_allclose(given.embedding_, ours.embedding_, atol=1e-5)
    with pytest.raises(ValueError, match="X has 3 features"):
        given.transform(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("length", "n", "says"),
    [
        (np.nan, 30, "finite and not negative; 1 of 150 are not"),
        (-1.0, 30, "finite and not negative; 1 of 150 are not"),
        (1.0, 29, r"of 29 points must have the shape \(29, 29\), not \(30, 30\)"),
    ],
)
def test_an_impossible_graph_is_refused(length: float, n: int, says: str, rng: np.random.Generator) -> None:
    """Ways of negative length would be shortened forever."""
    points = rng.random((30, 2))
    graph = kneighbors_graph(points, 5, mode="distance")
    graph.data[7] = length
    with pytest.raises(InputError, match=says):
        Isomap(n_landmarks=None).fit_graph(points[:n], graph)


def test_non_finite_points_are_refused(points: np.ndarray) -> None:
    bad = points[:40].copy()
    bad[3, 3] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        Isomap().fit(bad)


@pytest.mark.parametrize("estimator", [Isomap(), Isomap(n_landmarks=None), KNeighborsClassifier()], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_estimators_keep_scikit_learns_rules(estimator: object) -> None:
    check_estimator(estimator)


def test_isomap_works_in_a_pipeline_with_pandas(points: np.ndarray, labels: np.ndarray) -> None:
    pipeline = make_pipeline(StandardScaler(), Isomap(n_components=5), KNeighborsClassifier(3))
    few = np.ascontiguousarray(points[:600, 200:500])
    pipeline.set_params(isomap__n_neighbors=7).fit(few[:500], labels[:500])
    assert pipeline.score(few[500:], labels[500:600]) > 0.5
    frame = clone(pipeline[1]).set_output(transform="pandas").fit_transform(few[:100])
    assert frame.columns.tolist() == [f"isomap{i}" for i in range(5)]

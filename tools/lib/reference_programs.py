"""The report's experiments without its mistakes: fitted and chosen on train images, scored on others."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentbench import seeding
from latentbench.data.dataset import Dataset
from latentbench.evaluation import classification
from latentbench.neighbors import knn
from latentbench.neighbors.search import nearest
from latentbench.reduction.isomap import Isomap
from latentbench.reduction.pca import PCA

_N_BOOTSTRAP = 2000
_TEST_SHARE = 0.2
_K_MAX = 19  # candidates of the report's search
_N_DRAWS = 10
_ISOMAP_IMAGES = 10_000
_ISOMAP_K = 5
_ISOMAP_FIRST = (5, 10)  # neighbours and components: the first of the report's candidates, which it took
_ISOMAP_CANDIDATES = ((5, (10, 20, 30)), (10, (10, 20, 30)))
_LATENT_K = 10

Result = dict[str, Any]  # numbers and words, by name


@dataclass(frozen=True)
class Split:
    """Points to fit on and others to score on.

    Attributes:
        train, test: (n, d) float32.
        train_labels, test_labels: (n,) integers, indices into `classes`.
        classes: their names.
        seed: of the bootstrap.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: Sequence[str]
    seed: int

    def mapped(self, train: np.ndarray, test: np.ndarray) -> "Split":
        """Return the same images in another representation."""
        return Split(train, self.train_labels, test, self.test_labels, self.classes, self.seed)


def random_split(dataset: Dataset, seed: int, n_images: int | None = None) -> Split:
    """Split all images, or `n_images` of them, 80 to 20 at random, as points in [0, 1]."""
    points = np.concatenate([dataset.train_points, dataset.test_points])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    chosen = seeding.numpy_generator(seed, "reference", "split").permutation(len(points))[:n_images]
    train, test = np.split(chosen, [round((1 - _TEST_SHARE) * len(chosen))])
    return Split(points[train], labels[train], points[test], labels[test], dataset.classes, seed)


def subset_split(dataset: Dataset, seed: int) -> Split:
    """Return the split of 10,000 images on which the report tries Isomap."""
    return random_split(dataset, seed, _ISOMAP_IMAGES)


def standardised(split: Split) -> Split:
    """Give each coordinate mean 0 and deviation 1 over the train part."""
    mean, deviation = split.train.mean(axis=0, dtype=np.float64), split.train.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0)
    train, test = (((points - mean) / scale).astype(np.float32) for points in (split.train, split.test))
    return split.mapped(train, test)


def draw_counts(split: Split, seed: int) -> list[int]:
    """Draw numbers of components to try, all but the last of which there are at most."""
    most = min(len(split.train) - 1, split.train.shape[1]) - 1
    draws = seeding.numpy_generator(seed, "reference", "components").choice(most, _N_DRAWS, replace=False) + 1
    return sorted(draws.tolist())


def warm_up(split: Split) -> None:
    """Let the neighbour search be compiled, so that no time that is told contains it."""
    few = split.train[: _K_MAX + 1]
    nearest(few, few, _K_MAX, exclude_self=True)


def search(split: Split) -> Result:
    """Choose k and the weights by leave-one-out on the train part, and tell how long that took."""
    started = time.perf_counter()
    others = nearest(split.train, split.train, _K_MAX, exclude_self=True, label="leave-one-out")
    choice = knn.choose(others, split.train_labels, len(split.classes))
    seconds = time.perf_counter() - started
    return {"k": choice.k, "weights": choice.weights, "leave_one_out": choice.accuracy, "search_s": seconds}


def search_components(split: Split, n_components: int) -> Result:
    """Do the same on the first components, which are found in the train part."""
    started = time.perf_counter()
    scores = PCA(n_components).fit_transform(split.train)
    seconds = time.perf_counter() - started
    found = search(split.mapped(scores, scores[:0]))
    return {**found, "components": n_components, "search_s": found["search_s"] + seconds}


def score(split: Split, k: int, weights: knn.Weights = "uniform") -> Result:
    """Fit a kNN classifier on the train part; score it on the test part, and tell how long its predictions took."""
    classifier = knn.KNeighborsClassifier(k, weights=weights).fit(split.train, split.train_labels)
    started = time.perf_counter()
    predicted = classifier.predict(split.test)
    seconds = time.perf_counter() - started
    report = classification.report(split.test_labels, predicted, split.classes)
    weighted = report[report["class"] == "weighted"]
    correct = predicted == split.test_labels
    generator = seeding.numpy_generator(split.seed, "reference", "bootstrap")
    low, high = classification.interval(classification.bootstrap_means(correct[:, None], _N_BOOTSTRAP, generator)[:, 0])
    return {
        "accuracy": float(correct.mean()),
        "accuracy_lo": low,
        "accuracy_hi": high,
        **{name: float(weighted[name].item()) for name in ("precision", "recall", "f1")},
        "k": k,
        "weights": weights,
        "predict_s": seconds,
    }


def pixels(split: Split) -> Result:
    """Choose k and the weights for the pixels themselves, and score that choice."""
    found = search(split)
    return found | score(split, found["k"], found["weights"])


def components(split: Split, draws: Sequence[Result]) -> Result:
    """Score the best of the draws that `search_components` made; its search is all of theirs."""
    best = max(draws, key=lambda draw: float(draw["leave_one_out"]))
    fitted = PCA(best["components"]).fit(split.train)
    reduced = split.mapped(fitted.transform(split.train), fitted.transform(split.test))
    seconds = sum(draw["search_s"] for draw in draws)
    return {**best, **score(reduced, best["k"], best["weights"]), "search_s": seconds}


def subset_pixels(split: Split) -> Result:
    """Score kNN with 5 neighbours on the pixels themselves."""
    return score(split, _ISOMAP_K)


def isomap(split: Split, n_neighbors: int = _ISOMAP_FIRST[0], n_components: int = _ISOMAP_FIRST[1]) -> Result:
    """Score kNN with 5 neighbours on the embedding by Isomap."""
    fitted = Isomap(n_neighbors=n_neighbors, n_components=n_components, n_landmarks=None).fit(split.train)
    train, test = (points.astype(np.float32) for points in (fitted.embedding_, fitted.transform(split.test)))
    return {**score(split.mapped(train, test), _ISOMAP_K), "neighbors": n_neighbors, "components": n_components}


def isomap_search(split: Split) -> Result:
    """Choose Isomap's two numbers by leave-one-out on the train part, and score the choice."""
    started = time.perf_counter()
    tried: dict[tuple[int, int], float] = {}
    for n_neighbors, counts in _ISOMAP_CANDIDATES:
        fitted = Isomap(n_neighbors=n_neighbors, n_components=max(counts), n_landmarks=None).fit(split.train)
        for count in counts:
            points = fitted.embedding_[:, :count].astype(np.float32)
            others = nearest(points, points, _ISOMAP_K, exclude_self=True, label="leave-one-out")
            choice = knn.choose(others, split.train_labels, len(split.classes))
            tried[n_neighbors, count] = float(choice.accuracies["uniform"][_ISOMAP_K - 1])
    seconds = time.perf_counter() - started
    best = max(tried, key=lambda candidate: tried[candidate])
    leave_one_out = {
        f"{n_neighbors} neighbours, {count} components": value for (n_neighbors, count), value in tried.items()
    }
    return {**isomap(split, *best), "search_s": seconds, "leave_one_out": leave_one_out}


def latents(dataset: Dataset, train: np.ndarray, test: np.ndarray, seed: int) -> Result:
    """Score kNN with 10 neighbours on what an encoder makes of the official train and test images."""
    train_labels, test_labels = np.asarray(dataset.train_labels), np.asarray(dataset.test_labels)
    return score(Split(train, train_labels, test, test_labels, dataset.classes, seed), _LATENT_K)

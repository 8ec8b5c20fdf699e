"""How well a classifier on a representation does, with intervals over the test images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

_BLOCK = 200


def bootstrap_means(outcomes: np.ndarray, n_resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Resample images with replacement, the same images for every column, and return the column means.

    Because columns share their resamples, the difference of two columns is a paired bootstrap (Efron & Tibshirani 1993,
    chapter 13 for the percentile interval that `interval` takes of it).

    Args:
        outcomes: (n, m), such as whether each of m classifiers is right on each of n images.
        n_resamples: number of resamples.
        generator: for the resampling.

    Returns:
        (n_resamples, m) float64.
    """
    n = len(outcomes)
    means = []
    for start in range(0, n_resamples, _BLOCK):
        size = min(_BLOCK, n_resamples - start)
        counts = generator.multinomial(n, np.full(n, 1.0 / n), size=size)  # (size, n)
        means.append(counts @ outcomes.astype(np.float64) / n)
    return np.concatenate(means)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 95% percentile interval of resampled values (n,)."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def report(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall, F1 and support for each class, and their "macro" and "weighted" means.

    The macro mean is over the classes that occur in `labels`.

    Args:
        labels, predicted: (n,) integers, indices into `classes`.
        classes: their names.
    """
    each = precision_recall_fscore_support(labels, predicted, labels=range(len(classes)), zero_division=0.0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), each, strict=True)))
    scores = table[["precision", "recall", "f1"]]
    share = table["support"] / table["support"].sum()
    means = pd.DataFrame([scores[table["support"] > 0].mean(), scores.mul(share, axis=0).sum()])
    means["support"] = table["support"].sum()
    table = pd.concat([table, means], ignore_index=True)
    table.insert(0, "class", [*classes, "macro", "weighted"])
    return table


def class_hits(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the counts that F1 is computed from, for each image and each of the m classes that occur in `labels`.

    Args:
        predicted, labels: (n,) integers.

    Returns:
        (n, 3 m) float64: for each class whether the image is a true positive, is predicted to be of it, and is of it.
        `macro_f1` of their means over images, resampled or not, is the macro F1.
    """
    classes = np.unique(labels)
    called, true = predicted[:, None] == classes, labels[:, None] == classes
    return np.stack([called & true, called, true], axis=2).reshape(len(labels), -1).astype(np.float64)


def macro_f1(shares: np.ndarray) -> np.ndarray:
    """Return the mean of F1 over classes from means (..., 3 m) of `class_hits`, (...)."""
    hits, called, true = np.moveaxis(shares.reshape(*shares.shape[:-1], -1, 3), -1, 0)
    both = called + true
    scores: np.ndarray = np.divide(2.0 * hits, both, out=np.zeros_like(both), where=both > 0).mean(axis=-1)
    return scores


def confusions(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return a row for each image with its actual and its predicted class, as DVC's confusion plot expects."""
    names = np.array(classes)
    return pd.DataFrame({"actual": names[labels], "predicted": names[predicted]})

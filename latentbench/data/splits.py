"""Stratified sampling of labelled images."""

import numpy as np

from latentbench.core.errors import InputError


def stratified_subset(labels: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Choose `size` rows at random so that every class keeps its share, and return their sorted indices.

    Shares that are not a whole number of images are rounded by largest remainder, so that exactly `size` are chosen.

    Args:
        labels: (n,) integers.
        size: how many rows; 1 to n.
        generator: of the choice.

    Returns:
        (size,) int64.

    Raises:
        InputError: `size` is out of range.
    """
    n = len(labels)
    if not 1 <= size <= n:
        raise InputError(f"cannot choose {size} of {n} images")
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * size / n
    quotas = np.floor(exact).astype(int)
    largest_remainders = np.argsort(quotas - exact, kind="stable")
    quotas[largest_remainders[: size - quotas.sum()]] += 1
    chosen = [
        generator.choice(np.flatnonzero(labels == label), quota, replace=False)
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)

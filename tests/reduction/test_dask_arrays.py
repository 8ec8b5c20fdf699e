"""Principal components and neighbours of Dask arrays, on workers of their own, against one process."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from dask.delayed import delayed
from distributed import Client, LocalCluster

from latentbench.core.errors import InputError
from latentbench.neighbors import cells
from latentbench.reduction import dask_arrays
from latentbench.reduction.moments import Moments, joined
from latentbench.reduction.pca import PCA

UNIT = 1 / 255


@pytest.fixture
def two_workers() -> Iterator[None]:
    options = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster):
        yield


def rows_of(path: Path, start: int, stop: int) -> np.ndarray:
    """Return some images of a file as points: what a worker reads."""
    images = np.lib.format.open_memmap(path, mode="r")
    return np.array(images[start:stop].reshape(stop - start, -1))


@pytest.mark.usefixtures("two_workers")
def test_two_workers_find_in_a_file_what_one_process_does(images: np.ndarray, tmp_path: Path) -> None:
    """As the page on large datasets has it; there is an empty chunk, too."""
    n, path = 2000, tmp_path / "images.npy"
    np.save(path, images[:n])
    ends = [0, 700, 700, 1400, n]
    pieces = [
        da.from_delayed(delayed(rows_of)(path, start, stop), (stop - start, 784), np.uint8)
        for start, stop in pairwise(ends)
    ]
    array, pixels = da.concatenate(pieces), images[:n].reshape(n, -1)
    moments = dask_arrays.moments(array, UNIT)
    found = dask_arrays.nearest_in_cells(array, 5, 12, np.random.default_rng(0))
    whole = joined(Moments.of(pixels[start : start + 700] * np.float32(UNIT)) for start in (0, 700, 1400))
    np.testing.assert_allclose(moments.products, whole.products, rtol=1e-12, atol=1e-12)
    there, here = (PCA(8).fit_moments(each).components_ for each in (moments, whole))
    np.testing.assert_allclose(there, here, atol=1e-9)
    near = cells.nearest_in_cells(pixels, 5, 12, np.random.default_rng(0))
    assert np.array_equal(found.indices, near.indices)
    assert np.array_equal(found.distances, near.distances)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(InputError, match="in chunks of whole rows"):
        dask_arrays.moments(da.zeros((10, 4), chunks=(5, 2)))
    generator = np.random.default_rng(0)
    with pytest.raises(InputError, match="n_probes must be at least 1"):
        dask_arrays.nearest_in_cells(da.zeros((10, 4), chunks=(5, 4)), 2, 0, generator)
    with pytest.raises(InputError, match="NaN or infinity"):
        dask_arrays.nearest_in_cells(da.full((10, 4), np.nan, chunks=(5, 4)), 2, 1, generator)

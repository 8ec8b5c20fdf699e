"""Principal components and neighbours of Dask arrays, on workers of their own, against one process."""

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

from latentbench.core.errors import InputError
from latentbench.neighbors import cells
from latentbench.reduction import dask_arrays
from latentbench.reduction.moments import Moments, joined
from latentbench.reduction.pca import PCA


def test_two_workers_find_what_one_process_does(images: np.ndarray) -> None:
    pixels = images[:2000].reshape(2000, -1)
    array = da.from_array(pixels, chunks=(700, -1))
    unit = 1 / 255
    whole = joined(Moments.of(pixels[start : start + 700] * np.float32(unit)) for start in (0, 700, 1400))
    near = cells.nearest_in_cells(pixels, 5, 12, np.random.default_rng(0))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
        Client(cluster),
    ):
        moments = dask_arrays.moments(array, unit)
        found = dask_arrays.nearest_in_cells(array, 5, 12, np.random.default_rng(0))
    np.testing.assert_allclose(moments.products, whole.products, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        PCA(8).fit_moments(moments).components_, PCA(8).fit_moments(whole).components_, atol=1e-9
    )
    assert np.array_equal(found.indices, near.indices)
    assert np.array_equal(found.distances, near.distances)


def test_chunks_must_hold_whole_rows() -> None:
    with pytest.raises(InputError, match="in chunks of whole rows"):
        dask_arrays.moments(da.zeros((10, 4), chunks=(5, 2)))

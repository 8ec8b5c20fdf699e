"""Every score that takes numbers tells which row of them is not finite, and none ends in NaN or in a foreign error."""

from collections.abc import Callable

import numpy as np
import pytest

from latentbench.core.errors import InputError
from latentbench.evaluation import latents, neighborhoods, reconstruction, samples

N = 40


def judged(score: Callable[..., object], *more: object) -> Callable[[np.ndarray], object]:
    """Return a score of generated features against sound ones, each in two groups."""
    sound = np.random.default_rng(1).normal(size=(N, 3))
    return lambda values: score(sound, values, *more, 2, np.random.default_rng(2))


def of_image(values: np.ndarray) -> np.ndarray:
    return values[:, None, :, None]


SCORES: dict[str, Callable[[np.ndarray], object]] = {
    "moments": samples.moments,
    "frechet_estimate": judged(samples.frechet_estimate),
    "kernel_estimate": judged(samples.kernel_estimate),
    "density_and_coverage": judged(samples.density_and_coverage, 3),
    "frechet_to_prior": latents.frechet_to_prior,
    "kernel_to_prior": latents.kernel_to_prior,
    "ranks": lambda values: neighborhoods.ranks(values, [np.ones((N, 1), np.int64)]),
    "squared_errors": lambda values: reconstruction.squared_errors(np.zeros((N, 1, 3, 1), np.uint8), of_image(values)),
    "psnr": lambda values: reconstruction.psnr(np.zeros((N, 1, 3, 1), np.uint8), of_image(values)),
    "ssim": lambda values: reconstruction.ssim(np.zeros((N, 1, 3, 1), np.uint8), of_image(values)),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("score", SCORES)
def test_the_row_that_is_not_finite_is_told(rng: np.random.Generator, score: str, value: float) -> None:
    values = rng.normal(size=(N, 3))
    SCORES[score](values)
    values[7, 2] = value
    with pytest.raises(InputError, match="hold NaN or infinity in 1 of 40 rows, first in row 7"):
        SCORES[score](values)

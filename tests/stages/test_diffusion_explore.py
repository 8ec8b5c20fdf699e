"""What a look into a diffusion model measures by itself."""

import numpy as np
import pytest

from stages import diffusion_explore


@pytest.mark.parametrize(("side", "n_frequencies"), [(8, (1, 1, 2)), (28, (2, 5, 7)), (128, (12, 20, 32))])
def test_every_band_of_white_noise_has_power_in_proportion_to_its_frequencies(
    side: int, n_frequencies: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    found = np.array(diffusion_explore._band_powers(rng.normal(size=(400, 1, side, side))))
    # White noise has the same power at each frequency: a band has as much as it has members.
    indices = np.arange(side) - side // 2
    radii = np.hypot(indices[:, None], indices)
    members, _ = np.histogram(radii, np.cumsum([0, *n_frequencies]) + 0.5)
    assert found / found.sum() == pytest.approx(members / members.sum(), rel=0.1)

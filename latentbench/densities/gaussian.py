"""One Gaussian with a full covariance."""

import numpy as np

from latentbench.densities import mixture
from latentbench.densities.base import Candidate, Options


class Density(mixture.Density):
    """A mixture of a single component; its fit takes no choice, and its samples are of one Gaussian."""

    @classmethod
    def fit(
        cls, train: np.ndarray, validation: np.ndarray, options: Options, generator: np.random.Generator, label: str
    ) -> tuple["Density", list[Candidate]]:
        """Fit it, as `base.Density` says."""
        found, candidate = mixture.fit(train, validation, 1, generator, label)
        return cls(found.weights, found.means, found.factors), [candidate]

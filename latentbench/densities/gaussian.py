"""One Gaussian with a full covariance."""

from dataclasses import replace
from typing import Self

import numpy as np

from latentbench.densities import mixture
from latentbench.densities.base import Candidate, Options


class Density(mixture.Density):
    """A mixture of one component, whatever the options allow."""

    @classmethod
    def fit(
        cls, train: np.ndarray, validation: np.ndarray, options: Options, generator: np.random.Generator, label: str
    ) -> tuple[Self, list[Candidate]]:
        """Fit it, as `base.Density` describes."""
        return super().fit(train, validation, replace(options, components=[1]), generator, label)

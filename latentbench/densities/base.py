"""Densities of latents, fitted once the network that encodes them is trained (Ghosh et al. 2020, section 4).

Decoding draws from one gives images. So an autoencoder can generate, and so can a VAE whose latents do not follow its
prior.

Each file beside this one is a density: it has the file's name and defines `Density`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np


@dataclass(frozen=True)
class Options:
    """Options shared by all densities; each reads the ones that it needs.

    Attributes:
        components: numbers of Gaussians to choose from.
    """

    components: Sequence[int]


@dataclass(frozen=True)
class Candidate:
    """A fitted density.

    Attributes:
        components: how many Gaussians it has.
        steps: how many its fit took.
        train_nats, validation_nats: mean log density of the latents that it was fitted to, and of the held-out ones.
    """

    components: int
    steps: int
    train_nats: float
    validation_nats: float


class Density(Protocol):
    """A density of points (n, d)."""

    @classmethod
    def fit(
        cls, train: np.ndarray, validation: np.ndarray, options: Options, generator: np.random.Generator, label: str
    ) -> tuple[Self, list[Candidate]]:
        """Fit candidates to latents; return the one with the highest `validation_nats`, and all candidates.

        Args:
            train: (n, d), to fit to.
            validation: (m, d), to choose among candidates by.
            options: shared by all densities.
            generator: for all random draws.
            label: for progress bars.

        Raises:
            InputError: some latents are not finite, or there are too few.
        """

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the density whose `arrays` were saved."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that define it, by name."""

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """Return the log density of points (n, d) in nats, (n,) float64."""

    def sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Return draws (n, d) float64."""

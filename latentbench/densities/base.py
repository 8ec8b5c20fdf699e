"""Densities of latents, fitted after the training of the network that they are of (Ghosh et al. 2020, section 4).

Decoded draws of one are images: so an autoencoder generates, and a VAE whose latents are not as its prior has them.

Each file beside this one is a density: it has the file's name and defines `Density`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np


@dataclass(frozen=True)
class Options:
    """What is chosen for all densities; each reads what concerns it.

    Attributes:
        components: numbers of Gaussians to choose from.
    """

    components: Sequence[int]


@dataclass(frozen=True)
class Candidate:
    """A density that was fitted.

    Attributes:
        components: how many Gaussians it has.
        steps: of its fit.
        train_nats, validation_nats: mean log density of the latents that it was fitted to, and of the others.
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
        """Fit it to latents; return it, and all that were fitted, of which it is the one of most `validation_nats`.

        Args:
            train: (n, d), which it is fitted to.
            validation: (m, d), which choose among several.
            options: for all densities.
            generator: of all that is drawn at random.
            label: for progress bars.

        Raises:
            InputError: some latents are not finite, or there are too few.
        """

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return one whose `arrays` were kept."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what it consists of, by name."""

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """Return the log density of points (n, d) in nats, (n,) float64."""

    def sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Return draws (n, d) float64."""

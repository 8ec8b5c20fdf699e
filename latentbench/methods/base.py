"""What a method can do for a row of the comparison, once it is fitted.

Each file beside this one is a method, and defines `Method`. It is named after the list in `rows` whose rows it makes,
or, for rows of `rows.reductions`, after the method in the row's section. Code that scores, judges, explores or times a
row uses the protocols below to ask what its method can do, not which method it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from latentbench.data.dataset import Dataset


class Fitted(Protocol):
    """What every method has: it can be loaded from the files that its stage wrote."""

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return the method, given what `artifacts.read_model` read.

        Raises:
            WeightsError: the arrays do not match the description beside them.
        """


@dataclass(frozen=True)
class Material:
    """What a method is fitted to.

    Attributes:
        dataset: the images; a fit sees none of the test images.
        seed: for all of its random choices.
        classifier: arrays and description of the reference network, as `artifacts.read_model` read them.
    """

    dataset: Dataset
    seed: int
    classifier: tuple[Mapping[str, np.ndarray], Mapping[str, Any]]


@runtime_checkable
class FitsAtOnce(Protocol):
    """It is fitted without a training loop: the stage `reduce` does that, and needs to know nothing more about it.

    What `fit` returns may have the representation of the train images as `embedding`; if it does not encode, it must.
    """

    @classmethod
    def fit(cls, material: Material, **options: Any) -> Self | None:
        """Return what was fitted to the train images; None if they lack what it needs, such as labels.

        Args:
            material: what to fit to.
            options: the params in the row's section of params.yaml besides its method, by name.
        """

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""


@runtime_checkable
class Represents(Protocol):
    """It represents images by numbers: its stage writes those of the train and the test images."""

    def n_compared(self, latent_dim: int) -> int | None:
        """Return how many of those numbers are compared if the project's size is `latent_dim`; None for all."""


@runtime_checkable
class Encodes(Protocol):
    """It represents an image by numbers that depend only on the image and what is kept."""

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to representations (n, dims) float32, or to their `first` numbers."""


@runtime_checkable
class Places(Protocol):
    """It represents an image by its place among the train images, which needs more than is kept."""

    def place(self, images: np.ndarray, train: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Do the work of mapping images (n, c, h, w) uint8 to (n, dims), to be timed.

        Args:
            images: to be placed.
            train: (n_train, p) uint8, the train images as points.
            embedding: (n_train, dims) of them.
        """


@runtime_checkable
class Decodes(Protocol):
    """It maps numbers back to images."""

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Map representations (n, dims), or their first numbers, to images (n, c, h, w) in about [0, 1]."""


@runtime_checkable
class Samples(Protocol):
    """What it decodes is a mean, and it can draw an image around it."""

    def sample(self, latents: np.ndarray, seed: int) -> np.ndarray:
        """Map representations (n, dims) to images (n, c, h, w) uint8, each a draw."""


@runtime_checkable
class Draws(Protocol):
    """It generates images."""

    calls: int | None  # network calls per image; None if no network draws them

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return images (n, c, h, w) uint8."""


@runtime_checkable
class DrawsClasses(Protocol):
    """It can generate images of a given class."""

    calls_guided: int | None  # as `calls`; None if it was trained without classes

    def draw_classes(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Return images (n, c, h, w) uint8 of classes (n,)."""


@runtime_checkable
class HasPosterior(Protocol):
    """Its latents are means of posteriors, under a standard normal prior."""

    def posterior(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map images (n, c, h, w) uint8 to means and log variances of q(z | x), (n, latent_dim) float32 each."""


@runtime_checkable
class Completes(Protocol):
    """It makes partly made-up images more likely."""

    def complete(self, images: np.ndarray) -> np.ndarray:
        """Map images (n, c, h, w) in [0, 1] to images of the same shape."""


@dataclass(frozen=True)
class Bound:
    """What a model says about the likelihood of the test images.

    Attributes:
        parts: numbers by name, intervals as `_lo` and `_hi`.
        likelihood: the observation model.
        bits_per_dim: (n_test,) float64, for each test image; None if there is a loss but no likelihood.
        kl_per_latent: (latent_dim,) float64 nats, in decreasing order; empty if it is not a VAE.
    """

    parts: Mapping[str, float]
    likelihood: str
    bits_per_dim: np.ndarray | None = None
    kl_per_latent: np.ndarray = field(default_factory=lambda: np.empty(0))


class Effort(Protocol):
    """How tightly to bound a likelihood; a method reads what concerns it from the params of `evaluate`."""

    @property
    def importance_samples(self) -> int:
        """Samples per image for the tighter bound of a VAE."""

    @property
    def likelihood_images(self) -> int | None:
        """How many test images that bound uses, from the first on; None for all."""

    @property
    def bound_draws(self) -> int:
        """Noise levels per image for the bound of a diffusion model."""


@runtime_checkable
class Bounds(Protocol):
    """It bounds the likelihood of images."""

    def bound(self, dataset: Dataset, row: str, seed: int, effort: Effort) -> Bound | None:
        """Bound the likelihood of the test images; None if what was trained bounds none.

        Args:
            dataset: the images.
            row: for progress bars, and for the draws.
            seed: of the draws.
            effort: how tightly.
        """


class Map:
    """A map of the train images, and nothing else is kept: what t-SNE and UMAP have in common.

    Args:
        embedding: (n_train, dims) float32.
    """

    def __init__(self, embedding: np.ndarray) -> None:
        self.embedding = embedding

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return what the stage kept."""
        return cls(arrays["embedding"])

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        return {"embedding": self.embedding}, {}

    def n_compared(self, latent_dim: int) -> None:
        """Return None: its number of dimensions is a param of its own, since the first few make a poor map."""

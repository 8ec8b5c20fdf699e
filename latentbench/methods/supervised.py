"""The reference network's features in few numbers: trained on the classes, it is the ceiling of the comparison."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from latentbench import inference
from latentbench.core import progress
from latentbench.methods.base import Material
from latentbench.networks import weights
from latentbench.networks.classifier import Classifier
from latentbench.reduction.pca import PCA

_NETWORK = "network."


class Method:
    """Principal components of the features of a classifier.

    Args:
        network: in evaluation mode.
        shape: what `Classifier` rebuilds it from.
        mean: (f,) of the features of the train images.
        components: (m, f), in order of decreasing variance.
        embedding: of the train images, (n_train, m) float32, if they were just represented.
    """

    def __init__(
        self,
        network: Classifier,
        shape: Mapping[str, Any],
        mean: np.ndarray,
        components: np.ndarray,
        embedding: np.ndarray | None = None,
    ) -> None:
        self.network, self.shape, self.mean, self.components = network, shape, mean, components
        self.embedding = embedding

    @classmethod
    def fit(cls, material: Material, *, n_components: int) -> Self | None:
        """Find the components of the features of the train images; None if these have no labels.

        Args:
            material: what to fit to.
            n_components: of the scores; fewer if the network has fewer features.

        Raises:
            WeightsError: the weights do not match the description beside them.
        """
        if not material.dataset.labelled:
            return None
        arrays, description = material.classifier
        network = Classifier(**description["network"])
        weights.load(network, arrays)
        features = _features(network, material.dataset.train_images)
        most = min(len(features) - 1, features.shape[1])
        if n_components > most:
            progress.note(f"n_components: {n_components} is cut to {most}, the most that the features allow")
        fitted = PCA(min(n_components, most)).fit(features)
        embedding = _scores(features, fitted.mean_, fitted.components_)
        return cls(network, description["network"], fitted.mean_, fitted.components_, embedding)

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage kept."""
        network = Classifier(**description["network"])
        inside = {name: array for name, array in arrays.items() if name.startswith(_NETWORK)}
        weights.load(network, {name.removeprefix(_NETWORK): array for name, array in inside.items()})
        return cls(network, description["network"], arrays["mean"], arrays["components"])

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        arrays = {f"{_NETWORK}{name}": array for name, array in weights.to_arrays(self.network).items()}
        return {**arrays, "mean": self.mean, "components": self.components}, {"network": dict(self.shape)}

    def n_compared(self, latent_dim: int) -> int:
        """Return `latent_dim`, or all there are: as many are compared, from the first, as other networks have."""
        return min(latent_dim, len(self.components))

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to scores (n, m) float32, or to the first of them."""
        return _scores(_features(self.network, images), self.mean, self.components[:first])


def _features(network: Classifier, images: np.ndarray) -> np.ndarray:
    pixels = torch.tensor(images)
    return inference.apply(lambda batch: network.features(inference.to_unit(batch)), pixels).numpy()


def _scores(features: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    scores: np.ndarray = ((features - mean) @ components.T).astype(np.float32)
    return scores

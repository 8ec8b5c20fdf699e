"""What turns images into features for the judges, from files of the stage `classifier`: a network, or components."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from latentbench.core import artifacts
from latentbench.networks import weights
from latentbench.networks.classifier import Classifier
from stages import paths


class Components(nn.Module):
    """Scores on principal components as features, for images without labels.

    Args:
        mean: (p,) of the images as points in [0, 1].
        components: (m, p).
    """

    def __init__(self, mean: Tensor, components: Tensor) -> None:
        super().__init__()
        self.mean, self.components = mean, components

    def features(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to features (n, m)."""
        return (images.flatten(1) - self.mean) @ self.components.T


Eye: TypeAlias = Classifier | Components


def load() -> Eye:
    """Return the network, in evaluation mode, or the components.

    Raises:
        ArtifactError: a file is missing or damaged.
        WeightsError: the weights do not fit the description saved beside them.
    """
    arrays, description = artifacts.read_model(paths.model("classifier"))
    if description.get("features") == "pca":
        return Components(torch.from_numpy(arrays["mean"]), torch.from_numpy(arrays["components"]))
    network = Classifier(**description["network"])
    weights.load(network, arrays)
    return network


def look(eye: Eye, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Map images (n, c, h, w) in [0, 1] to features (n, d) and to probabilities (n, n_classes), None without classes.

    One pass gives both.
    """
    features = eye.features(images)
    if not isinstance(eye, Classifier):
        return features, None
    return features, eye.logits(features).softmax(dim=1)


def probabilities(eye: Eye) -> Callable[[Tensor], Tensor] | None:
    """Return a function from images (n, c, h, w) in [0, 1] to probabilities (n, n_classes); None without classes."""
    if not isinstance(eye, Classifier):
        return None
    network = eye
    return lambda images: torch.as_tensor(network(images).softmax(dim=1))

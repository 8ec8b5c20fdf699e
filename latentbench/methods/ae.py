"""Autoencoders."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from latentbench import inference
from latentbench.networks import weights
from latentbench.networks.autoencoders import base
from latentbench.networks.autoencoders.base import Autoencoder


class Method:
    """A trained autoencoder.

    Args:
        network: in evaluation mode.
    """

    def __init__(self, network: Autoencoder) -> None:
        self.network = network

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage trained."""
        network = base.build(**description["network"])
        weights.load(network, arrays)
        return cls(network)

    def n_compared(self, latent_dim: int) -> None:
        """Return None: all the latents that it was trained with are compared."""

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to latents (n, latent_dim) float32, or to the first of them."""
        latents = inference.apply(lambda batch: self.network.encode(inference.to_unit(batch)), torch.tensor(images))
        return latents.numpy()[:, :first]

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Map latents (n, latent_dim) to images (n, c, h, w) in [0, 1]."""
        return inference.apply(self.network.decode, torch.tensor(latents)).numpy()

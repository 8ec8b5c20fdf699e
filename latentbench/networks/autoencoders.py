"""Autoencoders at any image size: the two of the reference report, dense and convolutional, and a stronger one."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from latentbench.networks.blocks import (
    CropToImage,
    UpsampledConv2d,
    glorot_uniform,
    n_residual_features,
    residual_decoder,
    residual_encoder,
)

Architecture = Literal["dense", "conv", "residual"]


class Autoencoder(nn.Module):
    """An encoder to `latent_dim` numbers and a decoder back to pixels; subclasses supply both networks."""

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, height: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.height, self.width, self.latent_dim = height, width, latent_dim

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, height, width) in [0, 1] to latents (n, latent_dim)."""
        return torch.as_tensor(self.encoder(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images (n, height, width) in [0, 1]."""
        return torch.as_tensor(self.decoder(latents))

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstruction of `images`, of the same shape."""
        return self.decode(self.encode(images))


class DenseAutoencoder(Autoencoder):
    """784-392-196-98-L-98-196-392-784 for 28x28 images: each layer halves, with batch norm and ReLU."""

    def __init__(self, height: int, width: int, latent_dim: int) -> None:
        super().__init__(height, width, latent_dim)
        pixels = height * width
        widths = [pixels, pixels // 2, pixels // 4, pixels // 8]
        self.encoder = nn.Sequential(nn.Flatten(), *_dense_layers(widths), nn.Linear(widths[-1], latent_dim))
        self.decoder = nn.Sequential(
            *_dense_layers([latent_dim, *widths[:0:-1]]),
            nn.Linear(widths[1], pixels),
            nn.Sigmoid(),
            nn.Unflatten(1, (height, width)),
        )
        glorot_uniform(self)


class ConvAutoencoder(Autoencoder):
    """Two convolutions with max pooling to a dense latent; a dense layer and two upsamplings back."""

    def __init__(self, height: int, width: int, latent_dim: int) -> None:
        super().__init__(height, width, latent_dim)
        rows, columns = -(-height // 4), -(-width // 4)  # what two poolings leave, rounded up
        self.encoder = nn.Sequential(
            nn.Unflatten(1, (1, height)),
            # Pooling first gives the same as ReLU first, on a quarter of the pixels.
            nn.Conv2d(1, 16, 3, padding=1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.ReLU(),
            nn.Conv2d(16, 8, 3, padding=1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * rows * columns, latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 8 * rows * columns),
            nn.ReLU(),
            nn.Unflatten(1, (8, rows, columns)),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            UpsampledConv2d(8, 16),
            nn.ReLU(),
            UpsampledConv2d(16, 1),
            nn.Sigmoid(),
            CropToImage(height, width),
        )
        glorot_uniform(self)


class ResidualAutoencoder(Autoencoder):
    """Residual convolutions on 2x2 patches, the stronger of the convolutional networks."""

    def __init__(self, height: int, width: int, latent_dim: int) -> None:
        super().__init__(height, width, latent_dim)
        n_features = n_residual_features(height, width)
        self.encoder = nn.Sequential(residual_encoder(height, width), nn.Linear(n_features, latent_dim))
        self.decoder = nn.Sequential(residual_decoder(latent_dim, height, width), nn.Sigmoid())


def _dense_layers(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), nn.ReLU()]
    return layers


_NETWORKS: dict[Architecture, type[Autoencoder]] = {
    "dense": DenseAutoencoder,
    "conv": ConvAutoencoder,
    "residual": ResidualAutoencoder,
}


def build(architecture: Architecture, height: int, width: int, latent_dim: int) -> Autoencoder:
    """Return a freshly initialised autoencoder of the named architecture."""
    return _NETWORKS[architecture](height, width, latent_dim)

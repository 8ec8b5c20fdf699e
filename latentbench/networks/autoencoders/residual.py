"""Residual convolutions, the strongest of the autoencoders."""

from collections.abc import Sequence

from torch import nn

from latentbench.networks.autoencoders.base import Autoencoder
from latentbench.networks.blocks import n_residual_features, residual_decoder, residual_encoder


class Network(Autoencoder):
    """Residual convolutions on 2x2 patches."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(image_shape, latent_dim)
        n_features = n_residual_features(image_shape)
        self.encoder = nn.Sequential(residual_encoder(image_shape), nn.Linear(n_features, latent_dim))
        self.decoder = nn.Sequential(residual_decoder(latent_dim, image_shape), nn.Sigmoid())

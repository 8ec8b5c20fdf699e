"""Residual convolutions, the strongest of the autoencoders."""

from torch import nn

from latentbench.networks.autoencoders.base import Autoencoder
from latentbench.networks.blocks import n_residual_features, residual_decoder, residual_encoder


class Network(Autoencoder):
    """Residual convolutions on 2x2 patches."""

    def __init__(self, height: int, width: int, latent_dim: int) -> None:
        super().__init__(height, width, latent_dim)
        n_features = n_residual_features(height, width)
        self.encoder = nn.Sequential(residual_encoder(height, width), nn.Linear(n_features, latent_dim))
        self.decoder = nn.Sequential(residual_decoder(latent_dim, height, width), nn.Sigmoid())

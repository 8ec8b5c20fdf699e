"""Residual convolutions, the strongest of the VAEs."""

from collections.abc import Sequence

from torch import nn

from latentbench.networks import likelihoods
from latentbench.networks.blocks import n_residual_features, residual_decoder, residual_encoder
from latentbench.networks.vaes.base import VAE


class Network(VAE):
    """The residual autoencoder's networks with two heads."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__(image_shape, latent_dim, likelihood)
        self.trunk = residual_encoder(image_shape)
        n_features = n_residual_features(image_shape)
        self.to_mean = nn.Linear(n_features, latent_dim)
        self.to_log_var = nn.Linear(n_features, latent_dim)
        self.decoder = residual_decoder(latent_dim, self.output_shape)

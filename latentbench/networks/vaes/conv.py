"""The convolutional VAE of the reference report."""

from collections.abc import Sequence

from torch import nn

from latentbench.networks import likelihoods
from latentbench.networks.blocks import CropToImage, glorot_uniform
from latentbench.networks.vaes.base import VAE


class Network(VAE):
    """Two strided convolutions and a dense layer to the heads; transposed convolutions back."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__(image_shape, latent_dim, likelihood)
        channels, height, width = image_shape
        rows, columns = -(-height // 4), -(-width // 4)  # what two strides of 2 leave, rounded up
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * rows * columns, 256),
            nn.ReLU(),
        )
        self.to_mean = nn.Linear(256, latent_dim)
        self.to_log_var = nn.Linear(256, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 64 * rows * columns),
            nn.ReLU(),
            nn.Unflatten(1, (64, rows, columns)),
            nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, self.output_shape[0], 3, padding=1),
            CropToImage(image_shape),
        )
        glorot_uniform(self)

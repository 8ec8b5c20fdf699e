"""The convolutional autoencoder of the reference report."""

from collections.abc import Sequence

from torch import nn

from latentbench.networks.autoencoders.base import Autoencoder
from latentbench.networks.blocks import CropToImage, UpsampledConv2d, glorot_uniform


class Network(Autoencoder):
    """Two convolutions with max pooling to a dense latent; a dense layer and two upsamplings back."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(image_shape, latent_dim)
        channels, height, width = image_shape
        rows, columns = -(-height // 4), -(-width // 4)  # what two poolings leave, rounded up
        self.encoder = nn.Sequential(
            # Pooling first gives the same as ReLU first, on a quarter of the pixels.
            nn.Conv2d(channels, 16, 3, padding=1),
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
            UpsampledConv2d(16, channels),
            nn.Sigmoid(),
            CropToImage(image_shape),
        )
        glorot_uniform(self)

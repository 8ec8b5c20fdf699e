"""The dense autoencoder of the reference report."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from latentbench.networks.autoencoders.base import Autoencoder
from latentbench.networks.blocks import glorot_uniform, halved, shorter_steps


class Network(Autoencoder):
    """784-392-196-98-L-98-196-392-784 for grey 28x28 images: each layer halves, with batch norm and ReLU."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(image_shape, latent_dim)
        widths = halved(image_shape, latent_dim)
        self.encoder = nn.Sequential(nn.Flatten(), *_layers(widths), nn.Linear(widths[-1], latent_dim))
        self.decoder = nn.Sequential(
            *_layers([latent_dim, *widths[:0:-1]]),
            nn.Linear(widths[1], widths[0]),
            nn.Sigmoid(),
            nn.Unflatten(1, tuple(image_shape)),
        )
        glorot_uniform(self)
        self.step_scale = shorter_steps(image_shape)


def _layers(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), nn.ReLU()]
    return layers

"""The dense VAE of the reference report."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from latentbench.networks import likelihoods
from latentbench.networks.blocks import glorot_uniform, halved, shorter_steps
from latentbench.networks.vaes.base import VAE


class Network(VAE):
    """784-392-196-98 for grey 28x28 images, with ReLU, then the two heads; the decoder mirrors it."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__(image_shape, latent_dim, likelihood)
        widths = halved(image_shape, latent_dim)
        self.trunk = nn.Sequential(nn.Flatten(), *_layers(widths))
        self.to_mean = nn.Linear(widths[-1], latent_dim)
        self.to_log_var = nn.Linear(widths[-1], latent_dim)
        self.decoder = nn.Sequential(
            *_layers([latent_dim, *widths[:0:-1]]),
            nn.Linear(widths[1], math.prod(self.output_shape)),
            nn.Unflatten(1, self.output_shape),
        )
        glorot_uniform(self)
        self.step_scale = shorter_steps(image_shape)


def _layers(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return layers

"""Variational autoencoders (Kingma & Welling 2014): the two networks of the reference report, and a stronger one."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from latentbench.networks import likelihoods
from latentbench.networks.blocks import (
    CropToImage,
    glorot_uniform,
    n_residual_features,
    residual_decoder,
    residual_encoder,
)

Architecture = Literal["dense", "conv", "residual"]


class VAE(nn.Module):
    """A Gaussian encoder q(z | x) with diagonal covariance, and a decoder whose output `likelihood` interprets."""

    trunk: nn.Module
    to_mean: nn.Linear
    to_log_var: nn.Linear
    decoder: nn.Module
    likelihood: likelihoods.Likelihood

    def __init__(self, height: int, width: int, latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__()
        self.height, self.width, self.latent_dim = height, width, latent_dim
        self.likelihood = likelihoods.build(likelihood, height, width)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (n, height, width) in [0, 1] to the mean and log variance of q(z | x), each (n, latent_dim)."""
        hidden = self.trunk(images)
        return self.to_mean(hidden), self.to_log_var(hidden)

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, height, width) in [0, 1] to the posterior means (n, latent_dim)."""
        return self.posterior(images)[0]

    def output(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to the decoder's raw output (n, height, width), as `likelihood` takes it."""
        return torch.as_tensor(self.decoder(latents))

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to the mean images (n, height, width) in [0, 1] of `likelihood`."""
        return self.likelihood.mean(self.output(latents))

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstruction of `images` through the posterior mean, of the same shape."""
        return self.decode(self.encode(images))


class DenseVAE(VAE):
    """784-392-196-98 with ReLU, then the two heads; the decoder mirrors it."""

    def __init__(self, height: int, width: int, latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__(height, width, latent_dim, likelihood)
        pixels = height * width
        widths = [pixels, pixels // 2, pixels // 4, pixels // 8]
        self.trunk = nn.Sequential(nn.Flatten(), *_relu_layers(widths))
        self.to_mean = nn.Linear(widths[-1], latent_dim)
        self.to_log_var = nn.Linear(widths[-1], latent_dim)
        self.decoder = nn.Sequential(
            *_relu_layers([latent_dim, *widths[:0:-1]]),
            nn.Linear(widths[1], pixels),
            nn.Unflatten(1, (height, width)),
        )
        glorot_uniform(self)


class ConvVAE(VAE):
    """Two strided convolutions and a dense layer to the heads; transposed convolutions back."""

    def __init__(self, height: int, width: int, latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__(height, width, latent_dim, likelihood)
        rows, columns = -(-height // 4), -(-width // 4)  # what two strides of 2 leave, rounded up
        self.trunk = nn.Sequential(
            nn.Unflatten(1, (1, height)),
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
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
            nn.ConvTranspose2d(32, 1, 3, padding=1),
            CropToImage(height, width),
        )
        glorot_uniform(self)


class ResidualVAE(VAE):
    """The residual autoencoder's networks with two heads."""

    def __init__(self, height: int, width: int, latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__(height, width, latent_dim, likelihood)
        self.trunk = residual_encoder(height, width)
        n_features = n_residual_features(height, width)
        self.to_mean = nn.Linear(n_features, latent_dim)
        self.to_log_var = nn.Linear(n_features, latent_dim)
        self.decoder = residual_decoder(latent_dim, height, width)


def reparameterise(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """Return z = mean + exp(log_var / 2) * noise, a draw when noise ~ N(0, I) (Kingma & Welling 2014, section 2.4).

    (..., latent_dim) each, broadcast
    """
    return mean + torch.exp(0.5 * log_var) * noise


def kl_from_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)) per row, in nats, summed over the last axis (ibid., appendix B).

    (n, latent_dim) twice -> (n,)
    """
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(dim=-1)


def negative_elbo(network: VAE, images: Tensor, noise: Tensor, beta: float = 1.0) -> dict[str, Tensor]:
    """Return the negative evidence lower bound (Kingma & Welling 2014, eq. 7 with one draw), the mean nats per image.

    With another weight of the divergence it is the loss of a beta-VAE (Higgins et al. 2017, eq. 4) and no bound. It is
    summed in float32 whatever the network computes in: the divergence is a small difference of large numbers.

    Args:
        network: the VAE.
        images: (n, height, width) in [0, 1].
        noise: (n, latent_dim), standard normal.
        beta: weight of the divergence.

    Returns:
        Scalars: "loss" and its parts "reconstruction" and "kl", the latter without the weight.
    """
    mean, log_var = (each.float() for each in network.posterior(images))
    output = network.output(reparameterise(mean, log_var, noise)).float()
    reconstruction = network.likelihood.nats(output, images).mean()
    kl = kl_from_standard_normal(mean, log_var).mean()
    return {"loss": reconstruction + beta * kl, "reconstruction": reconstruction, "kl": kl}


def _relu_layers(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return layers


_NETWORKS: dict[Architecture, type[VAE]] = {"dense": DenseVAE, "conv": ConvVAE, "residual": ResidualVAE}


def build(
    architecture: Architecture, height: int, width: int, latent_dim: int, likelihood: likelihoods.Name = "bernoulli"
) -> VAE:
    """Return a freshly initialised VAE of the named architecture and observation model."""
    return _NETWORKS[architecture](height, width, latent_dim, likelihood)

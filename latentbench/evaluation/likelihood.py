"""How likely a VAE finds images: the evidence lower bound in its parts, a tighter bound, what each latent carries."""

import math
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from latentbench.core import progress
from latentbench.core.errors import InputError
from latentbench.evaluation.samples import Estimate
from latentbench.networks.likelihoods import Likelihood
from latentbench.networks.vaes import base as vaes

Nats = TypeVar("Nats", float, Tensor)

# A latent is in use when the variance of its posterior mean over the images is above this.
ACTIVE = 0.01
_BATCH = 100  # images at a time


class Model(Protocol):
    """What is needed of a VAE: the posterior of images, the decoder's output, and how that output scores images."""

    @property
    def likelihood(self) -> Likelihood:
        """The observation model."""

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (n, ...) to the mean and log variance of q(z | x), each (n, latent_dim)."""

    def output(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to the decoder's output (n, ...)."""


@dataclass(frozen=True)
class Parts:
    """The two parts of the evidence lower bound for each image, in nats, and the posterior means behind them.

    Attributes:
        reconstruction: (n,) float64, -E_q[log p(x | z)], or a loss in its place where the likelihood is not proper.
        kl: (n, latent_dim) float64, KL(q(z | x) || N(0, I)) of each latent.
        means: (n, latent_dim), of q(z | x).
    """

    reconstruction: Tensor
    kl: Tensor
    means: Tensor

    def bounds(self) -> Tensor:
        """Return the evidence lower bound of each image, (n,) nats (Kingma & Welling 2014, eq. 3)."""
        return -(self.reconstruction + self.kl.sum(dim=1))

    def active_units(self) -> int:
        """Count latents whose posterior mean varies over the images (Burda et al. 2016, section 5.2)."""
        return int((self.means.var(dim=0) > ACTIVE).sum())


def is_proper(likelihood: Likelihood, images: Tensor) -> bool:
    """Return whether `likelihood` gives these images (n, ...) in [0, 1] a probability, and not merely a loss."""
    return likelihood.proper_on_grey or bool(((images == 0) | (images == 1)).all())


@torch.no_grad()
def parts(model: Model, images: Tensor, generator: torch.Generator, n_draws: int = 1) -> Parts:
    """Split the evidence lower bound of images into its parts.

    The divergence is exact; the expectation of the other part is a mean over draws from the posterior.

    Args:
        model: in evaluation mode.
        images: (n, ...) floats in [0, 1].
        generator: for the draws.
        n_draws: for each image.
    """
    found = []
    for batch in images.split(_BATCH):
        mean, log_var = model.posterior(batch)
        nats = torch.zeros(len(batch), dtype=torch.float64, device=mean.device)
        for _ in range(n_draws):
            latents = vaes.reparameterise(mean, log_var, _noise(mean, generator))
            nats += model.likelihood.nats(model.output(latents), batch).double()
        kl = vaes.kl_from_standard_normal(mean.double()[..., None], log_var.double()[..., None])  # of each latent alone
        found.append((nats / n_draws, kl, mean))
    reconstruction, kl, means = (torch.cat(each) for each in zip(*found, strict=True))
    return Parts(reconstruction, kl, means)


@torch.no_grad()
def importance_bounds(
    model: Model, images: Tensor, n_samples: int, generator: torch.Generator, block: int = 10, label: str = "likelihood"
) -> Tensor:
    """Bound the log-likelihood of each image from below with importance samples from the posterior.

    log 1/K sum_k p(x, z_k) / q(z_k | x), in expectation below log p(x), and closer to it the larger K is (Burda et al.
    2016, eq. 8 and theorem 1). K = 1 is a one-draw estimate of the evidence lower bound.

    Args:
        model: in evaluation mode.
        images: (n, ...) floats in [0, 1].
        n_samples: K.
        generator: for the samples.
        block: samples of a batch of images that are decoded at once; it limits the memory and changes nothing else.
        label: what the progress bar says.

    Returns:
        (n,) float64, in nats.

    Raises:
        InputError: the likelihood is Bernoulli and the images are grey, so that there is no likelihood to bound.
    """
    if not is_proper(model.likelihood, images):
        raise InputError(
            f"{model.likelihood.name} gives grey pixels no likelihood, only a loss: binarise the images, or train with "
            "a likelihood of grey pixels such as discretized_logistic"
        )
    found = []
    for batch in progress.bar(images.split(_BATCH), desc=label, unit="batch"):
        mean, log_var = model.posterior(batch)
        total = torch.full((len(batch),), -math.inf, dtype=torch.float64, device=mean.device)
        for start in range(0, n_samples, block):
            size = min(block, n_samples - start)
            noise = torch.stack([_noise(mean, generator) for _ in range(size)])  # (size, n, latent_dim)
            weights = _log_weights(model, batch, mean, log_var, noise)
            total = torch.logaddexp(total, weights.logsumexp(dim=0))
        found.append(total - math.log(n_samples))
    return torch.cat(found)


def bits_per_dim(nats: Nats, n_pixels: int) -> Nats:
    """Convert `nats` for an image of `n_pixels` to bits per pixel; for numbers and tensors alike."""
    return nats / (n_pixels * math.log(2.0))


def mean_with_interval(values: Tensor) -> Estimate:
    """Return the mean of values (n,) over images with its 95% interval, normal by the central limit theorem."""
    mean, error = values.mean().item(), values.std().item() / math.sqrt(len(values))
    from scipy import stats

    half_width = float(stats.norm.ppf(0.975)) * error
    return Estimate(mean, mean - half_width, mean + half_width)


def _noise(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Draw noise for one sample of each image: since all draws have one size, the block size does not matter."""
    return torch.randn(mean.shape, dtype=mean.dtype, generator=generator).to(mean.device)


def _log_weights(model: Model, images: Tensor, mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """Return log p(x, z) - log q(z | x) of each sample, (size, n) float64."""
    latents = vaes.reparameterise(mean, log_var, noise)  # (size, n, latent_dim)
    repeated = images.expand(len(noise), *images.shape).flatten(0, 1)
    nats = model.likelihood.nats(model.output(latents.flatten(0, 1)), repeated).unflatten(0, noise.shape[:2])
    # Ratios of two normal densities, whose constants cancel.
    log_ratios = 0.5 * (noise.double().square() + log_var.double() - latents.double().square())
    return torch.sub(log_ratios.sum(dim=-1), nats.double())

"""What all variational autoencoders (Kingma & Welling 2014) have in common, and their loss.

Each file beside this one is an architecture: it has the file's name and defines `Network`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentbench import plugins
from latentbench.networks import likelihoods


class VAE(nn.Module):
    """A Gaussian encoder q(z | x) with diagonal covariance, and a decoder whose output `likelihood` interprets.

    An architecture supplies the networks; its decoder ends with `output_shape`, which is that of an image unless the
    likelihood takes more than one number for each value.
    """

    trunk: nn.Module
    to_mean: nn.Linear
    to_log_var: nn.Linear
    decoder: nn.Module
    likelihood: likelihoods.Likelihood
    step_scale: float = 1.0  # by which a recipe's learning rate is multiplied

    def __init__(self, image_shape: Sequence[int], latent_dim: int, likelihood: likelihoods.Name = "bernoulli") -> None:
        super().__init__()
        self.image_shape, self.latent_dim = tuple(image_shape), latent_dim
        self.likelihood = likelihoods.build(likelihood, image_shape)
        channels, *size = self.image_shape
        self.output_shape = (self.likelihood.n_outputs * channels, *size)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (n, c, h, w) in [0, 1] to the mean and log variance of q(z | x), each (n, latent_dim)."""
        hidden = self.trunk(images)
        return self.to_mean(hidden), self.to_log_var(hidden)

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to the posterior means (n, latent_dim)."""
        return self.posterior(images)[0]

    def output(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to the decoder's raw output (n, *output_shape), as `likelihood` takes it."""
        return torch.as_tensor(self.decoder(latents))

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to the mean images (n, c, h, w) in [0, 1] of `likelihood`."""
        return self.likelihood.mean(self.output(latents))

    def sample(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Map latents (n, latent_dim) to images (n, c, h, w) in [0, 1] as `likelihood` draws them.

        The generator is of the CPU.
        """
        uniform = torch.rand((len(latents), *self.image_shape), generator=generator)
        return self.likelihood.sample(self.output(latents), uniform.to(latents))

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstruction of `images` through the posterior mean, of the same shape."""
        return self.decode(self.encode(images))


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


def terms(network: VAE, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the terms that losses of a VAE are made of, in float32 whatever the network computes in.

    Args:
        network, images, noise: as for `negative_elbo`.

    Returns:
        The mean and the log variance of q(z | x) and a draw from it, each (n, latent_dim), and the scalar mean of
        -log p(x | z) in nats.
    """
    mean, log_var = (each.float() for each in network.posterior(images))
    latents = reparameterise(mean, log_var, noise)
    output = network.output(latents).float()
    return mean, log_var, latents, network.likelihood.nats(output, images).mean()


def negative_elbo(network: VAE, images: Tensor, noise: Tensor, beta: float = 1.0) -> dict[str, Tensor]:
    """Return the negative evidence lower bound (Kingma & Welling 2014, eq. 7 with one draw), in mean nats per image.

    With another weight of the divergence it is the loss of a beta-VAE (Higgins et al. 2017, eq. 4), not a bound. It is
    summed in float32 whatever the network computes in: the divergence is a small difference of large numbers.

    Args:
        network: the VAE.
        images: (n, c, h, w) in [0, 1].
        noise: (n, latent_dim), standard normal.
        beta: weight of the divergence.

    Returns:
        Scalars: "loss" and its parts "reconstruction" and "kl", the latter without the weight.
    """
    mean, log_var, _, reconstruction = terms(network, images, noise)
    kl = kl_from_standard_normal(mean, log_var).mean()
    return {"loss": reconstruction + beta * kl, "reconstruction": reconstruction, "kl": kl}


def build(
    architecture: str,
    image_shape: Sequence[int],
    latent_dim: int,
    likelihood: likelihoods.Name = "bernoulli",
    **options: Any,
) -> VAE:
    """Return a freshly initialised VAE.

    Args:
        architecture: the name of a file beside this one.
        image_shape, latent_dim, likelihood: as for `VAE`.
        options: further arguments of the architecture.

    Raises:
        InputError: there is no such architecture, or it does not take these options.
    """
    shape: dict[str, Any] = {"image_shape": image_shape, "latent_dim": latent_dim, "likelihood": likelihood}
    network: type[VAE] = plugins.load("latentbench.networks.vaes", architecture).Network
    plugins.check_options(f"the VAE {architecture}", network, shape, options)
    return network(**shape, **options)

"""Variational autoencoders."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from latentbench import inference, seeding
from latentbench.data.dataset import Dataset
from latentbench.evaluation import latents, likelihood
from latentbench.methods.base import Bound, Effort
from latentbench.networks import weights
from latentbench.networks.vaes import base
from latentbench.networks.vaes.base import VAE


class Method:
    """A trained VAE; its latents are the means of the posterior.

    Args:
        network: in evaluation mode.
    """

    calls = 1

    def __init__(self, network: VAE) -> None:
        self.network = network

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage trained."""
        network = base.build(**description["network"])
        weights.load(network, arrays)
        return cls(network)

    def n_compared(self, latent_dim: int) -> None:
        """Return None: all the latents that it was trained with are compared."""

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to posterior means (n, latent_dim) float32, or to the first of them."""
        encoded = inference.apply(lambda batch: self.network.encode(inference.to_unit(batch)), torch.tensor(images))
        return encoded.numpy()[:, :first]

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Map latents (n, latent_dim) to mean images (n, c, h, w) in [0, 1]."""
        return inference.apply(self.network.decode, torch.tensor(latents)).numpy()

    def posterior(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map images (n, c, h, w) uint8 to means and log variances of q(z | x), (n, latent_dim) float32 each."""
        means, log_vars = latents.posteriors(self.network, inference.to_unit(torch.tensor(images)))
        return means.numpy(), log_vars.numpy()

    def complete(self, images: np.ndarray) -> np.ndarray:
        """Map images (n, c, h, w) in [0, 1] to their reconstructions, of the same shape."""
        return inference.apply(self.network, torch.tensor(images, dtype=torch.float32)).numpy()

    def sample(self, latents: np.ndarray, seed: int) -> np.ndarray:
        """Map latents (n, latent_dim) to images (n, c, h, w) uint8 as the likelihood draws them."""
        return self._sampled(torch.tensor(latents), torch.Generator().manual_seed(seed))

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return images (n, c, h, w) uint8 of latents from the prior."""
        generator = torch.Generator().manual_seed(seed)
        return self._sampled(torch.randn((n, self.network.latent_dim), generator=generator), generator)

    def _sampled(self, latents: torch.Tensor, generator: torch.Generator) -> np.ndarray:
        def pixels(batch: torch.Tensor) -> torch.Tensor:
            return inference.to_pixels(self.network.sample(batch, generator))

        return inference.apply(pixels, latents).numpy()

    def bound(self, dataset: Dataset, row: str, seed: int, effort: Effort) -> Bound:
        """Return the parts of the bound on the test images, and a tighter one from importance samples.

        Binary cross-entropy on grey pixels bounds no likelihood: then the parts are those of a loss.
        """
        images = inference.to_unit(torch.tensor(dataset.test_images))
        few, n_samples = images[: effort.likelihood_images], effort.importance_samples
        generator = seeding.torch_generator(seed, "evaluate", "likelihood", row)
        parts = likelihood.parts(self.network, images, generator)
        found = {
            "n": len(images),
            "reconstruction_nats": parts.reconstruction.mean().item(),
            "kl_nats": parts.kl.sum(dim=1).mean().item(),
            "active_units": parts.active_units(),
        }
        kl_per_latent = parts.kl.mean(dim=0).sort(descending=True).values.numpy()
        observation = self.network.likelihood
        if not likelihood.is_proper(observation, images):
            return Bound(found, observation.name, None, kl_per_latent)
        tighter = likelihood.importance_bounds(
            self.network, few, n_samples, generator, label=f"{row}: importance samples"
        )
        nats = {
            "bits_per_dim": -parts.bounds(),
            "bits_per_dim_importance": -tighter,
            "importance_gain": tighter - parts.bounds()[: len(few)],  # on the same images
        }
        bits = {name: likelihood.bits_per_dim(values, images[0].numel()) for name, values in nats.items()}
        found |= {"elbo_nats": parts.bounds().mean().item(), "n_importance": len(few)}
        for name, values in bits.items():
            mean = likelihood.mean_with_interval(values)
            found |= {name: mean.value, f"{name}_lo": mean.low, f"{name}_hi": mean.high}
        return Bound(found, observation.name, bits["bits_per_dim"].numpy(), kl_per_latent)

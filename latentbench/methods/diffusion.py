"""Diffusion models."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from latentbench import inference, seeding
from latentbench.data.dataset import Dataset
from latentbench.diffusion import bounds, models
from latentbench.diffusion.models import DiffusionModel, Sampling
from latentbench.diffusion.samplers import base as samplers
from latentbench.diffusion.spaces import PixelSpace
from latentbench.evaluation import likelihood
from latentbench.methods.base import Bound, Effort

_N_LEVELS = 1000  # steps of the chain that bounds the likelihood


class Method:
    """A trained diffusion model, and how it was sampled from.

    Args:
        model: in evaluation mode.
        sampling: how it was sampled.
        guidance: scale of its guidance; None if it was trained without classes.
    """

    def __init__(self, model: DiffusionModel, sampling: Sampling, guidance: float | None) -> None:
        self.model, self.sampling, self.guidance = model, sampling, guidance
        calls = samplers.n_calls(sampling.sampler, sampling.calls)
        self.calls = calls * (1 if sampling.autoguidance == 1.0 else 2)
        self.calls_guided = None if guidance is None else calls * (1 if guidance == 1.0 else 2)

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage trained."""
        model = models.restore(arrays, description)
        return cls(model, Sampling(**description["sampling"]), description["guidance"])

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return samples (n, c, h, w) uint8 of any class."""
        return self.model.draw(seed, range(n), self.sampling).numpy()

    def draw_classes(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Return samples (n, c, h, w) uint8 of classes (n,), with the model's own guidance."""
        assert self.guidance is not None
        chosen = torch.tensor(labels).long()
        return self.model.draw(seed, range(len(chosen)), self.sampling, chosen, self.guidance).numpy()

    def bound(self, dataset: Dataset, row: str, seed: int, effort: Effort) -> Bound | None:
        """Return the bound of a model on pixels, in the same parts as a VAE's; one on latents bounds no likelihood."""
        model, n_draws = self.model, effort.bound_draws
        if not isinstance(model.space, PixelSpace):
            return None
        images = inference.to_unit(torch.tensor(dataset.test_images))
        generator = seeding.torch_generator(seed, "evaluate", "likelihood", row)
        levels = model.schedule.path(_N_LEVELS, "log")[-2::-1]
        fitted_on = model.encode(torch.tensor(dataset.train_images[dataset.validation_index]))
        nats = bounds.fit_pixels(model.denoise(), fitted_on, levels[0], generator)
        found = bounds.bound(model.denoise(), model.space.encode(images), levels, nats, n_draws, generator)
        bits = likelihood.bits_per_dim(found.total(), images[0].numel())
        mean = likelihood.mean_with_interval(bits)
        parts = {
            "n": len(images),
            "reconstruction_nats": found.reconstruction.mean().item(),
            "kl_nats": (found.prior + found.denoising).mean().item(),
            "elbo_nats": -found.total().mean().item(),
            "bits_per_dim": mean.value,
            "bits_per_dim_lo": mean.low,
            "bits_per_dim_hi": mean.high,
        }
        return Bound(parts, "discretized_logistic", bits.numpy())

"""A whole diffusion model: space, denoiser, schedule, and how it is sampled from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentbench import devices, inference, seeding
from latentbench.core import artifacts, progress
from latentbench.core.errors import InputError
from latentbench.devices import Precision
from latentbench.diffusion import denoising, editing, schedules
from latentbench.diffusion.denoising import Denoise, Denoiser
from latentbench.diffusion.parameterisations import Prediction
from latentbench.diffusion.samplers import base as samplers
from latentbench.diffusion.samplers.base import Step
from latentbench.diffusion.schedules import Schedule, Spacing
from latentbench.diffusion.spaces import LatentSpace, PixelSpace
from latentbench.networks import denoisers, weights
from latentbench.networks.autoencoders import residual

_BATCH_GPU = 2000  # samples that a GPU makes at a time; a CPU makes `inference.BATCH`


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes:
        sampler: its name.
        calls: network calls for each sample, at most; a guided call counts as one.
        spacing: of the levels in between.
        eta: share of fresh noise, for DDIM only.
        precision: number format of the network's products.
        autoguidance: scale of the push away from the model's guide; 1 does without it, as do samples of given classes.
    """

    sampler: str = "dpm_solver"
    calls: int = 20
    spacing: Spacing = "rho"
    eta: float = 0.0
    precision: Precision = "float32"
    autoguidance: float = 1.0


class DiffusionModel(nn.Module):
    """A space, and a denoiser trained in it. `build` makes one.

    Attributes:
        space: maps images to data and back.
        denoiser: of that data.
        schedule: of the noise that the denoiser is trained with.
        image_shape: channels, height and width of an image.
        shape: of one datum.
        n_classes: how many classes the denoiser can be conditioned on; None if it is unconditional.
        guide: a weaker denoiser for autoguidance; None without one.
    """

    def __init__(
        self,
        space: PixelSpace | LatentSpace,
        denoiser: Denoiser,
        schedule: Schedule,
        image_shape: Sequence[int],
        shape: Sequence[int],
        n_classes: int | None,
        guide: Denoiser | None = None,
    ) -> None:
        super().__init__()
        self.space, self.denoiser, self.guide = space, denoiser, guide
        self.schedule, self.n_classes = schedule, n_classes
        self.image_shape, self.shape = tuple(image_shape), tuple(shape)

    def denoise(self, labels: Tensor | None = None, guidance: float = 1.0, autoguidance: float = 1.0) -> Denoise:
        """Return what samplers call: estimates within the limits of the space.

        Args:
            labels: (n,) classes that they are conditioned on; None for any class.
            guidance: how strongly they follow these classes.
            autoguidance: how strongly they are pushed away from the guide's, without labels.

        Raises:
            InputError: there is no guide.
        """
        if labels is not None:
            assert self.n_classes is not None
            denoise = denoising.guided(self.denoiser, labels, self.n_classes, guidance)
        elif autoguidance == 1.0:
            denoise = self.denoiser
        elif self.guide is None:
            raise InputError(
                "autoguidance needs a guide: train one with the param 'autoguidance' of the model's section"
            )
        else:
            denoise = denoising.autoguided(self.denoiser, self.guide, autoguidance)
        return denoise if self.space.limits is None else denoising.clipped(denoise, *self.space.limits)

    def estimates(self, sampling: Sampling, labels: Tensor | None = None, guidance: float = 1.0) -> Denoise:
        """Return `denoise` in the precision and with the autoguidance of a way to sample."""
        denoise, device = self.denoise(labels, guidance, sampling.autoguidance), next(self.parameters()).device

        def rounded(noisy: Tensor, level: Tensor) -> Tensor:
            with devices.products(device, sampling.precision):
                return denoise(noisy, level)

        return rounded

    def path(self, sampling: Sampling, start: float = 1.0) -> list[float]:
        """Return the levels that samples go through from a time in (0, 1]; 1 is pure noise.

        Raises:
            InputError: too few or too many calls, or a time out of range.
        """
        n_steps = samplers.n_steps(sampling.sampler, sampling.calls)
        if n_steps < 2:
            raise InputError(f"{sampling.calls} calls are too few for the sampler {sampling.sampler}: try 10")
        return self.schedule.path(n_steps, sampling.spacing, start)

    def steps(
        self,
        seed: int,
        indices: Sequence[int],
        sampling: Sampling,
        labels: Tensor | None = None,
        guidance: float = 1.0,
    ) -> Iterator[Step]:
        """Yield the steps of the samples with these indices; each depends only on the seed and its index.

        In float32 this holds to within one grey level: in another batch, sums may be rounded differently.
        """
        device = next(self.parameters()).device
        generators = [seeding.torch_generator(seed, index) for index in indices]
        path = self.path(sampling)
        y = samplers.start(generators, self.shape, path[0]).to(device)
        denoise = self.estimates(sampling, labels, guidance)
        yield from samplers.sample(denoise, path, y, sampling.sampler, sampling.eta, generators)

    def draw(
        self,
        seed: int,
        indices: Sequence[int],
        sampling: Sampling,
        labels: Tensor | None = None,
        guidance: float = 1.0,
        label: str | None = None,
    ) -> Tensor:
        """Return the samples with these indices, (n, c, h, w) uint8 on the CPU, made a batch at a time.

        Args:
            seed, indices, sampling, guidance: as for `steps`.
            labels: (n,) int64, the class of each, or None.
            label: of the progress bar; None for no bar.
        """
        drawn = [torch.empty((0, *self.image_shape), dtype=torch.uint8)]
        device = next(self.parameters()).device
        size = inference.BATCH if device.type == "cpu" else _BATCH_GPU
        starts = range(0, len(indices), size)
        for start in progress.bar(starts, desc=label, unit="batch", disable=label is None):
            some = slice(start, start + size)
            wanted = None if labels is None else labels[some].to(device)
            drawn.append(self.pixels(samplers.last(self.steps(seed, indices[some], sampling, wanted, guidance)).y))
        return torch.cat(drawn)

    def encode(self, images: Tensor) -> Tensor:
        """Map uint8 images (n, c, h, w) to data (n, *shape) float32."""
        return self.space.encode(inference.to_unit(images))

    @torch.no_grad()
    def inpaint(
        self, seed: int, indices: Sequence[int], images: Tensor, known: Tensor, sampling: Sampling, repeats: int = 1
    ) -> Tensor:
        """Fill in the pixels of images that are not known, both (n, c, h, w), uint8 and bool; known pixels stay.

        It takes `sampling.calls` ancestral steps, each of them `repeats` times, without autoguidance: fillings are to
        be as likely as the model finds them. On latents, every estimate is decoded, completed and encoded again.
        """
        device = next(self.parameters()).device
        images, known = images.to(device), known.to(device)
        generators = [seeding.torch_generator(seed, index) for index in indices]
        path = self.path(replace(sampling, sampler="ancestral"))

        def agree(x0: Tensor) -> Tensor:
            return self.space.encode(torch.where(known, inference.to_unit(images), self.space.decode(x0)))

        y = samplers.start(generators, self.shape, path[0]).to(device)
        denoise = self.estimates(replace(sampling, autoguidance=1.0))
        filled = editing.inpaint(denoise, path, agree, y, generators, repeats)
        return torch.where(known, images, inference.to_pixels(self.space.decode(filled))).cpu()

    @torch.no_grad()
    def pixels(self, data: Tensor) -> Tensor:
        """Return data as images (n, c, h, w) uint8."""
        return inference.to_pixels(self.space.decode(data)).cpu()


class Estimator(nn.Module):
    """The estimates that samples of a model are made of, as a separate module; on pixels, clip them to -1 and 1.

    Args:
        model: whose they are.
        autoguidance: scale of it; a model that is told classes does without.

    Raises:
        InputError: the model has no guide for it.
    """

    def __init__(self, model: DiffusionModel, autoguidance: float = 1.0) -> None:
        super().__init__()
        self.model, self.autoguidance = model, autoguidance
        model.denoise(autoguidance=autoguidance)

    def forward(self, noisy: Tensor, level: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map y = x_0 + level * eps (n, *shape), levels (n,), float32 both, to estimates of x_0 (n, *shape).

        A class-conditional model takes labels (n,) int64; the number after the last class means any class.
        """
        denoiser, guide = self.model.denoiser, self.model.guide
        if labels is not None or self.autoguidance == 1.0:
            return torch.as_tensor(denoiser(noisy, level, labels))
        assert guide is not None
        return denoising.autoguided(denoiser, guide, self.autoguidance)(noisy, level)


class SpaceDecoder(nn.Module):
    """The decoder from the space of a model to images, as a separate module."""

    def __init__(self, model: DiffusionModel) -> None:
        super().__init__()
        self.space = model.space

    def forward(self, data: Tensor) -> Tensor:
        """Map data (n, *shape) to images (n, c, h, w) in [0, 1]."""
        return self.space.decode(data)


def build(
    image_shape: Sequence[int],
    network: Mapping[str, Any],
    schedule: Mapping[str, Any],
    prediction: Prediction,
    data_deviation: float,
    n_classes: int | None = None,
    coder: Mapping[str, Any] | None = None,
    guide: Mapping[str, Any] | None = None,
) -> DiffusionModel:
    """Return a freshly initialised model.

    Args:
        image_shape: channels, height and width of an image.
        network: arguments of the network, except its input's size and the classes.
        schedule: arguments of `schedules.make`.
        prediction, data_deviation: as for `Denoiser`.
        n_classes: how many classes the network can be conditioned on.
        coder: for a model on latents, arguments of the residual autoencoder except the image shape; None on pixels.
        guide: arguments of the network of the guide, which is told no classes; None for a model without one.
    """
    if coder is None:
        space: PixelSpace | LatentSpace = PixelSpace()
        shape = tuple(image_shape)
    else:
        space = LatentSpace(residual.Network(image_shape, **coder))
        shape = (space.coder.latent_dim,)

    def denoiser(arguments: Mapping[str, Any], n_classes: int | None) -> Denoiser:
        made: nn.Module
        if coder is None:
            made = denoisers.UNet(image_shape, n_classes=n_classes, **arguments)
        else:
            made = denoisers.ResidualMLP(shape[0], n_classes=n_classes, **arguments)
        return Denoiser(made, prediction, data_deviation)

    whole, weaker = denoiser(network, n_classes), None if guide is None else denoiser(guide, None)
    return DiffusionModel(space, whole, schedules.make(**schedule), image_shape, shape, n_classes, weaker)


def restore(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> DiffusionModel:
    """Return a trained model in evaluation mode from its weights and the description saved beside them.

    Raises:
        WeightsError: the weights do not fit the description saved beside them.
    """
    model = build(**description["network"])
    weights.load(model, arrays)
    return model


def load(folder: Path) -> tuple[DiffusionModel, dict[str, Any]]:
    """Return a trained model in evaluation mode, and the description saved beside its weights.

    Raises:
        ArtifactError: a file is missing or damaged.
        InputError: it is another kind of model.
        WeightsError: the weights do not fit the description saved beside them.
    """
    arrays, description = artifacts.read_model(folder)
    if "schedule" not in description.get("network", {}):
        raise InputError(f"{folder} does not hold a diffusion model; the rows in the param 'rows.diffusion' do")
    return restore(arrays, description), description

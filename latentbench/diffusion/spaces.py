"""Where diffusion takes place: on pixels, or on the latents of an autoencoder."""

import torch
from torch import Tensor, nn

from latentbench import inference, parallel
from latentbench.networks.autoencoders.base import Autoencoder

LATENT_DEVIATION = 0.5  # what the noise levels of Karras et al. 2022 are designed for


class NoisyCoder(nn.Module):
    """An autoencoder in training, whose decoder learns to tolerate a denoiser's errors: latents that are slightly off.

    Args:
        coder: the autoencoder to train.
        noise: on its latents, as a share of the deviation of each.
    """

    deviation: Tensor

    def __init__(self, coder: Autoencoder, noise: float) -> None:
        super().__init__()
        self.coder, self.noise = coder, noise
        self.register_buffer("deviation", torch.ones(coder.latent_dim))

    def forward(self, images: Tensor, eps: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] and normal noise (n, latent_dim) to images of the same shape.

        Deviations are those of the latest training batch, over all processes.
        """
        latents = self.coder.encode(images)
        if self.training:
            known = latents.detach()
            sums = torch.stack([torch.ones_like(known), known, known.square()]).sum(dim=1)
            n, total, squares = parallel.sum_over_processes(sums)
            self.deviation.copy_((squares / n - (total / n).square()).clamp(min=0.0).sqrt())
        return self.coder.decode(latents + self.noise * self.deviation * eps)


class PixelSpace(nn.Module):
    """Pixels on the scale from -1 to 1.

    Attributes:
        limits: of the data; None if it is unbounded.
    """

    limits: tuple[float, float] | None = (-1.0, 1.0)

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to data of the same shape."""
        return 2.0 * images - 1.0

    def decode(self, data: Tensor) -> Tensor:
        """Map data (n, c, h, w) to images of the same shape in [0, 1]."""
        return ((data + 1.0) / 2.0).clamp(0.0, 1.0)


class LatentSpace(nn.Module):
    """Latents of an autoencoder, each with mean 0 and deviation 0.5 over the images passed to `fit`.

    Args:
        coder: to be trained before `fit`.
    """

    limits: tuple[float, float] | None = None
    mean: Tensor
    scale: Tensor

    def __init__(self, coder: Autoencoder) -> None:
        super().__init__()
        self.coder = coder
        self.register_buffer("mean", torch.zeros(coder.latent_dim))
        self.register_buffer("scale", torch.ones(coder.latent_dim))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Standardise the latents on uint8 images (n, c, h, w), on any device; the coder is frozen from then on."""
        self.coder.requires_grad_(False).eval()
        device = self.mean.device
        latents = inference.apply(lambda batch: self.coder.encode(inference.to_unit(batch)), images, device=device)
        self.mean.copy_(latents.mean(dim=0))
        self.scale.copy_(latents.std(dim=0).clamp(min=1e-6) / LATENT_DEVIATION)  # a latent may be dead

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to data (n, latent_dim)."""
        return (self.coder.encode(images) - self.mean) / self.scale

    def decode(self, data: Tensor) -> Tensor:
        """Map data (n, latent_dim) to images (n, c, h, w) in [0, 1]."""
        return self.coder.decode(data * self.scale + self.mean)

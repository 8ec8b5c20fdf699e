"""What all autoencoders have in common.

Each file beside this one is an architecture: it has the file's name and defines `Network`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench import plugins


class Autoencoder(nn.Module):
    """An encoder to `latent_dim` numbers and a decoder back to pixels; an architecture supplies both networks.

    Args:
        image_shape: channels, height and width of an image.
        latent_dim: numbers that an image is encoded as.
    """

    encoder: nn.Module
    decoder: nn.Module
    step_scale: float = 1.0  # by which a recipe's learning rate is multiplied

    def __init__(self, image_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = tuple(image_shape), latent_dim

    def encode(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to latents (n, latent_dim)."""
        return torch.as_tensor(self.encoder(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images (n, c, h, w) in [0, 1]."""
        return torch.as_tensor(self.decoder(latents))

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstruction of `images`, of the same shape."""
        return self.decode(self.encode(images))

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """Return the parts of the loss on images (n, c, h, w) in [0, 1], each a mean; "loss" is what is minimised.

        The mean squared error per pixel, unless an architecture has a loss of its own.
        """
        return {"loss": functional.mse_loss(self(images).float(), images)}

    def measure(self, latents: Tensor) -> dict[str, float]:  # noqa: ARG002  # an architecture may use them
        """Return further measures of the latents (n, latent_dim) of the train images, by name."""
        return {}


def build(architecture: str, image_shape: Sequence[int], latent_dim: int, **options: Any) -> Autoencoder:
    """Return a freshly initialised autoencoder.

    Args:
        architecture: the name of a file beside this one.
        image_shape, latent_dim: as for `Autoencoder`.
        options: further arguments of the architecture.

    Raises:
        InputError: there is no such architecture, or it does not take these options.
    """
    shape: dict[str, Any] = {"image_shape": image_shape, "latent_dim": latent_dim}
    network: type[Autoencoder] = plugins.load("latentbench.networks.autoencoders", architecture).Network
    plugins.check_options(f"the autoencoder {architecture}", network, shape, options)
    return network(**shape, **options)

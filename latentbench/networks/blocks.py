"""Building blocks of several networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# Channels of the residual networks at half and at a quarter of the resolution.
_FINE, _COARSE = 16, 48
# Width of the widest dense layer between pixels and latents: half of a 32x32 image in colour. Beyond that, halving the
# pixels makes networks of gigabytes that learn nothing more: for 64x64 in colour, 200 million weights.
_WIDEST = 1536


class PadToMultiple(nn.Module):
    """Add black rows and columns up to a multiple of 4."""

    def __init__(self, image_shape: Sequence[int]) -> None:
        super().__init__()
        _, height, width = image_shape
        self.padding = (0, -width % 4, 0, -height % 4)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, channels, at least height, at least width)."""
        return functional.pad(images, self.padding)


class CropToImage(nn.Module):
    """Drop the rows and columns that rounding up to a multiple of 4 added."""

    def __init__(self, image_shape: Sequence[int]) -> None:
        super().__init__()
        _, self.height, self.width = image_shape

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, channels, at least height, at least width) to (n, c, h, w)."""
        return images[:, :, : self.height, : self.width]


class GroupNorm(nn.GroupNorm):
    """Group norm that computes in float32 at least: on CPUs, torch's own is several times slower in bfloat16."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, channels, ...) to the same shape and dtype."""
        return super().forward(maps.to(torch.promote_types(maps.dtype, torch.float32))).to(maps.dtype)


class UpsampledConv2d(nn.Conv2d):
    """A 3x3 convolution of maps that are doubled in size by repeating every pixel, without making the doubled maps.

    Each of the four pixels that one becomes sees only 2x2 different pixels of the small maps, through sums of the
    kernel's weights. So it is a convolution at the small size with four times the channels, which are then laid out
    as the four pixels (sub-pixel convolution, Shi et al. 2016). Parameters and results are those of the plain one.
    """

    taps: Tensor

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)
        # taps[a, h, k]: whether the pixel at offset a of 2 sees, through weight k of 3, small pixel h of the 3 around.
        taps = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]])
        self.register_buffer("taps", taps.float(), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, channels_in, height, width) to (n, channels_out, 2 * height, 2 * width)."""
        assert self.bias is not None
        kernels = torch.einsum("ahp,bwq,oipq->oabihw", self.taps, self.taps, self.weight)  # (out, 2, 2, in, 3, 3)
        four = functional.conv2d(maps, kernels.flatten(0, 2), self.bias.repeat_interleave(4), padding=1)
        return functional.pixel_shuffle(four, 2)


class ResidualBlock(nn.Module):
    """x + f(x) with two convolutions, each after a ReLU (He et al. 2016, identity mappings), without normalisation.

    It starts as the identity: the last convolution is zero (Zhang et al. 2019, Fixup), which makes up for the missing
    normalisation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        for weight in last.parameters():
            nn.init.zeros_(weight)
        self.branch = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), last)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        return torch.as_tensor(maps + self.branch(maps))


def residual_encoder(image_shape: Sequence[int]) -> nn.Sequential:
    """Return a network from images (n, *image_shape) to features (n, `n_residual_features(image_shape)`).

    It works on 2x2 patches, few channels at half the resolution and more at a quarter.
    """
    return nn.Sequential(
        PadToMultiple(image_shape),
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * image_shape[0], _FINE, 3, padding=1),
        ResidualBlock(_FINE),
        nn.Conv2d(_FINE, _COARSE, 3, stride=2, padding=1),
        ResidualBlock(_COARSE),
        ResidualBlock(_COARSE),
        nn.ReLU(),
        nn.Flatten(),
    )


def n_residual_features(image_shape: Sequence[int]) -> int:
    """Return how many features `residual_encoder` gives for an image."""
    _, height, width = image_shape
    return _COARSE * -(-height // 4) * -(-width // 4)


def residual_decoder(latent_dim: int, output_shape: Sequence[int]) -> nn.Sequential:
    """Return a network from latents (n, latent_dim) to unbounded numbers (n, *output_shape): the encoder's mirror.

    The last layers work at full resolution, where sub-pixel convolution (Shi et al. 2016) alone would leave a grid.
    """
    channels, height, width = output_shape
    rows, columns = -(-height // 4), -(-width // 4)
    return nn.Sequential(
        nn.Linear(latent_dim, _COARSE * rows * columns),
        nn.Unflatten(1, (_COARSE, rows, columns)),
        ResidualBlock(_COARSE),
        ResidualBlock(_COARSE),
        nn.Conv2d(_COARSE, 4 * _FINE, 1),
        nn.PixelShuffle(2),
        ResidualBlock(_FINE),
        nn.ReLU(),
        nn.Conv2d(_FINE, 2 * _FINE, 3, padding=1),
        nn.PixelShuffle(2),
        nn.ReLU(),
        nn.Conv2d(_FINE // 2, channels, 3, padding=1),
        CropToImage(output_shape),
    )


def halved(image_shape: Sequence[int], latent_dim: int) -> list[int]:
    """Return the widths of dense layers from all pixels down by halves to an eighth, but none below `latent_dim`.

    A narrower layer would keep the latent from being used: for 8x8 images, an eighth is 8. Beyond 3,072 pixels the
    halves are those of 3,072.
    """
    pixels = math.prod(image_shape)
    widest = min(pixels, 2 * _WIDEST)
    return [pixels, *(max(widest // share, latent_dim) for share in (2, 4, 8))]


def shorter_steps(image_shape: Sequence[int]) -> float:
    """Return the factor for the learning rate of dense layers from all pixels, at most 1.

    Recipes are for 784 pixels. The wider a layer, the more its outputs move when each weight moves by the same amount:
    steps shrink in proportion to the width (Yang et al. 2022, arXiv 2203.03466, table 3).
    """
    return min(1.0, 784 / math.prod(image_shape))


def glorot_uniform(network: nn.Module) -> None:
    """Initialise as Keras does by default: Glorot-uniform weights (Glorot & Bengio 2010, eq. 16), zero biases."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

"""Networks for diffusion: given noisy data, its level and perhaps a class, they predict a tensor like the data."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench.networks.blocks import CropToImage, GroupNorm, PadToMultiple

_FINE_CHANNELS = 8
_N_FREQUENCIES = 16  # of the embedding of the noise
_FREQUENCIES = (0.4, 40.0)  # lowest and highest, in radians for each unit of log(level) / 4


class Condition(nn.Module):
    """One vector for what a network is conditioned on.

    Args:
        width: of the vector.
        n_classes: of the labels; one more label means any class. None for a network without labels.
    """

    def __init__(self, width: int, n_classes: int | None) -> None:
        super().__init__()
        self.embed_noise = nn.Sequential(nn.Linear(2 * _N_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_label = None if n_classes is None else nn.Embedding(n_classes + 1, width)

    def forward(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        """Map log(level) / 4 (n,) and labels (n,), None for any class, to (n, width)."""
        condition = self.embed_noise(waves(noise))
        if self.embed_label is not None:
            anyone = self.embed_label.num_embeddings - 1
            chosen = torch.full_like(noise, anyone, dtype=torch.long) if labels is None else labels
            condition = condition + self.embed_label(chosen)
        return functional.silu(condition)


class UNet(nn.Module):
    """A small U-Net (Ho et al. 2020) that works on 2x2 patches: a quarter of the pixels, four times the channels.

    Args:
        image_shape: channels, height and width of an image; any size, padded inside to a multiple of 4.
        channels: width of the upper level, a multiple of 8; the lower one has twice as many.
        n_classes: how many classes it can be conditioned on; None if it is unconditional.
    """

    def __init__(self, image_shape: Sequence[int], channels: int, n_classes: int | None = None) -> None:
        super().__init__()
        colours, rows, columns = image_shape
        width = 4 * channels
        self.condition = Condition(width, n_classes)
        self.pad, self.crop = PadToMultiple(image_shape), CropToImage(image_shape)
        self.stem = nn.Conv2d(4 * colours, channels, 3, padding=1)
        self.down = _ConvBlock(channels, channels, width)
        self.shrink = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        positions = math.ceil(rows / 4) * math.ceil(columns / 4)
        self.middle = nn.ModuleList()
        for _ in range(2):
            self.middle.append(_ConvBlock(2 * channels, 2 * channels, width))
            self.middle.append(_GlobalBlock(2 * channels, positions, width))
        self.grow = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.up = nn.ModuleList([_ConvBlock(2 * channels, channels, width), _ConvBlock(channels, channels, width)])
        self.unfold = nn.Sequential(
            GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, 4 * _FINE_CHANNELS, 3, padding=1),
            nn.PixelShuffle(2),
        )
        # At full resolution, alongside the input: without this, the grid of patches shows in the samples.
        self.head = nn.Sequential(
            nn.Conv2d(_FINE_CHANNELS + colours, 2 * _FINE_CHANNELS, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * _FINE_CHANNELS, colours, 3, padding=1),
        )

    def forward(self, noisy: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noisy images (n, *image_shape), log(level) / 4 (n,) and labels (n,) to a prediction like the images."""
        condition = self.condition(noise, labels)
        padded = self.pad(noisy)
        patches = functional.pixel_unshuffle(padded, 2)
        patches = patches.contiguous(memory_format=torch.channels_last)  # (n, 4 * colours, h/2, w/2)
        upper = self.down(self.stem(patches), condition)  # (n, channels, h/2, w/2)
        lower = self.shrink(upper)  # (n, 2 * channels, h/4, w/4)
        for block in self.middle:
            lower = block(lower, condition)
        raised = self.grow(functional.interpolate(lower, scale_factor=2.0))
        hidden = torch.cat([raised, upper], dim=1)
        for block in self.up:
            hidden = block(hidden, condition)
        return torch.as_tensor(self.crop(self.head(torch.cat([self.unfold(hidden), padded], dim=1))))


class ResidualMLP(nn.Module):
    """Dense residual blocks for vectors, each scaled and shifted by the condition (adaLN-zero, Peebles & Xie 2023).

    Args:
        dim: of the vectors.
        width: of the blocks.
        n_blocks: how many.
        n_classes: how many classes it can be conditioned on; None if it is unconditional.
    """

    def __init__(self, dim: int, width: int, n_blocks: int, n_classes: int | None = None) -> None:
        super().__init__()
        self.condition = Condition(width // 4, n_classes)
        self.first = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(_DenseBlock(width, width // 4) for _ in range(n_blocks))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))

    def forward(self, noisy: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noisy vectors (n, dim), log(level) / 4 (n,) and labels (n,) to a prediction (n, dim)."""
        condition = self.condition(noise, labels)
        hidden = self.first(noisy)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return torch.as_tensor(self.last(hidden))


class _ConvBlock(nn.Module):
    """Two convolutions with the condition in between, and a skip connection, which is all there is at first."""

    def __init__(self, channels_in: int, channels_out: int, condition_width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            GroupNorm(8, channels_in),
            nn.SiLU(),
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
        )
        self.shift_scale = nn.Linear(condition_width, 2 * channels_out)
        self.norm = GroupNorm(8, channels_out)
        self.second = nn.Sequential(nn.SiLU(), _zero(nn.Conv2d(channels_out, channels_out, 3, padding=1)))
        self.skip = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.shift_scale(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm(self.first(maps)) * (1 + scale) + shift
        return torch.as_tensor(self.skip(maps) + self.second(hidden))


class _GlobalBlock(nn.Module):
    """Dense layers over all positions of a few channels, with a skip connection. It starts as the identity."""

    def __init__(self, channels: int, positions: int, condition_width: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.gather = nn.Sequential(GroupNorm(8, channels), nn.Conv2d(channels, narrow, 1), nn.Flatten())
        self.first = nn.Linear(narrow * positions, 8 * channels)
        self.shift_scale = nn.Linear(condition_width, 16 * channels)
        self.norm = nn.LayerNorm(8 * channels, elementwise_affine=False)
        self.second = nn.Sequential(nn.SiLU(), nn.Linear(8 * channels, narrow * positions))
        self.spread = _zero(nn.Conv2d(narrow, channels, 1))

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.shift_scale(condition).chunk(2, dim=1)
        seen = self.second(self.norm(self.first(self.gather(maps))) * (1 + scale) + shift)
        return torch.as_tensor(maps + self.spread(seen.unflatten(1, (-1, *maps.shape[2:]))))


class _DenseBlock(nn.Module):
    def __init__(self, width: int, condition_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = _zero(nn.Linear(condition_width, 3 * width))
        self.branch = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(condition).chunk(3, dim=1)
        return torch.as_tensor(hidden + gate * self.branch(self.norm(hidden) * (1 + scale) + shift))


def waves(noise: Tensor) -> Tensor:
    """Map log(level) / 4 (n,) to cosines and sines (n, 32) of geometric frequencies (Vaswani et al. 2017, 3.5)."""
    low, high = (math.log(frequency) for frequency in _FREQUENCIES)
    frequencies = torch.linspace(low, high, _N_FREQUENCIES, device=noise.device).exp()
    angles = noise[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer

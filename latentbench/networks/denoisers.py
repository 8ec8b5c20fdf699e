"""Networks for diffusion: they see a noisy image and its time step, and predict one image of the same shape."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_FINE_CHANNELS = 8


class UNet(nn.Module):
    """A small U-Net (Ho et al. 2020) that works on 2x2 patches: a quarter of the pixels, four times the channels.

    Args:
        height, width: size of the images in pixels; any size, padded inside to a multiple of 4.
        channels: width of the upper level; the lower one has twice as many.
    """

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.height, self.width, self.channels = height, width, channels
        time_dim = 4 * channels
        self.embed_time = nn.Sequential(
            nn.Linear(channels, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim), nn.SiLU()
        )
        self.stem = nn.Conv2d(4, channels, 3, padding=1)
        self.down = _ResidualBlock(channels, channels, time_dim)
        self.shrink = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(_ResidualBlock(2 * channels, 2 * channels, time_dim) for _ in range(3))
        self.grow = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.up = nn.ModuleList(
            [
                _ResidualBlock(2 * channels, channels, time_dim),
                _ResidualBlock(channels, channels, time_dim),
            ]
        )
        self.unfold = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, 4 * _FINE_CHANNELS, 3, padding=1),
            nn.PixelShuffle(2),
        )
        # At full resolution, with the input beside it: without this, the grid of patches shows in the samples.
        self.head = nn.Sequential(
            nn.Conv2d(_FINE_CHANNELS + 1, 2 * _FINE_CHANNELS, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * _FINE_CHANNELS, 1, 3, padding=1),
        )

    def forward(self, noisy: Tensor, t: Tensor) -> Tensor:
        """Map noisy images (n, height, width) at time steps t (n,) to a prediction (n, height, width)."""
        time = self.embed_time(sinusoidal_embedding(t, self.channels))  # (n, time_dim)
        padding = (0, -self.width % 4, 0, -self.height % 4)
        padded = functional.pad(noisy, padding).unsqueeze(1)
        patches = functional.pixel_unshuffle(padded, 2)
        patches = patches.contiguous(memory_format=torch.channels_last)  # (n, 4, h/2, w/2)
        upper = self.down(self.stem(patches), time)  # (n, channels, h/2, w/2)
        lower = self.shrink(upper)  # (n, 2 * channels, h/4, w/4)
        for block in self.middle:
            lower = block(lower, time)
        raised = self.grow(functional.interpolate(lower, scale_factor=2.0))
        hidden = torch.cat([raised, upper], dim=1)
        for block in self.up:
            hidden = block(hidden, time)
        image = self.head(torch.cat([self.unfold(hidden), padded], dim=1))[:, 0]
        return torch.as_tensor(image[:, : self.height, : self.width])


class _ResidualBlock(nn.Module):
    """Two convolutions with the time step added in between, around a skip connection."""

    def __init__(self, channels_in: int, channels_out: int, time_dim: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(8, channels_in),
            nn.SiLU(),
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
        )
        self.shift_scale = nn.Linear(time_dim, 2 * channels_out)
        self.norm = nn.GroupNorm(8, channels_out)
        last = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        # A block that starts as the identity: the network begins as a shallow one and deepens as it learns.
        nn.init.zeros_(last.weight)
        last.bias = nn.Parameter(torch.zeros(channels_out))
        self.second = nn.Sequential(nn.SiLU(), last)
        self.skip = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, maps: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.shift_scale(time)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm(self.first(maps)) * (1 + scale) + shift
        return torch.as_tensor(self.skip(maps) + self.second(hidden))


def sinusoidal_embedding(t: Tensor, dim: int, longest_period: float = 10_000.0) -> Tensor:
    """Map time steps (n,) to sines and cosines (n, dim) of geometric frequencies (Vaswani et al. 2017, 3.5)."""
    half = dim // 2
    frequencies = torch.exp(-math.log(longest_period) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)

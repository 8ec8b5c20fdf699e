"""Trained networks applied to images: pixels in and out, batch by batch."""

from collections.abc import Callable

import torch
from torch import Tensor

# Images at a time. The memory of larger batches is returned to the system each time, which takes as long as the work.
BATCH = 250


@torch.no_grad()
def apply(function: Callable[[Tensor], Tensor], inputs: Tensor, device: torch.device | None = None) -> Tensor:
    """Apply `function` to `inputs` (n, ...) in batches on `device`, without gradients; join the results (n, ...)."""
    return torch.cat([function(batch.to(device or "cpu")).cpu() for batch in inputs.split(BATCH)])


def to_unit(images: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 in [0, 1]."""
    return images.float() / 255.0


def to_pixels(images: Tensor) -> Tensor:
    """Turn floats in [0, 1] into uint8 pixels, rounded and clipped."""
    return (images * 255.0).round().clamp(0, 255).to(torch.uint8)

"""Seeds derived by name, so that no two random choices share a stream and adding one leaves the others alone."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and on every name, in order.

    A hash rather than arithmetic: seeds such as `seed + epoch` collide between uses.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a separate NumPy generator for this use."""
    return np.random.default_rng(derive(seed, *names))


def torch_generator(seed: int, *names: str | int) -> "torch.Generator":
    """Return a separate CPU torch generator for this use."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))

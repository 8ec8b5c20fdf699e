"""Densities of latents with the methods that decode their draws: together they generate images."""

import numpy as np
import torch
from torch import Tensor

from latentbench import inference, plugins, seeding
from latentbench.core import artifacts
from latentbench.densities.base import Density
from latentbench.methods.base import Decodes, Samples
from stages import densities


class Decoded:
    """A density and the method that decodes its draws; it fulfils `Draws` of `latentbench.methods.base`.

    Args:
        method: whose latents they are.
        density: of those latents.
    """

    calls = densities.CALLS

    def __init__(self, method: Decodes, density: Density) -> None:
        self._method, self._density = method, density

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return images (n, c, h, w) uint8."""
        drawn = self._density.sample(n, seeding.numpy_generator(seed)).astype(np.float32)
        if isinstance(self._method, Samples):
            return self._method.sample(drawn, seeding.derive(seed, "pixels"))

        def decode(latents: Tensor) -> Tensor:
            return inference.to_pixels(torch.from_numpy(self._method.decode(latents.numpy())))

        return inference.apply(decode, torch.tensor(drawn)).numpy()


def write(row: str, name: str, density: Density) -> None:
    """Save a density of the latents of a row, by the name of its kind."""
    artifacts.write_model(densities.folder(row) / name, density.arrays(), {"density": name})


def load(row: str, name: str, method: Decodes) -> Decoded:
    """Load a density of the latents of a row, with the row's method.

    Raises:
        ArtifactError: a file is missing or damaged.
        InputError: its kind of density does not exist.
    """
    arrays, description = artifacts.read_model(densities.folder(row) / name)
    return Decoded(method, plugins.load("latentbench.densities", description["density"]).Density.load(arrays))

"""Conversion between torch modules and the plain arrays that are saved in files."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from latentbench.core.errors import LatentbenchError

_SHOWN = 4  # problems that an error lists


class WeightsError(LatentbenchError):
    """Arrays do not fit the network they are to be loaded into."""


def to_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """Return every parameter and buffer of a network by name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def load(network: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Load arrays into a network and put it into evaluation mode.

    Raises:
        WeightsError: a name is missing or unknown, or a shape differs; the message says which.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: array.shape for name, array in arrays.items()}
    problems = [f"{name} {shape} is missing" for name, shape in expected.items() if name not in found]
    problems += [f"{name} {shape} is unknown" for name, shape in found.items() if name not in expected]
    problems += [
        f"{name} is {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        shown = "; ".join(problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise WeightsError(f"weights do not fit {type(network).__name__}: {shown}{more}")
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    network.eval()

"""Where the networks compute: the CPU, a GPU of NVIDIA's, or Apple's."""

import os
from typing import Literal

import torch

from latentbench.core.errors import InputError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]


def use(name: Device, index: int = 0) -> torch.device:
    """Return the device of that name; "auto" is the best there is.

    On NVIDIA's, products are computed in float32 proper (not TF32) and by algorithms that give equal sums each time.

    Args:
        name: what is asked for.
        index: which GPU, where a machine has several.

    Raises:
        InputError: there is no such device here.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    elif not there[name]:
        available = ", ".join(each for each in there if there[each])
        raise InputError(f"device: there is no {name} here; available are auto, {available}")
    if name == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS promises equal sums only with this
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        if index >= torch.cuda.device_count():
            raise InputError(f"device: there is no GPU {index} here, only {torch.cuda.device_count()}")
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    return torch.device(name)


def seed(device: torch.device, number: int) -> None:
    """Seed what draws without a generator on this device, such as dropout.

    `torch.manual_seed` seeds all devices at once, and where there is no GPU remembers each call for when there is one.
    """
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)

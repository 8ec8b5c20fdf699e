"""Where the networks run: on the CPU, an NVIDIA GPU or an Apple GPU."""

import os
from typing import Literal

import torch

from latentbench.core.errors import InputError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]


def use(name: Device, index: int = 0) -> torch.device:
    """Return the device of that name; "auto" picks the best available.

    On NVIDIA GPUs, products are computed in true float32 (not TF32) and by deterministic algorithms.

    Args:
        name: the requested device.
        index: which GPU, if the machine has several.

    Raises:
        InputError: there is no such device on this machine.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    elif not there[name]:
        available = ", ".join(each for each in there if there[each])
        raise InputError(f"device: there is no {name} on this machine; choose one of auto, {available}")
    if name == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        if index >= torch.cuda.device_count():
            raise InputError(f"device: there is no GPU {index} here; the number of GPUs is {torch.cuda.device_count()}")
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    return torch.device(name)


def seed(device: torch.device, number: int) -> None:
    """Seed what draws without a generator on this device, such as dropout.

    `torch.manual_seed` seeds all devices at once, and without a GPU queues each call until there is one.
    """
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)

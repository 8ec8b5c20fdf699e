"""Where the networks run: on the CPU, an NVIDIA GPU or an Apple GPU."""

import os
from typing import Literal

import torch

from latentbench.core.errors import InputError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]
Wanted = Literal["auto", "float32", "bfloat16"]


def use(name: Device, index: int = 0) -> torch.device:
    """Return the device of that name; "auto" picks the best available.

    On NVIDIA GPUs, products of float32 are true ones (not TF32), and all are computed by deterministic algorithms.

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


def precision(wanted: Wanted, device: torch.device) -> Precision:
    """Return the number format of products; "auto" is bfloat16 where the device multiplies in it, float32 elsewhere.

    That is on NVIDIA GPUs from compute capability 8.0 on, and on CPUs with AVX-512 BF16 or AMX. Others only imitate it,
    more slowly than float32.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        there = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        there = device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return "bfloat16" if there else "float32"


def products(device: torch.device, precision: Precision) -> torch.autocast:
    """Return a context in which products are computed in that format where it is safe, and all else in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


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

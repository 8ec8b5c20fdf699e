"""Data-parallel training over the processes that `torchrun` starts; with a single process, nothing here has any effect.

Every process holds the whole network and works on its share of each batch. What depends on the whole batch, gradients
and the statistics of batch norm, is summed over the processes, so the result is that of one process up to rounding.
"""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latentbench.core.errors import InputError


def start(device: torch.device) -> None:
    """Join the other processes, if `torchrun` started several."""
    if planned_size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def size() -> int:
    """Return the number of processes that have joined."""
    return dist.get_world_size() if dist.is_initialized() else 1


def planned_size() -> int:
    """Return the number of processes that `torchrun` started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the rank of this process, from 0, even before it has joined the others."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Return the rank of this process on its machine, from 0: which of the GPUs there it uses."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Return whether this is the process that writes files and messages."""
    return rank() == 0


def share(n: int) -> slice:
    """Return which of the n rows of a batch belong to this process; shares differ in size by one at most.

    Raises:
        InputError: there are fewer rows than processes.
    """
    if n < size():
        raise InputError(f"a batch of {n} images cannot be split between {size()} processes: choose another batch_size")
    least, larger = divmod(n, size())
    begin = rank() * least + min(rank(), larger)
    return slice(begin, begin + least + (rank() < larger))


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of `values` over all processes; gradients flow back to every summand."""
    if size() == 1:
        return values
    summed: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return summed


def gather(rows: Tensor) -> Tensor:
    """Return the rows (n, ...) of all processes, in their order; gradients flow back to every row."""
    if size() == 1:
        return rows
    counts = torch.zeros(size(), dtype=torch.int64, device=rows.device)
    counts[rank()] = len(rows)
    dist.all_reduce(counts)
    parts = [rows if each == rank() else rows.new_zeros(n, *rows.shape[1:]) for each, n in enumerate(counts.tolist())]
    return sum_over_processes(torch.cat(parts))


def sum_gradients(network: nn.Module) -> None:
    """Replace every gradient by its sum over all processes."""
    if size() == 1:
        return
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(summed.view(gradient.shape))


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let every batch norm of `network` see the batches of all processes as one."""
    if size() == 1:
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, _SharedBatchNorm(child))


def agreed(means: dict[str, float], device: torch.device) -> dict[str, float]:
    """Return the main process's numbers in every process, so that all make the same decisions."""
    if size() == 1:
        return means
    values = torch.tensor(list(means.values()), dtype=torch.float32, device=device)
    dist.broadcast(values, 0)
    return dict(zip(means, values.tolist(), strict=True))


def broadcast(content: bytes | None, device: torch.device) -> bytes | None:
    """Return the main process's `content` in every process."""
    if size() == 1:
        return content
    length = torch.tensor([-1 if content is None else len(content)], device=device)
    dist.broadcast(length, 0)
    if length.item() < 0:
        return None
    buffer = torch.zeros(int(length.item()), dtype=torch.uint8, device=device)
    if is_main() and content:
        buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    dist.broadcast(buffer, 0)
    return buffer.cpu().numpy().tobytes()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone()
        dist.all_reduce(summed)
        return summed


class _SharedBatchNorm(nn.Module):
    """Batch norm (Ioffe & Szegedy 2015, algorithm 1) over the joint batch; parameters are those of the given layer.

    torch's own SyncBatchNorm runs on GPUs only.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps
        if layer.momentum is None:
            raise InputError("batch norm with a cumulative average cannot be shared by processes: give it a momentum")
        self.momentum = layer.momentum
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))

    def forward(self, maps: Tensor) -> Tensor:
        others = [0, *range(2, maps.ndim)]  # all axes but the channels
        given, maps = maps.dtype, maps.to(torch.promote_types(maps.dtype, torch.float32))
        if self.training:
            count = torch.full((1,), float(maps.numel() // maps.shape[1]), device=maps.device)
            sums = sum_over_processes(torch.cat([count, maps.sum(dim=others)]))
            mean = sums[1:] / sums[0]
            centred = maps - _along_channels(mean, maps)
            variance = sum_over_processes(centred.square().sum(dim=others)) / sums[0]
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * sums[0] / (sums[0] - 1), self.momentum)
        else:
            variance, centred = self.running_var, maps - _along_channels(self.running_mean, maps)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * _along_channels(scale, maps) + _along_channels(self.bias, maps)).to(given)


def _along_channels(values: Tensor, maps: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (maps.ndim - 2))

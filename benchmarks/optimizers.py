"""Time a step of Muon against torch's, on the weights of the project's networks; `make benchmark-optimizers` runs it.

Torch's takes matrices only, so it gets kernels flattened. Both run in turns in this process, on random gradients.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from latentbench import memory, threads
from latentbench.diffusion import models
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.optimizers import Muon

_SHAPE, _LATENT_DIM = (1, 28, 28), 64
_TURNS, _STEPS = 7, 10


def networks() -> dict[str, nn.Module]:
    """Return the networks whose weights are moved, by name."""
    found: dict[str, nn.Module] = {
        f"{name} autoencoder": autoencoders.build(name, _SHAPE, _LATENT_DIM) for name in ("dense", "conv", "residual")
    }
    schedule = {"name": "karras", "n_steps": 1000}
    found["U-Net"] = models.build(_SHAPE, {"channels": 32}, schedule, "karras", 1.0).denoiser
    return found


def matrices(network: nn.Module) -> list[nn.Parameter]:
    """Return copies of its matrices and flattened kernels, with random gradients."""
    copies = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in network.parameters() if weight.ndim > 1]
    for weight in copies:
        weight.grad = torch.randn_like(weight)
    return copies


def milliseconds(step: Callable[[], object], n: int) -> float:
    """Return what a step takes, as the mean of n of them."""
    started = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - started) / n * 1e3


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; default: 2")
    memory.keep_freed()
    used = threads.use(parser.parse_args().threads)
    print(f"milliseconds per step of the optimiser, {used} threads, the median of {_TURNS} turns")
    torch.manual_seed(0)
    for name, network in networks().items():
        ours = Muon(matrices(network), 1e-4)
        theirs = torch.optim.Muon(matrices(network), lr=1e-4, adjust_lr_fn="match_rms_adamw")
        turns = [[milliseconds(each.step, _STEPS) for each in (ours, theirs)] for _ in range(_TURNS + 1)]
        here, there = np.median(turns[1:], axis=0)  # without the first, which sets things up
        print(f"{name}: {here:.1f} here, {there:.1f} by torch, {there / here:.1f} times as fast", flush=True)


if __name__ == "__main__":
    main()

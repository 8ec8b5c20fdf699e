"""How much longer a training takes beside other work; `make benchmark-load` runs it.

It times training steps on two threads in a separate process: alone and beside two busy processes, with threads that
wait as in a stage, and as OpenMP lets them by default.
"""

import argparse
import os
import subprocess
import sys
import time

import torch
from torch.nn import functional

from latentbench import machine
from latentbench.networks.autoencoders import base as autoencoders

_SHAPE, _LATENT_DIM = (1, 28, 28), 64
_WARM_UP_STEPS = 5


def steps(architecture: str, batch_size: int, n_steps: int) -> float:
    """Return the milliseconds per training step on two threads."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    network = autoencoders.build(architecture, _SHAPE, _LATENT_DIM)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    images = torch.rand(batch_size, *_SHAPE)
    started = 0.0
    for step in range(_WARM_UP_STEPS + n_steps):
        if step == _WARM_UP_STEPS:
            started = time.perf_counter()
        optimiser.zero_grad()
        functional.mse_loss(network(images), images).backward()
        optimiser.step()
    return (time.perf_counter() - started) / n_steps * 1e3


def timed(architecture: str, batch_size: int, n_steps: int, *, as_a_stage: bool) -> float:
    """Return the same from a separate process, since OpenMP reads how to wait when it is loaded."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    first = "import stages; " if as_a_stage else ""
    code = f"{first}from benchmarks import load; print(load.steps({architecture!r}, {batch_size}, {n_steps}))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="busy processes beside it; default: 2")
    options = parser.parse_args()
    print(f"milliseconds per step, {machine.n_cores()} cores, alone and beside {options.busy} busy processes")
    for architecture, batch_size, n_steps in (("dense", 64, 200), ("conv", 64, 100), ("residual", 64, 40)):
        for as_a_stage in (True, False):
            alone = timed(architecture, batch_size, n_steps, as_a_stage=as_a_stage)
            busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
            try:
                beside = timed(architecture, batch_size, n_steps, as_a_stage=as_a_stage)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            how = "as a stage waits" if as_a_stage else "as OpenMP waits by default"
            print(
                f"{architecture}, batches of {batch_size}, {how}: {alone:.1f} and {beside:.1f}, "
                f"{beside / alone:.1f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()

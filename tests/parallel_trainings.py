"""Train small networks and write what came out, in one process or in several that share each batch.

`python -m tests.parallel_trainings IMAGES OUT` writes OUT/<rank>.safetensors and OUT/<rank>.json; `torchrun` starts it
several times.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench import inference, parallel, training
from latentbench.checkpoints import Checkpoint
from latentbench.core import artifacts
from latentbench.core.errors import InputError
from latentbench.networks import total_correlation
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.networks.vaes import base as vaes
from latentbench.training import Epoch, Plan

# For the environment: talk through the loopback device alone, whatever else the machine has.
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0", "OMP_NUM_THREADS": "1"}

# 301 images: four batches of 64 and one of 45, which two processes cannot share equally.
N_TRAIN = 301
PLAN = Plan(3, 64, 2e-3, "cosine", warmup_steps=4, weight_decay=0.01, clip_norm=0.5, ema_decay=0.9)


class SavesAt(Checkpoint):
    """Saves after one step of the training and never again."""

    def __init__(self, path: Path, step: int) -> None:
        super().__init__(path, 0.0)
        self._left = step

    def is_due(self) -> bool:
        self._left -= 1
        return self._left == 0


def autoencoder(architecture: str) -> tuple[nn.Module, training.Loss]:
    """Return an autoencoder in double precision, in which another order of summing leaves no trace."""
    torch.manual_seed(1)
    network = autoencoders.build(architecture, (1, 28, 28), 8).double()

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0]).double()
        return {"loss": functional.mse_loss(network(originals), originals)}

    return network, loss


def vae(weight: float = 1.0) -> tuple[nn.Module, training.Loss]:
    """Return a VAE in single precision, whose loss draws noise, and may look across the batch."""
    torch.manual_seed(1)
    network = vaes.build("dense", (1, 28, 28), 8)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        if weight == 1.0:
            return vaes.negative_elbo(network, originals, batch.normal(8))
        return total_correlation.negative_elbo(network, originals, batch.normal(8), 1.0, weight)

    return network, loss


TASKS: dict[str, Callable[[], tuple[nn.Module, training.Loss]]] = {
    "dense": lambda: autoencoder("dense"),
    "conv": lambda: autoencoder("conv"),
    "muon": lambda: autoencoder("dense"),
    "vae": vae,
    "total_correlation": lambda: vae(6.0),
}


def train(
    task: str, images: Tensor, checkpoint: Checkpoint | None = None, stop_after: int | None = None
) -> tuple[dict[str, Tensor], list[Epoch], list[list[int]]]:
    """Return the weights, the epochs, and the numbers of the images that this process saw of each batch."""
    network, loss = TASKS[task]()
    shares: list[list[int]] = []

    def noted(batch: training.Batch) -> dict[str, Tensor]:
        if network.training:
            shares.append(batch.tensors[1].tolist())
        return loss(batch)

    data = [images, torch.arange(len(images))]
    train_part, validation_part = [each[:N_TRAIN] for each in data], [each[N_TRAIN:] for each in data]
    plan = replace(PLAN, optimizer="muon") if task == "muon" else PLAN
    run = training.fit(network, noted, train_part, validation_part, plan, 5, checkpoint=checkpoint)
    epochs = []
    for event in run:
        if isinstance(event, Epoch):
            epochs.append(event)
        elif len(shares) == stop_after:
            break
    return network.state_dict(), epochs, shares


def error_of(batch_size: int, images: Tensor) -> str:
    """Return what is said of batches of this size."""
    network, loss = vae()
    try:
        list(training.fit(network, loss, [images[:16]], [images[16:20]], Plan(1, batch_size, 1e-3), 0))
    except InputError as error:
        return str(error)
    return ""


def main() -> None:
    """Run them all."""
    images = torch.tensor(artifacts.read_array(Path(sys.argv[1])))
    folder = Path(sys.argv[2])
    torch.set_num_threads(1)
    parallel.start(torch.device("cpu"))
    weights: dict[str, Tensor] = {}
    facts: dict[str, Any] = {"size": parallel.size(), "epochs": {}, "shares": {}}

    def keep(name: str, result: tuple[dict[str, Tensor], list[Epoch], list[list[int]]]) -> None:
        weights.update({f"{name}.{key}": tensor.contiguous() for key, tensor in result[0].items()})
        facts["epochs"][name] = [[epoch.train, epoch.validation, epoch.best] for epoch in result[1]]
        facts["shares"][name] = result[2]

    for task in TASKS:
        keep(task, train(task, images))
    # Stopped in the middle of the second epoch, two steps after the state was kept.
    train("dense", images, SavesAt(folder / "state", 7), stop_after=9)
    keep("resumed", train("dense", images, SavesAt(folder / "state", 0)))
    facts["told"] = [
        None if content is None else content.decode()
        for content in (
            parallel.broadcast(content if parallel.is_main() else None, torch.device("cpu"))
            for content in (b"state", b"", None)
        )
    ]
    facts["error"] = error_of(1, images) if parallel.size() > 1 else ""
    (folder / f"{parallel.rank()}.json").write_text(json.dumps(facts), encoding="utf-8")
    safetensors.torch.save_file(weights, folder / f"{parallel.rank()}.safetensors")
    parallel.stop()


if __name__ == "__main__":
    main()

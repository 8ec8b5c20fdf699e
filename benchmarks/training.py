"""Compare training with the same networks in Keras; `make benchmark-training` runs it.

Both sides train the reference report's four networks on the same images by the same plan, each in a separate process
and in turns, so that noise of the machine affects both alike; the turn with the shortest time per epoch counts. An
epoch is all train images and then the validation loss, as both libraries report it. Compiling and a few warm-up steps
before the first epoch are not counted.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench import inference, seeding, threads, training
from latentbench.core import artifacts
from latentbench.data.splits import stratified_subset
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.networks.vaes import base as vaes

RAW = Path("data/raw")
PEER_SCRIPT = Path(__file__).with_name("keras_peer.py")
LATENT_DIM = 64
_WARM_UP_STEPS = 10


@dataclass(frozen=True)
class Case:
    """A network of the report, its batch size there, and how many times as fast as Keras ours should be."""

    title: str
    build: Callable[[], nn.Module]
    batch_size: int
    bar: float | None


CASES = {
    "dense_ae": Case("dense AE", lambda: autoencoders.build("dense", (1, 28, 28), LATENT_DIM), 64, 3.0),
    "conv_ae": Case("conv AE", lambda: autoencoders.build("conv", (1, 28, 28), LATENT_DIM), 64, 2.0),
    "dense_vae": Case("dense VAE", lambda: vaes.build("dense", (1, 28, 28), LATENT_DIM), 32, None),
    "conv_vae": Case("conv VAE", lambda: vaes.build("conv", (1, 28, 28), LATENT_DIM), 32, 2.0),
}


@dataclass(frozen=True)
class Result:
    """The result of one side: trainable parameters, seconds of each epoch, mean losses of the last."""

    parameters: int
    seconds: list[float]
    train_loss: float
    validation_loss: float

    @property
    def per_epoch(self) -> float:
        """Mean seconds."""
        return sum(self.seconds) / len(self.seconds)


def write_images(folder: Path, n_images: int) -> None:
    """Write the first n train images for both sides, with a stratified tenth split off for validation."""
    images, labels = (artifacts.read_array(RAW / f"train_{kind}.npy")[:n_images] for kind in ("images", "labels"))
    validation = stratified_subset(labels, len(labels) // 10, seeding.numpy_generator(0, "validation"))
    artifacts.write_array(folder / "validation.npy", images[validation])
    artifacts.write_array(folder / "train.npy", np.delete(images, validation, axis=0))


def loss_of(network: nn.Module) -> training.Loss:
    """Return the loss that the stage of such a network minimises."""

    def autoencoder(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        return {"loss": functional.mse_loss(network(originals), originals)}

    def vae(batch: training.Batch) -> dict[str, Tensor]:
        assert isinstance(network, vaes.VAE)
        originals = inference.to_unit(batch.tensors[0])
        return vaes.negative_elbo(network, originals, batch.normal(network.latent_dim))

    return vae if isinstance(network, vaes.VAE) else autoencoder


def train_ours(name: str, folder: Path, epochs: int, warm_up: int) -> Result:
    """Train as a stage does, timing each epoch."""
    threads.use(None)
    torch.manual_seed(seeding.derive(0, name))
    network = CASES[name].build()
    loss = loss_of(network)
    train, validation = (torch.tensor(artifacts.read_array(folder / f"{part}.npy")) for part in ("train", "validation"))

    def fit(images: Tensor, n_epochs: int) -> tuple[list[float], list[training.Epoch]]:
        plan = training.Plan(n_epochs, CASES[name].batch_size, learning_rate=1e-3)
        moments, ended = [time.perf_counter()], []
        for event in training.fit(network, loss, [images], [validation], plan, seed=0):
            if isinstance(event, training.Epoch):
                moments.append(time.perf_counter())
                ended.append(event)
        return np.diff(moments).tolist(), ended

    fit(train[:warm_up], 1)
    seconds, ended = fit(train, epochs)
    parameters = sum(weight.numel() for weight in network.parameters())
    return Result(parameters, seconds, ended[-1].train["loss"], ended[-1].validation["loss"])


def train_peer(
    peer: Path, name: str, folder: Path, epochs: int, warm_up: int, n_threads: int, options: list[str]
) -> Result:
    """Train in Keras, with another interpreter."""
    command: list[str | Path] = [peer, PEER_SCRIPT, name, folder, *options]
    numbers = {"epochs": epochs, "batch-size": CASES[name].batch_size, "warm-up": warm_up, "threads": n_threads}
    for option, number in numbers.items():
        command += [f"--{option}", str(number)]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return Result(**json.loads(run.stdout.splitlines()[-1]))


def compare(name: str, folder: Path, epochs: int, turns: int, peer: Path, peer_options: list[str]) -> None:
    """Print a line: how many times as fast ours is, both times per epoch, both losses.

    Raises:
        RuntimeError: the two networks differ in their number of parameters, so they cannot be compared.
    """
    case = CASES[name]
    n_train = len(artifacts.read_array(folder / "train.npy"))
    # The last batch of an epoch is smaller: without this, Keras would compile for its size in the first epoch.
    warm_up = _WARM_UP_STEPS * case.batch_size + n_train % case.batch_size
    n_threads = threads.use(None)
    ours, theirs = [], []
    for _ in range(turns):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            ours.append(alone.submit(train_ours, name, folder, epochs, warm_up).result())
        theirs.append(train_peer(peer, name, folder, epochs, warm_up, n_threads, peer_options))
    our, their = (min(results, key=lambda result: result.per_epoch) for results in (ours, theirs))
    if our.parameters != their.parameters:
        raise RuntimeError(f"{case.title}: {our.parameters} parameters against {their.parameters}")
    bar = "" if case.bar is None else f" (the target is {case.bar:g})"
    print(
        f"{case.title}, batches of {case.batch_size}: {their.per_epoch / our.per_epoch:.2f} times as fast{bar}; "
        f"{our.per_epoch:.2f} s against {their.per_epoch:.2f} s per epoch; {our.parameters} parameters each; "
        f"loss after {epochs} epochs {our.train_loss:.5g} against {their.train_loss:.5g}, "
        f"in validation {our.validation_loss:.5g} against {their.validation_loss:.5g}",
        flush=True,
    )


def main() -> None:
    """Run the chosen comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--peer", type=Path, required=True, help="a Python interpreter with Keras and TensorFlow")
    parser.add_argument("--tuned", action="store_true", help="Keras with XLA where it helps, and 16 steps per call")
    parser.add_argument("--epochs", type=int, default=2, help="default: 2; the report trained 15")
    parser.add_argument(
        "--turns", type=int, default=2, help="turns, of which the fastest of each side counts; default: 2"
    )
    parser.add_argument(
        "--images", type=int, default=60_000, help="train images, a tenth of them for validation; default: 60,000"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.images)
        for name in options.name or CASES:
            peer_options = ["--tuned"] if options.tuned else []
            compare(name, Path(folder), options.epochs, options.turns, options.peer, peer_options)


if __name__ == "__main__":
    main()

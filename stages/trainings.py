"""What the stages that train have in common: where they compute, how they resume, what they save, embeddings."""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentbench import checkpoints, devices, inference, memory, parallel, threads, training
from latentbench.checkpoints import Checkpoint
from latentbench.core import artifacts, orphans, progress
from latentbench.data.dataset import Dataset
from latentbench.networks import weights
from latentbench.params.base import View
from latentbench.params.project import Project
from latentbench.params.training import Training
from latentbench.training import Compute, Plan, Rows
from stages import lifecycle, paths

_CHECKPOINT_INTERVAL_S = 15.0
_EMBEDDED = 40 * inference.BATCH  # images that are embedded before they are written


@dataclass(frozen=True)
class Run:
    """A stage that trains, while it runs.

    Attributes:
        view: the params that it declared.
        project: the params at the top level.
        dataset: what it trains on.
        compute: where it trains.
        checkpoint: where its unfinished training is kept.
    """

    view: View
    project: Project
    dataset: Dataset
    compute: Compute
    checkpoint: Checkpoint


@contextmanager
def stage(name: str, row: str | None = None) -> Iterator[Run]:
    """Do what `lifecycle.stage` does, for a stage that trains, and lock its checkpoint while it runs.

    The checkpoint's name is made of everything that its content depends on, so that a training that was begun with
    other params, code, data or versions is never resumed. `torchrun` may start several processes of the stage: all of
    them train, one does the rest.
    """
    with lifecycle.stage(name, row, watched=False) as view:
        project = view.section(Project)
        memory.keep_freed()
        n_threads = threads.use(project.threads)
        device = devices.use(project.device, parallel.local_rank())
        compute = Compute(device, devices.precision(project.precision, device), project.compile)
        facts = [f"{package} {version(package)}" for package in ("torch", "numpy")]
        facts += [f"device {device.type}", f"precision {compute.precision}"]
        facts += [f"threads {n_threads}", f"processes {parallel.planned_size()}"]
        path = _checkpoint_folder() / f"{lifecycle.identity(name, row, view, facts)}.safetensors"
        interval_s = float(os.environ.get("LATENTBENCH_CHECKPOINT_SECONDS", _CHECKPOINT_INTERVAL_S))
        # A stage whose DVC was killed trains for nobody.
        ancestors = orphans.ancestors_until("DVC_STAGE") if "DVC_STAGE" in os.environ else []
        # Only the main process reads and writes it, and joins the others once it holds the lock.
        held = (
            checkpoints.locked(path, interval_s, ancestors)
            if parallel.is_main()
            else nullcontext(Checkpoint(path, interval_s))
        )
        with held as checkpoint:
            parallel.start(compute.device)
            yield Run(view, project, Dataset(paths.PROCESSED), compute, checkpoint)


def plan(run: Run, recipe: Training, ema_decay: float | None = None, step_scale: float = 1.0) -> Plan:
    """Return the plan of a recipe on the stage's images: `budget` shortens or lengthens it, and its shares scale along.

    Args:
        run: of the stage.
        recipe: a `training` section.
        ema_decay: of the running average of the weights; None trains without one.
        step_scale: of the network, which the learning rate is multiplied by.
    """
    values = recipe.values()
    n_images = len(run.dataset.fit_index)
    epochs = values.pop("images") * run.project.budget / n_images
    n_steps = epochs * math.ceil(n_images / recipe.batch_size)
    warmup_steps = round(values.pop("warmup_share") * n_steps)
    if step_scale != 1.0:
        values["learning_rate"] *= step_scale
        used = f"using {values['learning_rate']:.3g}"
        progress.note(f"learning_rate: {recipe.learning_rate:g} is for images of 784 values; {used}")
    return Plan(epochs=epochs, warmup_steps=warmup_steps, ema_decay=ema_decay, **values)


def described(run: Run, plan: Plan) -> dict[str, Any]:
    """Return what is saved beside the weights of how they were trained."""
    return {**dataclasses.asdict(plan), "precision": run.compute.precision}


def train(
    run: Run,
    name: str,
    network: nn.Module,
    loss: training.Loss,
    data: Sequence[np.ndarray],
    plan: Plan,
    seed: int,
    table: Path,
    part: str = "",
) -> dict[str, float]:
    """Train a network on all but the validation images, adding its losses to a table; return training metrics.

    Args:
        run: of the stage.
        name: what the progress bar says.
        network: what is trained, in place.
        loss: as `training.fit` takes it.
        data: arrays with a row for each train image, which `loss` gets as tensors.
        plan: how to train.
        seed: of the training.
        table: CSV file of the losses.
        part: which of several trainings of the stage this is.
    """
    fit_part = [Rows(array, run.dataset.fit_index) for array in data]
    validation_part = [Rows(array, run.dataset.validation_index) for array in data]
    checkpoint = run.checkpoint.part(part) if part else run.checkpoint
    events = training.fit(network, loss, fit_part, validation_part, plan, seed, run.compute, checkpoint)
    return training.follow(events, table, name)


def leave_to_main(run: Run) -> None:
    """End the other processes of a stage whose trainings are over: the main one does the rest alone."""
    parallel.stop()
    if not parallel.is_main():
        raise SystemExit(0)
    run.checkpoint.check_ancestors()


def train_and_save(
    run: Run,
    row: str,
    network: nn.Module,
    loss: training.Loss,
    data: Sequence[np.ndarray],
    plan: Plan,
    seed: int,
    description: Mapping[str, Any],
) -> dict[str, float]:
    """Train the one network of a stage; write its loss table, weights and training metrics, and return these.

    Args:
        run, network, loss, data, plan, seed: as for `train`.
        row: the network's name, under which everything is written.
        description: what else a reader of the weights needs to know; `network` in it rebuilds the network.
    """
    folder = paths.METRICS / row
    summary = train(run, row, network, loss, data, plan, seed, folder / "loss.csv")
    leave_to_main(run)
    whole = {**description, "training": described(run, plan)}
    artifacts.write_model(paths.model(row), weights.to_arrays(network), whole)
    artifacts.write_metrics(folder / "metrics.json", summary)
    return summary


def save_embeddings(run: Run, row: str, encode: Callable[[Tensor], Tensor]) -> None:
    """Write what `encode` makes of all train and test images, passed to it in [0, 1], block by block."""
    for split, images in (("train", run.dataset.train_images), ("test", run.dataset.test_images)):
        dims = embedded(run, images[:1], encode).shape[1]
        starts = range(0, len(images), _EMBEDDED)
        blocks = (embedded(run, images[start : start + _EMBEDDED], encode).numpy() for start in starts)
        artifacts.write_blocks(paths.embedding(row, split), (len(images), dims), np.float32, blocks)


def embedded(run: Run, images: np.ndarray, encode: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what `encode` makes of images (n, c, h, w) uint8, passed to it in [0, 1]."""
    found = inference.apply(
        lambda batch: encode(inference.to_unit(batch)), torch.tensor(images), device=run.compute.device
    )
    run.checkpoint.check_ancestors()
    return found


def _checkpoint_folder() -> Path:
    """Return where checkpoints outlive a run: DVC removes a stage's outputs, and the copies that experiments run in."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".dvc" / "tmp" / "latentbench"

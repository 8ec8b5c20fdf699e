"""What the stages that train have in common: fit on the right images, keep the weights, embed all images."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentbench import artifacts, training
from latentbench.data.dataset import Dataset
from latentbench.networks import weights
from stages import paths


def fit_and_keep(
    row: str,
    network: nn.Module,
    loss: training.Loss,
    data: Sequence[Tensor],
    dataset: Dataset,
    plan: training.Plan,
    seed: int,
    description: Mapping[str, Any],
) -> None:
    """Train a network on all but the validation images; write its loss table, weights and training metrics.

    Args:
        row: the network's name, under which all is written.
        network: what is trained, in place.
        loss: as `training.fit` takes it.
        data: tensors with a line for each train image, which `loss` understands.
        dataset: says which lines are for fitting and which for validation.
        plan: how to train.
        seed: of the training.
        description: what else a reader of the weights needs to know; `network` in it rebuilds the network.
    """
    fit_part = [tensor[dataset.fit_index] for tensor in data]
    validation_part = [tensor[dataset.validation_index] for tensor in data]
    run = training.fit(network, loss, fit_part, validation_part, plan, seed)
    folder = paths.METRICS / row
    summary = training.follow(run, plan, folder / "loss.csv", row)
    described = {**description, "training": dataclasses.asdict(plan)}
    artifacts.write_model(paths.model(row), weights.to_arrays(network), described)
    artifacts.write_metrics(folder / "metrics.json", summary)


def embed(row: str, encode: Callable[[Tensor], Tensor], dataset: Dataset) -> None:
    """Write what `encode` makes of all train and test images, given to it in [0, 1]."""
    for split, images in (("train", dataset.train_images), ("test", dataset.test_images)):
        pixels = torch.tensor(images)
        latents = training.apply(lambda batch: encode(training.to_unit(batch)), pixels)
        artifacts.write_array(paths.embedding(row, split), latents.numpy())

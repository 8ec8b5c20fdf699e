"""The one training loop: every network of the project is trained by `fit`."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from torch import Tensor, nn

from latentbench import artifacts, progress, seeding
from latentbench.errors import LatentbenchError

Schedule = Literal["constant", "cosine"]
# A loss returns named parts, each a scalar mean over the batch; "loss" is the one that is minimised.
Loss = Callable[[Sequence[Tensor], torch.Generator], dict[str, Tensor]]

_EVALUATION_BATCH = 1000


class DivergenceError(LatentbenchError):
    """The loss became infinite or not a number."""


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: passes over the training data, at most.
        batch_size: images per step.
        learning_rate: Adam's step size, at the start.
        schedule: "constant", or "cosine" down to zero over all epochs (Loshchilov & Hutter 2017, without restarts).
        patience: stop after this many epochs without an improvement; None never stops early.
        min_delta: a smaller fall of the validation loss does not count as an improvement for `patience`.
        ema_decay: average the weights with this decay per step; None trains without an average.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "constant"
    patience: int | None = None
    min_delta: float = 0.0
    ema_decay: float | None = None


@dataclass(frozen=True)
class Step:
    """What `fit` yields after each batch: how far it is, and that batch's loss."""

    epoch: int
    step: int
    n_steps: int  # in this epoch
    loss: float


@dataclass(frozen=True)
class Epoch:
    """What `fit` yields after each epoch: means of the parts of the loss, and whether these weights are the best."""

    epoch: int
    train: dict[str, float]
    validation: dict[str, float]
    best: bool


def fit(
    network: nn.Module,
    loss: Loss,
    train: Sequence[Tensor],
    validation: Sequence[Tensor],
    plan: Plan,
    seed: int,
) -> Iterator[Step | Epoch]:
    """Train `network` in place, yielding after every batch and after every epoch.

    When the iterator is exhausted, the network holds the weights of the epoch with the lowest validation loss (of
    the running average, where `plan.ema_decay` asks for one) and is in evaluation mode. The order of the images
    depends only on (seed, epoch), and so does all chance in the loss; the validation loss sees the same noise in
    every epoch.

    Args:
        network: any module; `loss` closes over it.
        loss: called with a batch of each of `train` and a generator.
        train, validation: tensors of equal length each, whatever `loss` understands.
        plan: how to train.
        seed: of the order of the images and of the loss's noise.

    Raises:
        DivergenceError: the loss became infinite or not a number.
    """
    n_train = len(train[0])
    optimiser = torch.optim.Adam(network.parameters(), lr=plan.learning_rate)
    average = None if plan.ema_decay is None else copy.deepcopy(network).requires_grad_(False)
    best_loss, best_weights = math.inf, network.state_dict()
    mark, epochs_without_gain = math.inf, 0  # for patience: the loss that was last fallen below by min_delta

    for epoch in range(1, plan.epochs + 1):
        generator = seeding.torch_generator(seed, "epoch", epoch)
        order = torch.randperm(n_train, generator=generator)
        # Dropout has no generator argument: it draws from torch's own.
        torch.manual_seed(seeding.derive(seed, "dropout", epoch))
        network.train()
        totals: dict[str, float] = {}
        batches = _batches(order, plan.batch_size)
        for step, indices in enumerate(batches):
            done = (epoch - 1) * len(batches) + step
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * _schedule_factor(plan.schedule, done, plan.epochs * len(batches))
            parts = loss([tensor[indices] for tensor in train], generator)
            _check_finite(parts["loss"].item(), f"the loss of step {step + 1} of epoch {epoch}", plan)
            optimiser.zero_grad()
            parts["loss"].backward()
            optimiser.step()
            if average is not None and plan.ema_decay is not None:
                _update_average(average, network, plan.ema_decay, done)
            for name, value in parts.items():
                totals[name] = totals.get(name, 0.0) + value.item() * len(indices)
            yield Step(epoch, step + 1, len(batches), parts["loss"].item())

        trained = copy.deepcopy(network.state_dict())
        if average is not None:
            network.load_state_dict(average.state_dict())
        means = evaluate(network, loss, validation, seed)
        _check_finite(means["loss"], f"the validation loss after epoch {epoch}", plan)
        best = means["loss"] < best_loss
        if best:
            best_loss, best_weights = means["loss"], copy.deepcopy(network.state_dict())
        if means["loss"] < mark - plan.min_delta:
            mark, epochs_without_gain = means["loss"], 0
        else:
            epochs_without_gain += 1
        train_means = {name: total / n_train for name, total in totals.items()}
        network.load_state_dict(trained)
        yield Epoch(epoch, train_means, means, best)
        if plan.patience is not None and epochs_without_gain >= plan.patience:
            break

    network.load_state_dict(best_weights)
    network.eval()


@torch.no_grad()
def evaluate(network: nn.Module, loss: Loss, data: Sequence[Tensor], seed: int) -> dict[str, float]:
    """Return the mean of every part of the loss over `data`, with the same noise at every call.

    Args:
        network: is put into evaluation mode.
        loss: closes over the network.
        data: tensors (n, ...), whatever `loss` understands.
        seed: of the noise.
    """
    network.eval()
    generator = seeding.torch_generator(seed, "validation")
    totals: dict[str, float] = {}
    for start in range(0, len(data[0]), _EVALUATION_BATCH):
        batch = [tensor[start : start + _EVALUATION_BATCH] for tensor in data]
        for name, value in loss(batch, generator).items():
            totals[name] = totals.get(name, 0.0) + value.item() * len(batch[0])
    return {name: total / len(data[0]) for name, total in totals.items()}


@torch.no_grad()
def apply(function: Callable[[Tensor], Tensor], inputs: Tensor, batch_size: int = 1000) -> Tensor:
    """Apply `function` to `inputs` (n, ...) in batches, without gradients, and join the results (n, ...)."""
    return torch.cat([function(batch) for batch in inputs.split(batch_size)])


def follow(run: Iterator[Step | Epoch], plan: Plan, table: Path, label: str) -> dict[str, float]:
    """Run a training to its end: a progress bar with loss and time left, and the table of losses growing at each epoch.

    Args:
        run: what `fit` returned.
        plan: what it was given.
        table: CSV file with a line per epoch, `train_<part>` and `validation_<part>` for each part of the loss.
        label: what the progress bar says.

    Returns:
        The number of epochs run, the best epoch, and its validation means by part.
    """
    lines: list[dict[str, float]] = []
    summary: dict[str, float] = {}
    with progress.counter(desc=label, unit="step") as bar:
        for event in run:
            if isinstance(event, Step):
                bar.total = plan.epochs * event.n_steps
                bar.set_postfix(epoch=event.epoch, loss=f"{event.loss:.4g}", refresh=False)
                bar.update()
                continue
            line: dict[str, float] = {"epoch": event.epoch}
            line |= {f"train_{part}": mean for part, mean in event.train.items()}
            line |= {f"validation_{part}": mean for part, mean in event.validation.items()}
            lines.append(line)
            artifacts.write_table(table, pd.DataFrame(lines))
            if event.best:
                summary = {f"validation_{part}": mean for part, mean in event.validation.items()}
                summary["best_epoch"] = event.epoch
    return summary | {"epochs": len(lines)}


def to_unit(images: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 in [0, 1]."""
    return images.float() / 255.0


def to_pixels(images: Tensor) -> Tensor:
    """Turn floats in [0, 1] into uint8 pixels, rounded and cut off at both ends."""
    return (images * 255.0).round().clamp(0, 255).to(torch.uint8)


def _batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Split indices (n,) into batches; a single one left over joins the batch before, as batch norm needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _check_finite(value: float, what: str, plan: Plan) -> None:
    if not math.isfinite(value):
        raise DivergenceError(f"{what} is {value}: try a smaller learning_rate than {plan.learning_rate}")


def _schedule_factor(schedule: Schedule, step: int, total_steps: int) -> float:
    if schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * step / total_steps))


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    # The ramp lets the average forget the untrained weights quickly (as in TensorFlow's ExponentialMovingAverage).
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)
    for kept, current in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(current)

"""The one training loop: every network of the project is trained by `fit`."""

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from latentbench import devices, optimizers, parallel, seeding
from latentbench.checkpoints import Checkpoint, CheckpointError
from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError

Schedule = Literal["constant", "cosine"]
Optimizer = Literal["adamw", "muon"]

_EVALUATION_BATCH = 1000
_STEPS_BETWEEN_CHECKS = 50  # reading a loss makes a GPU wait
_MOST_VALIDATIONS = 50  # in a run of many short epochs


class DivergenceError(LatentbenchError):
    """The loss became infinite or NaN."""


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: passes over the training data, at most; the last may be partial.
        batch_size: images per step, over all processes.
        learning_rate: the largest step size.
        schedule: "constant", or "cosine" down to zero over all epochs (Loshchilov & Hutter 2017, without restarts).
        warmup_steps: the learning rate first rises linearly over this many steps.
        weight_decay: decoupled, for matrices and kernels but not for biases and norms (Loshchilov & Hutter 2019).
        clip_norm: clip the gradient to this norm (Pascanu et al. 2013); None never does.
        patience: stop after this many validations without an improvement; None never stops early.
        min_delta: a smaller drop in the validation loss does not count as an improvement for `patience`.
        ema_decay: average the weights with this decay per step; None keeps no average.
        optimizer: "muon" for matrices and kernels and AdamW for the rest, or "adamw" for all.
    """

    epochs: float
    batch_size: int
    learning_rate: float
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    min_delta: float = 0.0
    ema_decay: float | None = None
    optimizer: Optimizer = "adamw"


@dataclass(frozen=True)
class Compute:
    """Where and in what precision to train.

    Attributes:
        device: where the network and all data are kept.
        precision: "bfloat16" computes products in that type where it is safe (autocast); weights stay float32.
        compile: let torch compile the loss, which needs a C++ compiler and some time at the start.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: devices.Precision = "float32"
    compile: bool = False


class Rows:
    """Some rows of an array, which may be a file larger than memory: they are read on demand.

    Args:
        array: (n, ...), such as a memory map.
        index: (m,) of the rows, in order.
    """

    def __init__(self, array: np.ndarray, index: np.ndarray) -> None:
        self._array, self._index = array, index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        places = chosen if isinstance(chosen, slice) else chosen.numpy()
        return torch.from_numpy(self._array[self._index[places]])

    def to(self, device: torch.device) -> "Rows | Tensor":
        """Return them unchanged for the CPU, or copied into the memory of another device."""
        return self if device.type == "cpu" else self[:].to(device)


class Batch:
    """What a loss sees: a process's share of a batch, and all the randomness that it may use.

    The numbers drawn for an image depend only on the seed, the step and the image's place in the whole batch: not on
    the device, nor on how many processes share the batch.

    Attributes:
        tensors: this process's share of each data tensor.
        progress: the share of the training that is done, 1 in validation.
    """

    def __init__(
        self, tensors: Sequence[Tensor], generator: torch.Generator, progress: float, share: slice, n: int
    ) -> None:
        self.tensors, self.progress = tensors, progress
        self._generator, self._share, self._n = generator, share, n

    def ramp(self, share: float) -> float:
        """Return how much of the first `share` of the training is done, 1 once all of it is and in validation."""
        return min(1.0, self.progress / share) if share else 1.0

    def normal(self, *shape: int) -> Tensor:
        """Draw standard-normal noise, (rows of this batch, *shape) float32."""
        drawn = torch.randn((self._n, *shape), generator=self._generator)
        return drawn[self._share].to(self.tensors[0].device)

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniform noise in [0, 1), (rows of this batch, *shape) float32."""
        drawn = torch.rand((self._n, *shape), generator=self._generator)
        return drawn[self._share].to(self.tensors[0].device)

    def integers(self, end: int) -> Tensor:
        """Draw integers in [0, end), (rows of this batch,) int64."""
        drawn = torch.randint(end, (self._n,), generator=self._generator)
        return drawn[self._share].to(self.tensors[0].device)


# A loss returns named parts, each a scalar mean over the batch; "loss" is the one that is minimised.
Loss = Callable[[Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class Step:
    """What `fit` yields after each batch: how far the training is, and that batch's loss, still on its device."""

    epoch: int
    step: int
    n_steps: int  # in a whole epoch
    images_done: int  # in all epochs
    images_total: int
    loss: Tensor


@dataclass(frozen=True)
class Epoch:
    """What `fit` yields after each validation: means of the parts of the loss, and whether these weights are the best.

    That is after each epoch, or every few epochs if there are many, and at the end. `epoch` is how many were done.
    """

    epoch: float
    train: dict[str, float]
    validation: dict[str, float]
    best: bool


def fit(
    network: nn.Module,
    loss: Loss,
    train: Sequence[Tensor | Rows],
    validation: Sequence[Tensor | Rows],
    plan: Plan,
    seed: int,
    compute: Compute | None = None,
    checkpoint: Checkpoint | None = None,
) -> Iterator[Step | Epoch]:
    """Train `network` in place, yielding after every batch and after every validation.

    There is a validation after each epoch, or every few epochs if there are more than 50.

    When the iterator is exhausted, the network holds the weights of the epoch with the lowest validation loss (of
    the running average, if `plan.ema_decay` asks for one) and is in evaluation mode. The order of the images
    depends only on (seed, epoch), and all randomness in the loss only on (seed, epoch, step); the validation loss sees
    the same noise in every epoch. So a run that resumes from its checkpoint ends with exactly the bytes of one that was
    never interrupted; it first yields the finished epochs again.

    Args:
        network: any module; `loss` closes over it. It is moved to the device.
        loss: called with each batch.
        train, validation: of equal length each, whatever `loss` expects; the CPU reads `Rows` on demand.
        plan: how to train.
        seed: of the order of the images and of the loss's noise.
        compute: where to train; on the CPU by default.
        checkpoint: where the state is saved from time to time; None saves none.

    Raises:
        CheckpointError: the checkpoint does not hold the state of this network's training.
        DivergenceError: the loss became infinite or not a number.
    """
    compute = compute or Compute()
    network.to(compute.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster convolutions
    parallel.synchronise_batch_norm(network)
    train = [each.to(compute.device) for each in train]
    validation = [each.to(compute.device) for each in validation]
    sizes = _batch_sizes(len(train[0]), plan.batch_size)
    run = _Run(network, plan, len(sizes))
    if checkpoint is not None:
        run.restore_from(checkpoint)
        yield from run.epochs
    parallel.share(min(sizes))  # fails now rather than at the end of the first epoch
    whole, part = divmod(run.total, len(sizes))
    images_total = whole * len(train[0]) + sum(sizes[:part])
    with _compiled(network, compute.compile):
        while not run.is_over():
            if not run.is_validation_due():  # it already is if a run was stopped just before one
                epoch = run.done // len(sizes) + 1
                order = torch.randperm(len(train[0]), generator=seeding.torch_generator(seed, "epoch", epoch))
                batches = order.to(compute.device).split(sizes)
                network.train()
                for step in range(run.done % len(sizes), min(len(sizes), run.total - (epoch - 1) * len(sizes))):
                    indices, name = batches[step], ("epoch", epoch, "step", step)
                    # Dropout has no generator argument: it draws from torch's own.
                    devices.seed(compute.device, seeding.derive(seed, *name, "dropout", parallel.rank()))
                    share = parallel.share(len(indices))
                    batch = Batch(
                        [each[indices[share]] for each in train],
                        seeding.torch_generator(seed, *name),
                        run.done / run.total,
                        share,
                        len(indices),
                    )
                    with devices.products(compute.device, compute.precision):
                        parts = loss(batch)
                    run.descend(parts, len(batch.tensors[0]), len(indices))
                    due = checkpoint is not None and parallel.is_main() and checkpoint.is_due()
                    if due or (step + 1) % _STEPS_BETWEEN_CHECKS == 0 or run.done in (run.total, epoch * len(sizes)):
                        run.check_steps()
                    if due and checkpoint is not None:
                        checkpoint.save(run.state())
                    images_done = (epoch - 1) * len(order) + sum(sizes[: step + 1])
                    yield Step(epoch, step + 1, len(sizes), images_done, images_total, parts["loss"].detach())
            if run.is_validation_due():
                with run.averaged(), devices.products(compute.device, compute.precision):
                    means = evaluate(network, loss, validation, seed)
                    event = run.validated(parallel.agreed(means, compute.device))
                yield event
    if checkpoint is not None and parallel.is_main():
        checkpoint.save(run.state())  # what comes after may be interrupted too
    network.load_state_dict(run.best)
    network.eval()


@torch.no_grad()
def evaluate(network: nn.Module, loss: Loss, data: Sequence[Tensor | Rows], seed: int) -> dict[str, float]:
    """Return the mean of every part of the loss over `data`, with the same noise at every call.

    Args:
        network: put into evaluation mode.
        loss: closes over the network.
        data: tensors (n, ...), whatever `loss` expects.
        seed: of the noise.
    """
    network.eval()
    generator = seeding.torch_generator(seed, "validation")
    totals: dict[str, float] = {}
    for start in range(0, len(data[0]), _EVALUATION_BATCH):
        rows = [each[start : start + _EVALUATION_BATCH] for each in data]
        n = len(rows[0])
        for name, value in loss(Batch(rows, generator, 1.0, slice(0, n), n)).items():
            totals[name] = totals.get(name, 0.0) + value.item() * n
    return {name: total / len(data[0]) for name, total in totals.items()}


def follow(run: Iterator[Step | Epoch], table: Path, label: str) -> dict[str, float]:
    """Run a training to its end, with a progress bar of loss and time left, and a table of losses that grows with it.

    If there are several processes, only the main one writes and draws.

    Args:
        run: what `fit` returned.
        table: CSV file with a line per validation, `train_<part>` and `validation_<part>` for each part of the loss.
        label: of the progress bar.

    Returns:
        How many epochs were run, after how many the weights were best, and the validation means by part at that point.
    """
    lines: list[dict[str, float]] = []
    summary: dict[str, float] = {}
    with progress.counter(desc=label, unit="image", unit_scale=True, disable=not parallel.is_main()) as bar:
        for event in run:
            if isinstance(event, Step):
                if bar.total is None:  # what a checkpoint restored was not computed now
                    bar.initial = bar.n = event.images_done
                    bar.total = event.images_total
                if bar.update(event.images_done - bar.n):
                    bar.set_postfix(epoch=event.epoch, loss=f"{event.loss.item():.4g}", refresh=False)
                continue
            line: dict[str, float] = {"epoch": event.epoch}
            line |= {f"train_{part}": mean for part, mean in event.train.items()}
            line |= {f"validation_{part}": mean for part, mean in event.validation.items()}
            lines.append(line)
            if parallel.is_main():
                import pandas as pd

                artifacts.write_table(table, pd.DataFrame(lines))
            if event.best:
                summary = {f"validation_{part}": mean for part, mean in event.validation.items()}
                summary["best_epoch"] = event.epoch
    return summary | {"epochs": lines[-1]["epoch"]}


class _Run:
    """The full state of a training run; `state` and `restore` carry it over to another process.

    Attributes:
        total: steps of the whole run.
        done: steps that are done.
        epochs: what was yielded at each validation.
        best: the weights with the lowest validation loss so far.
    """

    def __init__(self, network: nn.Module, plan: Plan, steps_in_epoch: int) -> None:
        self._network, self._plan, self._steps_in_epoch = network, plan, steps_in_epoch
        self.total = max(1, round(plan.epochs * steps_in_epoch))
        self._between = steps_in_epoch * math.ceil(plan.epochs / _MOST_VALIDATIONS)  # steps from one to the next
        weights = list(network.parameters())
        orthogonal = [weight for weight in weights if plan.optimizer == "muon" and weight.ndim > 1]
        others = [weight for weight in weights if not _holds(orthogonal, weight)]
        decays = {True: plan.weight_decay, False: 0.0}
        groups = [
            {"params": [weight for weight in others if (weight.ndim > 1) is is_matrix], "weight_decay": decay}
            for is_matrix, decay in decays.items()
        ]
        self._optimisers: list[torch.optim.Optimizer] = []
        if orthogonal:
            self._optimisers.append(optimizers.Muon(orthogonal, plan.learning_rate, plan.weight_decay))
        if others:
            self._optimisers.append(torch.optim.AdamW(groups, lr=plan.learning_rate, fused=True))
        self._average = None if plan.ema_decay is None else copy.deepcopy(network).requires_grad_(False)
        self._names: list[str] = []  # of the parts of the loss
        # Since the last validation, for each step: the parts, summed over images. One tensor, made once: small ones
        # that outlive their steps would keep the C library from reusing the memory of the steps around it.
        self._sums = torch.empty(0, 0)
        self._n_summed = self._n_images = 0  # of those steps
        self._mark, self._epochs_without_gain = math.inf, 0  # the last loss that counted as an improvement
        self.epochs: list[Epoch] = []
        self.done = 0
        self.best = copy.deepcopy(network.state_dict())

    def is_over(self) -> bool:
        """Return whether all epochs are done, or patience has run out."""
        patience = self._plan.patience
        impatient = patience is not None and self._epochs_without_gain >= patience
        return impatient or (self.done == self.total and not self._n_summed)

    def is_validation_due(self) -> bool:
        """Return whether a validation is due and has not been done yet."""
        return self._n_summed > 0 and (self.done == self.total or self.done % self._between == 0)

    def descend(self, parts: Mapping[str, Tensor], n_own: int, n: int) -> None:
        """Take one step down the gradient.

        Args:
            parts: of the loss, each a mean over this process's share of the batch.
            n_own, n: images in that share, and in the whole batch.
        """
        rate = self._plan.learning_rate * _schedule_factor(self._plan, self.done, self.total)
        for optimiser in self._optimisers:
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = rate
        (parts["loss"] * (n_own / n)).backward()
        parallel.sum_gradients(self._network)
        if self._plan.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._plan.clip_norm)
        for optimiser in self._optimisers:
            optimiser.step()
        if self._average is not None and self._plan.ema_decay is not None:
            _update_average(self._average, self._network, self._plan.ema_decay, self.done)
        self._names = list(parts)
        own = torch.stack([part.detach().float() * n_own for part in parts.values()])
        if not len(self._sums):
            self._sums = own.new_empty(self._between, len(own))
        self._sums[self._n_summed] = parallel.sum_over_processes(own)
        self._n_summed += 1
        self._n_images += n
        self.done += 1

    def check_steps(self) -> None:
        """Refuse to continue if a loss since the last validation is not finite.

        Raises:
            DivergenceError: it is not.
        """
        loss = self._summed().sum(dim=0)[self._names.index("loss")].item() / self._n_images
        _check_finite(loss, f"the loss by {self._place()}", self._plan)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the network hold the running average, if there is one, until the block ends."""
        if self._average is None:
            yield
            return
        trained = copy.deepcopy(self._network.state_dict())
        self._network.load_state_dict(self._average.state_dict())
        yield
        self._network.load_state_dict(trained)

    def validated(self, validation: dict[str, float]) -> Epoch:
        """Record a validation; the network holds the weights that were validated."""
        loss = validation["loss"]
        done = self.done / self._steps_in_epoch
        epoch = int(done) if done.is_integer() else round(done, 6)
        _check_finite(loss, f"the validation loss after epoch {epoch}", self._plan)
        best = all(loss < epoch.validation["loss"] for epoch in self.epochs)
        if best:
            self.best = copy.deepcopy(self._network.state_dict())
        if loss < self._mark - self._plan.min_delta:
            self._mark, self._epochs_without_gain = loss, 0
        else:
            self._epochs_without_gain += 1
        totals = self._summed().cpu().double().sum(dim=0)
        means = {name: total / self._n_images for name, total in zip(self._names, totals.tolist(), strict=True)}
        self.epochs.append(Epoch(epoch, means, validation, best))
        self._n_summed = self._n_images = 0
        return self.epochs[-1]

    def state(self) -> bytes:
        """Return everything as safetensors: tensors by name, and numbers as JSON among the metadata."""
        tensors = {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        if self._average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self._average.state_dict().items()}
        for place, weight in enumerate(self._weights()):
            tensors |= {f"optimiser.{place}.{name}": value for name, value in self._kept(weight).items()}
        if self._n_summed:
            tensors["sums"] = self._summed().clone()
        numbers = {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "done": self.done,
            "names": self._names,
            "n_images": self._n_images,
            "mark": self._mark,
            "epochs_without_gain": self._epochs_without_gain,
        }
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        return safetensors.torch.save(kept, {"numbers": json.dumps(numbers)})

    def restore_from(self, checkpoint: Checkpoint) -> None:
        """Resume from the checkpoint that the main process reads, if there is one.

        Raises:
            CheckpointError: it does not hold the state of this network's training.
        """
        device = next(self._network.parameters()).device
        state = parallel.broadcast(checkpoint.load() if parallel.is_main() else None, device)
        if state is None:
            return
        try:
            self.restore(state)
        # What a damaged file causes, and what torch raises for names and shapes that do not match.
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            problem = " ".join(str(error).split())
            raise CheckpointError(
                f"{checkpoint.path} does not hold the state of this training; delete it to start over ({problem:.300})"
            ) from error
        if parallel.is_main():
            progress.note(f"resuming from {self._place()} ({checkpoint.path})")

    def restore(self, state: bytes) -> None:
        """Restore what `state` returned."""
        length = int.from_bytes(state[:8], "little")  # of the header, by the format
        numbers = json.loads(json.loads(state[8 : 8 + length])["__metadata__"]["numbers"])
        tensors = safetensors.torch.load(state)
        self._network.load_state_dict(_below("network.", tensors))
        self.best = _below("best.", tensors)
        if self._average is not None:
            self._average.load_state_dict(_below("average.", tensors))
        for place, weight in enumerate(self._weights()):
            # In the weight's own memory format: the fused step walks through both side by side.
            self._kept(weight).update(
                (name, value.to(weight.device) if name == "step" else torch.empty_like(weight).copy_(value))
                for name, value in _below(f"optimiser.{place}.", tensors).items()
            )
        self.epochs = [Epoch(**epoch) for epoch in numbers["epochs"]]
        self.done, self._names, self._n_images = numbers["done"], numbers["names"], numbers["n_images"]
        self._mark, self._epochs_without_gain = numbers["mark"], numbers["epochs_without_gain"]
        device = next(self._network.parameters()).device
        if "sums" in tensors:
            self._n_summed = len(tensors["sums"])
            self._sums = torch.empty(self._between, tensors["sums"].shape[1], device=device)
            self._sums[: self._n_summed] = tensors["sums"]

    def _summed(self) -> Tensor:
        return self._sums[: self._n_summed]

    def _place(self) -> str:
        epoch, step = divmod(max(self.done - 1, 0), self._steps_in_epoch)
        return f"step {step + 1} of epoch {epoch + 1}"

    def _weights(self) -> list[nn.Parameter]:
        return [weight for each in self._optimisers for group in each.param_groups for weight in group["params"]]

    def _kept(self, weight: nn.Parameter) -> dict[str, Tensor]:
        """Return the optimiser's state for a weight, to be changed in place."""
        owners = (each for each in self._optimisers for group in each.param_groups if _holds(group["params"], weight))
        found: dict[str, Tensor] = next(owners).state[weight]
        return found


def _holds(weights: Sequence[nn.Parameter], weight: nn.Parameter) -> bool:
    return any(each is weight for each in weights)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _batch_sizes(n: int, batch_size: int) -> list[int]:
    """Split n images into batches; a single one left over joins the batch before it, as batch norm needs two."""
    sizes = [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size else [])
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [batch_size + 1]
    return sizes


def _check_finite(value: float, what: str, plan: Plan) -> None:
    if not math.isfinite(value):
        raise DivergenceError(f"{what} is {value}: try a smaller learning_rate than {plan.learning_rate}")


def _schedule_factor(plan: Plan, step: int, total_steps: int) -> float:
    warmth = min(1.0, (step + 1) / plan.warmup_steps) if plan.warmup_steps else 1.0
    if plan.schedule == "constant":
        return warmth
    return warmth * 0.5 * (1.0 + math.cos(math.pi * step / total_steps))


@contextmanager
def _compiled(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Let torch compile the network and each of its parts until the block ends: a loss may call any of them."""
    parts = [network, *network.children()] if wanted else []
    for part in parts:
        # Not part.compile(): that does nothing for torch's own classes, such as nn.Sequential.
        # dynamic=False: one kernel for each size, so that which one runs does not depend on what ran before.
        part._compiled_call_impl = torch.compile(_call(part), dynamic=False)
    try:
        yield
    finally:
        for part in parts:
            part._compiled_call_impl = None


def _call(part: nn.Module) -> Callable[..., Any]:
    def call(*inputs: Any) -> Any:
        return part._call_impl(*inputs)

    return call


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    # The ramp lets the average forget the untrained weights quickly (as in TensorFlow's ExponentialMovingAverage).
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)
    for kept, current in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(current)

"""The training loop: repeatable, stops early with the best weights, averages, learns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench import inference, training
from latentbench.networks import autoencoders, vaes
from latentbench.training import Epoch, Plan, Step


def linear_task() -> tuple[nn.Module, training.Loss, list[Tensor], list[Tensor]]:
    torch.manual_seed(1)
    network = nn.Linear(3, 1)
    x = torch.randn(40, 3)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]])

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        return {"loss": functional.mse_loss(network(batch.tensors[0]), batch.tensors[1])}

    return network, loss, [x[:30], y[:30]], [x[30:], y[30:]]


def epochs(network: nn.Module, loss: training.Loss, data: Sequence[list[Tensor]], plan: Plan) -> list[Epoch]:
    return [event for event in training.fit(network, loss, data[0], data[1], plan, 5) if isinstance(event, Epoch)]


def scripted(network: nn.Linear, validation_losses: list[float]) -> tuple[training.Loss, list[Tensor]]:
    """Return a loss whose validation values are given, and the list of the weights that were validated."""
    losses = iter(validation_losses)
    kept: list[Tensor] = []

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        if network.training:
            return {"loss": network(batch.tensors[0]).mean()}
        kept.append(network.weight.detach().clone())
        return {"loss": torch.tensor(next(losses))}

    return loss, kept


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not() -> None:
    results = []
    for seed in (5, 5, 6):
        network, loss, train, validation = linear_task()
        for _ in training.fit(network, loss, train, validation, Plan(3, 7, 0.01), seed):
            pass
        results.append(network.state_dict()["weight"])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_every_image_is_seen_once_an_epoch_in_another_order() -> None:
    network = nn.Linear(1, 1)
    seen: list[int] = []

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        if network.training:
            seen.extend(batch.tensors[0][:, 0].int().tolist())
        return {"loss": network(batch.tensors[0]).square().mean()}

    data = [torch.arange(10.0)[:, None]]
    events = list(training.fit(network, loss, data, data, Plan(3, 4, 1e-3), 0))
    steps = [(event.epoch, event.step, event.n_steps) for event in events if isinstance(event, Step)]
    assert steps == [(epoch, step, 3) for epoch in (1, 2, 3) for step in (1, 2, 3)]
    orders = [seen[start : start + 10] for start in (0, 10, 20)]
    assert [sorted(order) for order in orders] == [list(range(10))] * 3
    assert orders[0] != orders[1] != orders[2]


def test_early_stopping_restores_the_best_weights() -> None:
    network = nn.Linear(1, 1, bias=False)
    loss, kept = scripted(network, [3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    data = [torch.ones(4, 1)]
    seen = epochs(network, loss, [data, data], Plan(6, 4, 0.1, patience=2))
    assert [event.best for event in seen] == [True, True, False, False]
    assert torch.equal(network.weight, kept[1])
    assert not network.training


def test_a_gain_below_min_delta_ends_the_training_but_its_weights_are_kept() -> None:
    network = nn.Linear(1, 1, bias=False)
    loss, kept = scripted(network, [1.0, 0.95, 0.92, 0.5])
    data = [torch.ones(4, 1)]
    seen = epochs(network, loss, [data, data], Plan(4, 4, 0.1, patience=2, min_delta=0.1))
    assert [event.best for event in seen] == [True, True, True]
    assert torch.equal(network.weight, kept[2])


def test_small_gains_that_add_up_to_min_delta_are_an_improvement() -> None:
    network = nn.Linear(1, 1)
    losses = iter([1.0, 0.95, 0.89, 0.89, 0.89, 0.89])

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        return {"loss": network(batch.tensors[0]).mean() if network.training else torch.tensor(next(losses))}

    data = [torch.ones(4, 1)]
    seen = epochs(network, loss, [data, data], Plan(6, 4, 0.1, patience=2, min_delta=0.1))
    assert len(seen) == 5


def test_no_batch_has_a_single_image() -> None:
    network = nn.BatchNorm1d(2)
    sizes: list[int] = []

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        sizes.append(len(batch.tensors[0]))
        return {"loss": network(batch.tensors[0]).square().mean()}

    data = [torch.randn(9, 2)]
    steps = [e for e in training.fit(network, loss, data, data, Plan(1, 4, 0.1), 0) if isinstance(e, Step)]
    assert sizes[:-1] == [4, 5]
    assert [(step.step, step.n_steps) for step in steps] == [(1, 2), (2, 2)]


def test_the_average_is_what_is_validated_and_kept() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    validated: list[float] = []

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        if not network.training:
            validated.append(network.weight.item())
        return {"loss": -network(batch.tensors[0]).mean()}

    data = [torch.ones(4, 1)]
    epochs(network, loss, [data, data], Plan(3, 4, 0.1, ema_decay=0.5))
    # Adam moves the weight by 0.1 a step; the decays are 1/10, 2/11, 3/12, the ramp being below 0.5.
    average, expected = 0.0, []
    for step, decay in enumerate((1 / 10, 2 / 11, 3 / 12), start=1):
        average = decay * average + (1 - decay) * 0.1 * step
        expected.append(average)
    assert validated == pytest.approx(expected, rel=1e-4)
    assert network.weight.item() == pytest.approx(expected[-1], rel=1e-4)


def test_the_cosine_schedule_falls_to_nothing() -> None:
    network = nn.Linear(1, 1, bias=False)
    steps: list[float] = []
    data = [torch.ones(4, 1)]

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        return {"loss": network(batch.tensors[0]).mean()}

    before = network.weight.item()
    for event in training.fit(network, loss, data, data, Plan(10, 4, 0.1, "cosine"), 0):
        if isinstance(event, Step):
            steps.append(before - network.weight.item())
            before = network.weight.item()
    expected = [0.05 * (1 + np.cos(np.pi * i / 10)) for i in range(10)]
    assert steps == pytest.approx(expected, rel=1e-3)


def test_a_loss_that_explodes_is_an_error() -> None:
    network = nn.Linear(1, 1)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        return {"loss": network(batch.tensors[0]).mean() * float("inf")}

    data = [torch.ones(4, 1)]
    with pytest.raises(training.DivergenceError, match="step 1 of epoch 1 is -?inf: try a smaller learning_rate"):
        epochs(network, loss, [data, data], Plan(1, 4, 0.1))


def test_following_writes_a_line_per_epoch_and_tells_the_best(tmp_path: Path) -> None:
    network, loss, train, validation = linear_task()
    plan = Plan(4, 10, 0.05)
    run = training.fit(network, loss, train, validation, plan, 5)
    summary = training.follow(run, plan, tmp_path / "loss.csv", "test")
    table = pd.read_csv(tmp_path / "loss.csv")
    assert table.columns.tolist() == ["epoch", "train_loss", "validation_loss"]
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert summary["epochs"] == 4
    assert summary["validation_loss"] == pytest.approx(table["validation_loss"].min(), rel=1e-5)
    assert summary["best_epoch"] == table["validation_loss"].idxmin() + 1


@pytest.mark.parametrize("architecture", ["dense", "conv", "residual"])
def test_an_autoencoder_overfits_64_images(images: np.ndarray, architecture: autoencoders.Architecture) -> None:
    data = [torch.tensor(images[:64])]
    network = autoencoders.build(architecture, 28, 28, 64)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        return {"loss": functional.mse_loss(network(originals), originals)}

    seen = epochs(network, loss, [data, data], Plan(150, 64, 5e-3))
    assert seen[-1].train["loss"] < 0.25 * seen[0].train["loss"]
    assert seen[-1].train["loss"] < 0.02


@pytest.mark.parametrize("architecture", ["dense", "conv", "residual"])
def test_a_vae_learns_to_beat_a_constant(images: np.ndarray, architecture: vaes.Architecture) -> None:
    data = [torch.tensor(images[:64])]
    network = vaes.build(architecture, 28, 28, 8)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        mean, log_var = network.posterior(originals)
        output = network.output(vaes.reparameterise(mean, log_var, batch.normal(8)))
        kl = vaes.kl_from_standard_normal(mean, log_var).mean()
        return {"loss": network.likelihood.nats(output, originals).mean() + kl, "kl": kl}

    seen = epochs(network, loss, [data, data], Plan(120, 64, 3e-3))
    pixels = inference.to_unit(data[0])
    mean_image = pixels.mean(dim=0).clamp(1e-4, 1 - 1e-4).expand_as(pixels)
    constant = functional.binary_cross_entropy(mean_image, pixels, reduction="none").sum() / len(pixels)
    assert seen[-1].validation["loss"] < constant
    assert seen[-1].validation["kl"] > 1

"""The training loop: repeatable, stops early with the best weights, averages, learns."""

import copy
import dataclasses
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench import inference, training
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.networks.vaes import base as vaes
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


def two_layers() -> tuple[nn.Module, training.Loss, list[Tensor]]:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Linear(5, 2))
    data = [torch.randn(24, 3), 4.0 * torch.randn(24, 2)]

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        return {"loss": functional.mse_loss(network(batch.tensors[0]), batch.tensors[1])}

    return network, loss, data


def adamw_by_hand(plan: Plan) -> tuple[list[Tensor], list[float]]:
    """Return the weights after `plan.epochs` steps on all the data, and the norm of the gradient at each."""
    network, _, (inputs, targets) = two_layers()
    weights = [weight.detach().double().requires_grad_() for weight in network.parameters()]
    names = [name for name, _ in network.named_parameters()]
    first, second = [torch.zeros_like(w) for w in weights], [torch.zeros_like(w) for w in weights]
    norms = []
    for step in range(1, plan.epochs + 1):
        outputs = torch.func.functional_call(network, dict(zip(names, weights, strict=True)), inputs.double())
        gradients = torch.autograd.grad(functional.mse_loss(outputs, targets.double()), weights)
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
        norms.append(norm)
        shorten = 1.0 if plan.clip_norm is None else min(1.0, plan.clip_norm / norm)
        rate = plan.learning_rate * (min(1.0, step / plan.warmup_steps) if plan.warmup_steps else 1.0)
        with torch.no_grad():
            for weight, gradient, m, v in zip(weights, gradients, first, second, strict=True):
                m.mul_(0.9).add_(0.1 * shorten * gradient)
                v.mul_(0.999).add_(0.001 * (shorten * gradient) ** 2)
                weight.mul_(1.0 - rate * (plan.weight_decay if weight.ndim > 1 else 0.0))
                weight.sub_(rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8))
    return [weight.detach().float() for weight in weights], norms


PLAIN = Plan(12, 24, 0.05)


@pytest.mark.parametrize("change", [{}, {"weight_decay": 0.3}, {"warmup_steps": 8}, {"clip_norm": 1.4}], ids="".join)
def test_the_steps_are_those_of_adamw_by_hand(change: dict[str, Any]) -> None:
    plan = dataclasses.replace(PLAIN, **change)
    network, loss, data = two_layers()
    for event in training.fit(network, loss, data, data, plan, 0):
        if isinstance(event, Step) and event.epoch == plan.epochs:
            found = [weight.detach().clone() for weight in network.parameters()]
    expected, norms = adamw_by_hand(plan)
    for weight, by_hand in zip(found, expected, strict=True):
        torch.testing.assert_close(weight, by_hand, rtol=1e-3, atol=2e-5)
    if plan.clip_norm is not None:
        assert min(norms) < plan.clip_norm < max(norms)
    if plan != PLAIN:
        assert not torch.allclose(expected[0], adamw_by_hand(PLAIN)[0][0], rtol=1e-2)


def test_warm_up_rises_linearly_to_the_learning_rate() -> None:
    network = nn.Linear(1, 1, bias=False)
    data = [torch.ones(4, 1)]
    weights = [network.weight.item()]
    run = training.fit(
        network,
        lambda batch: {"loss": network(batch.tensors[0]).mean()},
        data,
        data,
        Plan(6, 4, 0.1, warmup_steps=4),
        0,
    )
    weights += [network.weight.item() for event in run if isinstance(event, Step)]
    assert -np.diff(weights) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1], rel=1e-3)


@pytest.mark.parametrize("cuts", [[0, 7], [0, 4, 7], [0, 1, 3, 7]])
def test_the_noise_of_an_image_does_not_depend_on_how_a_batch_is_shared(cuts: list[int]) -> None:
    def draws(begin: int, end: int) -> list[Tensor]:
        rows = torch.zeros(end - begin, 2)
        batch = training.Batch([rows], torch.Generator().manual_seed(3), 0.0, slice(begin, end), 7)
        return [batch.normal(2, 3), batch.uniform(), batch.integers(1000), batch.normal()]

    shares = [draws(begin, end) for begin, end in pairwise(cuts)]
    for whole, *parts in zip(draws(0, 7), *shares, strict=True):
        assert torch.equal(torch.cat(parts), whole)
    normal, uniform, integers, _ = draws(0, 7)
    assert normal.shape == (7, 2, 3)
    assert normal.unique().numel() == normal.numel()
    assert ((uniform >= 0) & (uniform < 1)).all()
    assert integers.dtype == torch.int64
    assert integers.unique().numel() > 3


def test_a_loss_knows_how_much_of_the_training_is_over() -> None:
    network = nn.Linear(1, 1)
    told: list[float] = []
    ramps: list[float] = []

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        told.append(batch.progress)
        ramps.append(batch.ramp(0.5))
        return {"loss": network(batch.tensors[0]).square().mean()}

    data = [torch.randn(10, 1)]
    epochs(network, loss, [data, data], Plan(2, 4, 0.1))
    assert told == pytest.approx([0, 1 / 6, 1 / 3, 1, 1 / 2, 2 / 3, 5 / 6, 1])
    assert ramps == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1, 1, 1])


def test_the_last_epoch_may_be_a_part_of_one() -> None:
    """And the learning rate falls to zero by its end, and not by the end of a whole one."""
    for length, n_steps, expected in ((2.4, 7, [1, 2, 2.333333]), (0.1, 1, [0.333333]), (0.7, 2, [0.666667])):
        network = nn.Linear(1, 1)

        def loss(batch: training.Batch, network: nn.Module = network) -> dict[str, Tensor]:
            return {"loss": network(batch.tensors[0]).square().mean()}

        data = [torch.randn(10, 1)]
        events = list(training.fit(network, loss, data, data, Plan(length, 4, 0.1, "cosine"), seed=0))
        steps = [event for event in events if isinstance(event, Step)]
        assert len(steps) == n_steps
        assert steps[-1].images_done == steps[-1].images_total == [0, 4, 8, 10, 14, 18, 20, 24][n_steps]
        assert [event.epoch for event in events if isinstance(event, Epoch)] == expected
        assert isinstance(events[-1], Epoch), "the last steps are validated too"


def test_many_short_epochs_are_validated_fifty_times() -> None:
    network = nn.Linear(1, 1)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        return {"loss": network(batch.tensors[0]).square().mean()}

    data = [torch.randn(10, 1)]
    seen = epochs(network, loss, [data, data], Plan(120.0, 5, 0.01))
    assert [event.epoch for event in seen] == list(range(3, 121, 3))


def test_every_step_has_noise_of_its_own_and_every_validation_the_same() -> None:
    network = nn.Linear(1, 1)
    drawn: dict[bool, list[float]] = {True: [], False: []}

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        drawn[network.training].append(batch.normal(1).sum().item())
        return {"loss": network(batch.tensors[0]).square().mean()}

    data = [torch.randn(8, 1)]
    epochs(network, loss, [data, data], Plan(3, 4, 0.1))
    assert len(set(drawn[True])) == 6
    assert len(drawn[False]) == 3
    assert len(set(drawn[False])) == 1


def test_bfloat16_computes_products_in_it_and_keeps_the_weights(images: np.ndarray) -> None:
    seen = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(1)
        network = autoencoders.build("dense", (1, 28, 28), 8)
        kinds: set[torch.dtype] = set()
        network.encoder[1].register_forward_hook(lambda _module, _inputs, output, kinds=kinds: kinds.add(output.dtype))

        def loss(batch: training.Batch, network: nn.Module = network) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            return {"loss": functional.mse_loss(network(originals), originals)}

        data = [torch.tensor(images[:128])]
        compute = training.Compute(precision=precision)
        events = list(training.fit(network, loss, data, data, Plan(4, 32, 2e-3, ema_decay=0.9), 0, compute))
        seen[precision] = [event for event in events if isinstance(event, Epoch)]
        assert kinds == {getattr(torch, precision)}
        assert all(weight.dtype == torch.float32 for weight in network.parameters())
    for exact, rough in zip(seen["float32"], seen["bfloat16"], strict=True):
        assert rough.train == pytest.approx(exact.train, rel=0.1)
        assert rough.validation == pytest.approx(exact.validation, rel=0.1)
    assert seen["bfloat16"] != seen["float32"]


def compiled_graphs() -> int:
    """Return how many graphs torch has compiled in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_a_compiled_training_has_the_same_losses_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    results = {}
    for compiled in (False, True):
        torch.manual_seed(1)
        # Without a bias, which batch norm would cancel: its gradient is nothing but rounding.
        network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4), nn.Tanh())
        data = [torch.randn(30, 4)]
        names, before = list(network.state_dict()), compiled_graphs()

        def loss(batch: training.Batch, network: nn.Module = network) -> dict[str, Tensor]:
            return {"loss": (network(batch.tensors[0]) - batch.tensors[0]).square().mean()}

        compute = training.Compute(compile=compiled)
        events = list(training.fit(network, loss, data, data, Plan(4, 10, 0.05, ema_decay=0.5), 0, compute))
        results[compiled] = [event for event in events if isinstance(event, Epoch)]
        assert compiled_graphs() - before == (2 if compiled else 0)  # in training, and in evaluation
    for eager, fast in zip(results[False], results[True], strict=True):
        assert fast.train == pytest.approx(eager.train, rel=1e-5)
        assert fast.validation == pytest.approx(eager.validation, rel=1e-5)
    assert list(network.state_dict()) == names
    after = compiled_graphs()
    assert torch.equal(copy.deepcopy(network)(data[0]), network(data[0]))
    assert compiled_graphs() == after
    assert not [part for part in network.modules() if part._compiled_call_impl is not None]


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
    summary = training.follow(run, tmp_path / "loss.csv", "test")
    table = pd.read_csv(tmp_path / "loss.csv")
    assert table.columns.tolist() == ["epoch", "train_loss", "validation_loss"]
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert summary["epochs"] == 4
    assert summary["validation_loss"] == pytest.approx(table["validation_loss"].min(), rel=1e-5)
    assert summary["best_epoch"] == table["validation_loss"].idxmin() + 1


@pytest.mark.parametrize(
    ("architecture", "rate", "reached"), [("dense", 5e-3, 0.005), ("conv", 5e-3, 0.02), ("residual", 2e-3, 0.03)]
)
def test_an_autoencoder_overfits_64_images(images: np.ndarray, architecture: str, rate: float, reached: float) -> None:
    data = [torch.tensor(images[:64])]
    network = autoencoders.build(architecture, (1, 28, 28), 64)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        return {"loss": functional.mse_loss(network(originals), originals)}

    seen = epochs(network, loss, [data, data], Plan(100, 64, rate, warmup_steps=10))
    assert seen[-1].train["loss"] < 0.25 * seen[0].train["loss"]
    assert seen[-1].train["loss"] < reached


@pytest.mark.parametrize("architecture", ["dense", "conv", "residual"])
def test_a_vae_learns_to_beat_a_constant(images: np.ndarray, architecture: str) -> None:
    data = [torch.tensor(images[:64])]
    network = vaes.build(architecture, (1, 28, 28), 8)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        return vaes.negative_elbo(network, originals, batch.normal(8))

    seen = epochs(network, loss, [data, data], Plan(60, 64, 3e-3))
    pixels = inference.to_unit(data[0])
    mean_image = pixels.mean(dim=0).clamp(1e-4, 1 - 1e-4).expand_as(pixels)
    constant = functional.binary_cross_entropy(mean_image, pixels, reduction="none").sum() / len(pixels)
    assert seen[-1].validation["loss"] < constant
    assert seen[-1].validation["kl"] > 1


def test_rows_of_a_file_train_as_tensors_do(tmp_path: Path, rng: np.random.Generator) -> None:
    array = rng.normal(size=(200, 6)).astype(np.float32)
    np.save(tmp_path / "array.npy", array)
    index = rng.permutation(200)[:150]
    mapped = np.lib.format.open_memmap(tmp_path / "array.npy", mode="r")

    def trained(train: Any, validation: Any) -> list[Tensor]:
        torch.manual_seed(0)
        network = nn.Linear(6, 2)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            return {"loss": (network(batch.tensors[0]) - batch.normal(2)).square().mean()}

        plan = training.Plan(epochs=3, batch_size=32, learning_rate=0.01)
        list(training.fit(network, loss, [train], [validation], plan, 5))
        return [weight.detach() for weight in network.parameters()]

    rest = np.setdiff1d(np.arange(200), index)
    by_rows = trained(training.Rows(mapped, index), training.Rows(mapped, rest))
    by_tensors = trained(torch.from_numpy(array[index]), torch.from_numpy(array[rest]))
    assert all(torch.equal(one, other) for one, other in zip(by_rows, by_tensors, strict=True))
    moved = training.Rows(mapped, index).to(torch.device("meta"))
    assert isinstance(moved, Tensor)
    assert moved.shape == (150, 6)

"""Schedules and the forward process: against diffusers, and against the kernel they are made of."""

import pytest
import torch
from diffusers import DDPMScheduler

from latentbench.diffusion import process, schedules

PEERS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
NAMES: list[schedules.Name] = ["linear", "cosine", "karras", "flow"]


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_schedule_and_noising_are_those_of_diffusers_at_every_step(name: schedules.Name) -> None:
    levels = schedules.make(name, 1000).levels
    peer = DDPMScheduler(1000, beta_schedule=PEERS[name])
    torch.testing.assert_close(process.alphas_cumprod(levels).float(), peer.alphas_cumprod, atol=1e-6, rtol=0)
    # Its own weights, without the rounding of 1 - abar in float32, which is larger than 1e-6.
    peer.alphas_cumprod = torch.cumprod(1.0 - peer.betas.double(), dim=0)
    x0, eps = torch.rand(1000, 4, 3).double() * 2 - 1, torch.randn(1000, 4, 3).double()
    ours = process.variance_preserving(process.noised(x0, levels, eps), levels)
    torch.testing.assert_close(ours, peer.add_noise(x0, eps, torch.arange(1000)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_closed_form_is_the_iterated_kernel(name: schedules.Name) -> None:
    schedule = schedules.make(name, 1000)
    levels, betas = schedule.levels, schedule.betas()
    peer = DDPMScheduler(1000, beta_schedule=PEERS[name])
    torch.testing.assert_close(betas.float(), peer.betas, atol=1e-7, rtol=1e-4)
    mean, variance = 1.0, 0.0  # of x_t given x_0 = 1
    for beta, level in zip(betas.tolist(), levels, strict=True):
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
        one = torch.ones(1, 1, dtype=torch.float64)
        signal = process.variance_preserving(one, level[None]).item()
        assert signal == pytest.approx(mean, rel=1e-9)
        assert (level.item() * signal) ** 2 == pytest.approx(variance, rel=1e-9)
    assert mean < 0.01  # the end is noise


@pytest.mark.parametrize("time", [0, 1, 500, 999])
def test_the_posterior_is_the_step_of_diffusers(time: int) -> None:
    levels = schedules.make("linear", 1000).levels
    lower = levels[time - 1] if time else torch.tensor(0.0, dtype=torch.float64)
    level = levels[time]
    peer = DDPMScheduler(1000, beta_schedule="linear", prediction_type="sample", clip_sample=False)
    x0, y = torch.rand(2, 5) * 2 - 1, torch.randn(2, 5) * level.float()
    mean, deviation = process.posterior(x0, y, level[None], lower[None])
    x_t = process.variance_preserving(y, level[None])
    step = peer.step(x0, time, x_t, generator=torch.Generator().manual_seed(3))
    drawn = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(3)) if time else torch.zeros_like(y)
    ours = process.variance_preserving(mean + deviation.float() * drawn, lower[None])
    torch.testing.assert_close(ours, step.prev_sample, atol=1e-5, rtol=1e-4)


def test_the_signal_to_noise_ratio_falls_from_the_image_to_noise() -> None:
    for name in NAMES:
        schedule = schedules.make(name)
        ratios = process.signal_to_noise(schedule.level_at(torch.linspace(0, 1, 50, dtype=torch.float64)))
        assert (ratios.diff() < 0).all(), name
        assert ratios[0] > 1000, name
        assert ratios[-1] < 0.001, name


@pytest.mark.parametrize("name", NAMES)
def test_training_visits_the_levels_that_sampling_needs(name: schedules.Name) -> None:
    schedule = schedules.make(name)
    drawn = schedule.trained_at(torch.rand(100_000, generator=torch.Generator().manual_seed(0)))
    assert torch.isfinite(drawn).all()
    assert (drawn > 0).all()
    low, high = schedule.ends()
    middle = ((drawn > low**0.5 * 0.1) & (drawn < 10)).double().mean()
    assert middle > 0.5
    ends = schedule.trained_at(torch.tensor([0.0, 1.0 - 2**-24]))
    assert torch.isfinite(ends).all()
    assert ends[0] < ends[1]
    assert ends[1] == pytest.approx(high, rel=1e-3) or name == "karras"


def test_karras_levels_are_log_normal() -> None:
    drawn = schedules.make("karras").trained_at(torch.rand(200_000, generator=torch.Generator().manual_seed(0))).log()
    assert drawn.mean().item() == pytest.approx(-1.2, abs=0.01)
    assert drawn.std().item() == pytest.approx(1.2, abs=0.01)


@pytest.mark.parametrize("spacing", ["time", "log", "rho"])
@pytest.mark.parametrize("name", NAMES)
def test_a_path_falls_from_noise_to_data(name: schedules.Name, spacing: schedules.Spacing) -> None:
    schedule = schedules.make(name)
    low, high = schedule.ends()
    path = schedule.path(20, spacing)
    assert len(path) == 21
    assert path == sorted(set(path), reverse=True)
    assert [path[0], *path[-2:]] == pytest.approx([high, low, 0.0])
    half = schedule.path(20, spacing, start=0.5)
    assert low < half[0] < high
    for n_steps, start in ((1, 1.0), (20, 0.0), (20, 1.5)):
        with pytest.raises(ValueError, match="must be"):
            schedule.path(n_steps, spacing, start)


def test_all_steps_of_a_discrete_process_can_be_visited_and_no_more() -> None:
    schedule = schedules.make("cosine", 100)
    assert schedule.path(100, "time") == [*reversed(schedule.levels.tolist()), 0.0]
    with pytest.raises(ValueError, match="must be in 2"):
        schedule.path(101, "time")
    with pytest.raises(ValueError, match="too many"):
        schedule.path(100, "time", start=0.3)


@pytest.mark.parametrize(("name", "n_steps"), [("linear", 1), ("cosine", 1), ("linear", 20)])
def test_too_few_steps_are_refused(name: schedules.Name, n_steps: int) -> None:
    with pytest.raises(ValueError, match="steps"):
        schedules.make(name, n_steps)

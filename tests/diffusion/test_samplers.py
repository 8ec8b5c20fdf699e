"""Samplers: step by step against diffusers, and on data whose ideal denoiser is known."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler
from torch import Tensor

from latentbench.diffusion import process, schedules
from latentbench.diffusion.samplers import base as samplers
from tests.diffusion import gaussian

SAMPLERS: list[str] = ["ancestral", "ddim", "heun", "dpm_solver"]


def generators(n: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(index) for index in range(n)]


def shared(x_t: Tensor, level: float) -> Tensor:
    """Return an estimate of x_0 that both sides are given, from the x_t of Ho et al."""
    return 0.6 * torch.tanh(x_t) + 0.1 * math.tanh(level)


def denoise(y: Tensor, level: Tensor) -> Tensor:
    return shared(process.variance_preserving(y, level), level[0].item())


def last(steps: object) -> Tensor:
    *_, step = steps  # type: ignore[misc]
    return torch.as_tensor(step.y)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_whole_ddim_trajectory_is_that_of_diffusers(eta: float) -> None:
    schedule = schedules.make("linear", 1000)
    n_calls, gap = 28, 37  # 999 = 27 * 37, so that our even spacing is one that diffusers can have
    path = schedule.path(n_calls, "time")
    peer = DDIMScheduler(1000, beta_schedule="linear", prediction_type="sample", clip_sample=False)
    peer.num_inference_steps = 27
    x_t, peers, ours = torch.randn(2, 6, 6), generators(2), generators(2)
    y = x_t * math.sqrt(1 + path[0] ** 2)
    steps = samplers.sample(denoise, path, y, "ddim", eta, ours)
    for step, level, time in zip(steps, path, range(999, -1, -gap), strict=False):
        fresh = process.noise(peers, 6, 6) if eta and time else torch.zeros_like(x_t)
        theirs = peer.step(shared(x_t, level), time, x_t, eta if time else 0.0, variance_noise=fresh)
        x_t = theirs.prev_sample
        if time:
            at = torch.full((2,), step.level, dtype=torch.float64)
            torch.testing.assert_close(process.variance_preserving(step.y, at), x_t, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(step.y, theirs.pred_original_sample, atol=1e-4, rtol=1e-3)


def test_a_whole_ancestral_trajectory_is_that_of_diffusers() -> None:
    schedule = schedules.make("linear", 1000)
    path = schedule.path(1000, "time")
    peer = DDPMScheduler(1000, beta_schedule="linear", prediction_type="sample", clip_sample=False)
    x_t = torch.randn(1, 6)
    (theirs,), ours = generators(1), generators(1)
    sample = last(samplers.sample(denoise, path, x_t * math.sqrt(1 + path[0] ** 2), "ancestral", generators=ours))
    for time in range(999, -1, -1):
        x_t = peer.step(shared(x_t, path[999 - time]), time, x_t, generator=theirs).prev_sample
    torch.testing.assert_close(sample, x_t, atol=1e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # theirs
def test_a_whole_dpm_solver_trajectory_is_that_of_diffusers() -> None:
    schedule = schedules.make("linear", 1000)
    path = [*schedule.path(28, "time")[:-2], 0.0]  # their even spacing leaves out the last
    peer = DPMSolverMultistepScheduler(
        1000, beta_schedule="linear", prediction_type="sample", algorithm_type="dpmsolver++", solver_order=2,
        final_sigmas_type="zero", timestep_spacing="linspace", lower_order_final=False, euler_at_final=True,
    )  # fmt: skip
    peer.set_timesteps(27)
    assert peer.timesteps.tolist() == list(range(999, 0, -37))
    x_t = torch.randn(2, 6)
    sample = last(samplers.sample(denoise, path, x_t * math.sqrt(1 + path[0] ** 2), "dpm_solver"))
    for time, level in zip(peer.timesteps, path, strict=False):
        x_t = peer.step(shared(x_t, level), time, x_t).prev_sample
    torch.testing.assert_close(sample, x_t, atol=1e-4, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # theirs
def test_a_whole_heun_trajectory_is_that_of_diffusers() -> None:
    schedule = schedules.make("linear", 1000)
    path = schedule.path(28, "time")
    peer = HeunDiscreteScheduler(
        1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", prediction_type="sample",
        timestep_spacing="linspace",
    )  # fmt: skip
    peer.set_timesteps(28)
    y = torch.randn(2, 6) * path[0]
    sample = last(samplers.sample(denoise, path, y, "heun"))
    for time, level in zip(peer.timesteps, [path[0], *np.repeat(path[1:-1], 2)], strict=True):
        y = peer.step(shared(peer.scale_model_input(y, time), level), time, y).prev_sample
    torch.testing.assert_close(sample, y, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["linear", "cosine", "karras", "flow"])
def test_the_ideal_denoiser_gives_mean_and_covariance_of_the_data(sampler: str, name: schedules.Name) -> None:
    mean, root = torch.tensor([0.2, -0.5, 0.0]), torch.tensor([[0.5, 0.0, 0.0], [0.3, 0.2, 0.0], [0.0, 0.1, 0.05]])
    covariance = root @ root.T
    path = schedules.make(name).path(250 if sampler in ("ancestral", "ddim") else 100, "log")
    own = generators(1000)
    y = samplers.start(own, (3,), path[0])
    sample = last(samplers.sample(gaussian.of_covariance(mean, covariance), path, y, sampler, generators=own))
    torch.testing.assert_close(sample.mean(dim=0), mean, atol=0.06, rtol=0)
    sizes = covariance.diag().sqrt()
    assert ((sample.T.cov() - covariance).abs() < 0.2 * torch.outer(sizes, sizes)).all()


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("heun", 2), ("dpm_solver", 2)])
def test_the_error_falls_with_the_order_of_the_sampler(sampler: str, order: int) -> None:
    y = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double() * 5.0
    errors = []
    for n_steps in (20, 40, 80):
        path = torch.logspace(math.log10(5.0), -2, n_steps + 1, dtype=torch.float64).tolist()
        sample = last(samplers.sample(gaussian.denoise, path, y, sampler))
        errors.append((sample - gaussian.exact(y, path[0], path[-1])).abs().mean().item())
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35), errors


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_is_the_same_in_any_batch(sampler: str) -> None:
    path = schedules.make("karras").path(10, "rho")

    def draw(chosen: slice) -> Tensor:
        own = generators(5)[chosen]
        y = samplers.start(own, (4, 5), path[0])
        return last(samplers.sample(gaussian.denoise, path, y, sampler, generators=own))

    together = draw(slice(None))
    torch.testing.assert_close(draw(slice(2, 3))[0], together[2])
    assert len({tuple(image.flatten().tolist()) for image in together}) == 5


@pytest.mark.parametrize(("sampler", "calls"), [("ddim", 20), ("dpm_solver", 20), ("ancestral", 20), ("heun", 19)])
def test_as_many_calls_as_are_allowed(sampler: str, calls: int) -> None:
    counted = []

    def counting(y: Tensor, level: Tensor) -> Tensor:
        counted.append(level[0].item())
        return gaussian.denoise(y, level)

    path = schedules.make("karras").path(samplers.n_steps(sampler, 20), "rho")
    steps = list(samplers.sample(counting, path, torch.randn(1, 3), sampler, generators=generators(1)))
    assert len(counted) == calls
    assert steps[-1].level == 0.0


def test_what_does_not_fit_is_refused() -> None:
    y, path = torch.zeros(1, 2), [1.0, 0.0]
    with pytest.raises(ValueError, match="is an option of the sampler ddim"):
        next(samplers.sample(gaussian.denoise, path, y, "heun", eta=0.5))
    with pytest.raises(ValueError, match="needs 1 generators, not 0"):
        next(samplers.sample(gaussian.denoise, path, y, "ancestral"))

"""DDIM: step by step against diffusers, and on data whose ideal denoiser is known."""

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from latentbench.diffusion import samplers
from latentbench.diffusion.process import Prediction, Process, make_process


def last(estimates: object) -> Tensor:
    *_, sample = estimates  # type: ignore[misc]
    return torch.as_tensor(sample)


def generators(n: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(index) for index in range(n)]


def gaussian_denoiser(process: Process, mean: float, deviation: float) -> samplers.Denoiser:
    """Return the ideal eps-prediction for pixels drawn independently from N(mean, deviation^2)."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        signal, noise = process.signal_and_noise(t)
        variance = signal**2 * deviation**2 + noise**2
        return noise * (x_t - signal * mean) / variance

    return denoise


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(("prediction", "peer_name"), [("eps", "epsilon"), ("x0", "sample"), ("v", "v_prediction")])
def test_a_whole_trajectory_is_that_of_diffusers(prediction: Prediction, peer_name: str, eta: float) -> None:
    process = make_process("linear", 1000)
    start = torch.randn(2, 6, 6)

    def denoiser(x_t: Tensor, t: Tensor) -> Tensor:
        return 0.4 * torch.tanh(x_t + 0.001 * t[:, None, None])

    n_calls, gap = 28, 37  # 999 = 27 * 37, so that our even spacing is one that diffusers can have
    ours = list(samplers.ddim(denoiser, process, prediction, start, n_calls, eta, generators(2)))
    peer = DDIMScheduler(1000, beta_schedule="linear", prediction_type=peer_name, clip_sample=True)
    peer.num_inference_steps = 27
    peers = generators(2)
    x_t = start
    for estimate, time in zip(ours, range(999, -1, -gap), strict=True):
        noise = samplers.noise(peers, 6, 6) if eta and time else torch.zeros_like(x_t)
        step = peer.step(
            denoiser(x_t, torch.full((2,), time)), time, x_t, eta if time else 0.0, True, variance_noise=noise
        )
        torch.testing.assert_close(estimate, step.pred_original_sample, atol=2e-4, rtol=1e-3)
        x_t = step.prev_sample


@pytest.mark.parametrize(("eta", "n_calls"), [(0.0, 100), (1.0, 1000)])
def test_the_ideal_denoiser_of_gaussian_data_gives_its_mean_and_variance(eta: float, n_calls: int) -> None:
    process = make_process("cosine", 1000)
    denoiser = gaussian_denoiser(process, mean=0.2, deviation=0.15)
    start = torch.randn(400, 5, 5)
    sample = last(samplers.ddim(denoiser, process, "eps", start, n_calls, eta, generators(400)))
    assert sample.mean().item() == pytest.approx(0.2, abs=0.005)
    assert sample.std().item() == pytest.approx(0.15, rel=0.05)


def test_more_calls_come_closer_to_the_exact_path() -> None:
    process = make_process("cosine", 1000)
    denoiser = gaussian_denoiser(process, mean=0.0, deviation=0.15)
    start = torch.randn(50, 4, 4)
    samples = {n: last(samplers.ddim(denoiser, process, "eps", start, n)) for n in (5, 20, 80, 1000)}
    errors = [(samples[n] - samples[1000]).abs().mean().item() for n in (5, 20, 80)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_sample_is_the_same_in_any_batch(eta: float) -> None:
    process = make_process("cosine", 100)
    denoiser = gaussian_denoiser(process, mean=0.2, deviation=0.15)

    def draw(chosen: slice) -> Tensor:
        own = generators(5)[chosen]
        return last(samplers.ddim(denoiser, process, "eps", samplers.noise(own, 4, 5), 10, eta, own))

    together = draw(slice(None))
    torch.testing.assert_close(draw(slice(2, 3))[0], together[2])
    assert len({tuple(image.flatten().tolist()) for image in together}) == 5


def test_time_steps_go_from_noise_to_data() -> None:
    assert samplers.step_times(1000, 1000) == list(range(999, -1, -1))
    assert samplers.step_times(1000, 4) == [999, 666, 333, 0]
    for n_calls in (1, 11):
        with pytest.raises(ValueError, match=r"must be in 2\.\.10"):
            samplers.step_times(10, n_calls)


def test_fresh_noise_needs_generators() -> None:
    process = make_process("cosine", 10)
    with pytest.raises(ValueError, match="needs 1 generators, not 0"):
        next(samplers.ddim(lambda x, _: x, process, "eps", torch.zeros(1, 2, 2), 5, eta=0.5))

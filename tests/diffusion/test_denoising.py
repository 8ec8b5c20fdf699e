"""Parameterisations, weights and guidance: against diffusers and their definitions."""

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from latentbench.diffusion import parameterisations, process, schedules
from latentbench.diffusion.denoising import Denoiser, clipped, guided
from latentbench.diffusion.parameterisations import Prediction, Weighting

PREDICTIONS: list[Prediction] = ["eps", "x0", "v", "karras", "flow"]


class Told(nn.Module):
    """A network that gives what it is told to."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output
        self.seen: list[Tensor] = []

    def forward(self, scaled: Tensor, noise: Tensor, _: Tensor | None) -> Tensor:
        self.seen = [scaled, noise]
        return self.output


def target(prediction: Prediction, x0: Tensor, level: Tensor, eps: Tensor) -> Tensor:
    """Return the output by which the estimate is the image itself."""
    factors = parameterisations.coefficients(prediction, level, 0.5)
    skip, out = (process.beside(each, x0) for each in (factors.skip, factors.out))
    return (x0 - skip * process.noised(x0, level, eps)) / out


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_output_that_has_no_loss_gives_back_the_image(prediction: Prediction) -> None:
    level = torch.logspace(-2, 2, 30, dtype=torch.float64)
    x0, eps = torch.rand(30, 4, 4).double(), torch.randn(30, 4, 4).double()
    perfect = Denoiser(Told(target(prediction, x0, level, eps)), prediction, 0.5)
    assert perfect.loss(x0, level, eps).item() < 1e-12
    torch.testing.assert_close(perfect(process.noised(x0, level, eps), level), x0)


@pytest.mark.parametrize(("prediction", "peer_name"), [("eps", "epsilon"), ("x0", "sample"), ("v", "v_prediction")])
def test_input_and_estimate_are_those_of_diffusers(prediction: Prediction, peer_name: str) -> None:
    schedule = schedules.make("linear")
    peer = DDPMScheduler(1000, beta_schedule="linear", prediction_type=peer_name, clip_sample=False)
    x_t, output = torch.randn(1, 6), torch.randn(1, 6)
    for time in (1, 300, 900):
        level = schedule.levels[[time]]
        network = Told(output)
        y = x_t * (1 + level.square()).sqrt().float()
        estimate = Denoiser(network, prediction)(y, level)
        torch.testing.assert_close(network.seen[0], x_t)
        theirs = peer.step(output, time, x_t).pred_original_sample
        torch.testing.assert_close(estimate, theirs, atol=1e-4, rtol=1e-4)


def test_v_and_flow_are_their_definitions() -> None:
    level = torch.tensor([0.3, 4.0], dtype=torch.float64)
    x0, eps = torch.rand(2, 5).double(), torch.randn(2, 5).double()
    signal = (1 + level.square()).rsqrt()[:, None]
    v = signal * eps - level[:, None] * signal * x0
    torch.testing.assert_close(target("v", x0, level, eps), v)
    torch.testing.assert_close(target("flow", x0, level, eps), eps - x0)


def test_karras_inputs_and_targets_have_unit_variance_at_every_level() -> None:
    generator = torch.Generator().manual_seed(0)
    for level in (0.01, 0.5, 50.0):
        levels = torch.full((20_000,), level, dtype=torch.float64)
        x0, eps = (torch.randn(20_000, 4, generator=generator).double() for _ in range(2))
        x0 = 0.5 * x0
        network = Told(torch.zeros(20_000, 4))
        Denoiser(network, "karras", 0.5)(process.noised(x0, levels, eps), levels)
        assert network.seen[0].std().item() == pytest.approx(1.0, abs=0.02)
        assert target("karras", x0, levels, eps).std().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighting", ["eps", "min_snr"])
def test_weights_are_of_the_error_of_the_image_whatever_is_predicted(
    prediction: Prediction, weighting: Weighting
) -> None:
    level = torch.tensor([0.2, 3.0], dtype=torch.float64)
    x0, eps = torch.rand(2, 5), torch.randn(2, 5)
    denoiser = Denoiser(Told(torch.randn(2, 5)), prediction, 0.5)
    errors = (denoiser(process.noised(x0, level, eps), level) - x0).square().mean(dim=1)
    ratio = process.signal_to_noise(level)
    weights = {"eps": ratio, "min_snr": ratio.clamp(max=5.0)}[weighting]
    expected = (weights * errors).mean().float()
    torch.testing.assert_close(denoiser.loss(x0, level, eps, weighting), expected, atol=1e-4, rtol=1e-4)


class Classes(nn.Module):
    """A network whose output is the label."""

    def forward(self, scaled: Tensor, _: Tensor, labels: Tensor) -> Tensor:
        return labels[:, None].float().expand(scaled.shape)


def test_guidance_moves_away_from_what_any_class_gives() -> None:
    y, level, labels = torch.zeros(3, 2), torch.ones(3, dtype=torch.float64), torch.tensor([0, 1, 4])
    denoiser = Denoiser(Classes(), "x0")
    for scale in (1.0, 3.0):
        estimate = guided(denoiser, labels, nobody=10, scale=scale)(y, level)
        expected = 10 + scale * (labels - 10)
        torch.testing.assert_close(estimate, expected[:, None].float().expand(3, 2))
    assert clipped(denoiser_of(5.0))(y, level).max() == 1.0


def denoiser_of(value: float) -> Denoiser:
    return Denoiser(Told(torch.full((3, 2), value)), "x0")

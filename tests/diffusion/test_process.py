"""The forward process: against diffusers, and against the kernel it is made of."""

import pytest
import torch
from diffusers import DDPMScheduler

from latentbench.diffusion.process import Prediction, ScheduleName, make_process

PEERS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS: list[Prediction] = ["eps", "x0", "v"]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_and_noising_are_those_of_diffusers(schedule: ScheduleName) -> None:
    process = make_process(schedule, 1000)
    peer = DDPMScheduler(1000, beta_schedule=PEERS[schedule])
    torch.testing.assert_close(process.alphas_cumprod.float(), peer.alphas_cumprod, atol=1e-6, rtol=1e-5)
    x0, eps, t = torch.rand(1000, 4, 3), torch.randn(1000, 4, 3), torch.arange(1000)
    torch.testing.assert_close(process.noised(x0, t, eps), peer.add_noise(x0, eps, t), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_closed_form_is_the_iterated_kernel(schedule: ScheduleName) -> None:
    process = make_process(schedule, 1000)
    mean, variance = 1.0, 0.0  # of x_t given x_0 = 1
    for t, beta in enumerate(process.betas.tolist()):
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
        signal, noise = process.signal_and_noise(torch.tensor([t]))
        assert signal.item() == pytest.approx(mean, rel=1e-5, abs=1e-7)
        assert noise.item() ** 2 == pytest.approx(variance, rel=1e-5)
    assert mean < 0.01  # the end is noise


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_perfect_prediction_gives_back_image_and_noise(prediction: Prediction) -> None:
    process = make_process("cosine", 1000)
    t = torch.arange(0, 990, 10)
    x0, eps = torch.rand(len(t), 5, 5) * 2 - 1, torch.randn(len(t), 5, 5)
    x_t = process.noised(x0, t, eps)
    output = process.target(prediction, x0, t, eps)
    back_x0, back_eps = process.split(prediction, x_t, t, output)
    # Where the signal (or the noise) is small, it is lost in the rounding of x_t.
    torch.testing.assert_close(back_x0, x0, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(back_eps, eps, atol=1e-4, rtol=1e-3)


def test_v_is_that_of_diffusers() -> None:
    process = make_process("linear", 1000)
    peer = DDPMScheduler(1000, beta_schedule="linear", prediction_type="v_prediction")
    x0, eps, t = torch.rand(8, 3, 3), torch.randn(8, 3, 3), torch.randint(1000, (8,))
    torch.testing.assert_close(process.target("v", x0, t, eps), peer.get_velocity(x0, eps, t), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("schedule", "n_steps"), [("linear", 1), ("cosine", 1), ("linear", 20)])
def test_too_few_steps_are_refused(schedule: ScheduleName, n_steps: int) -> None:
    with pytest.raises(ValueError, match="steps"):
        make_process(schedule, n_steps)

"""From noise to images, step by step: DDIM (Song et al. 2021), and DDPM as its stochastic end."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from latentbench.diffusion.process import Prediction, Process
from latentbench.errors import InputError

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (x_t (n, h, w), t (n,)) -> prediction (n, h, w)


def noise(generators: Sequence[torch.Generator], height: int, width: int) -> Tensor:
    """Draw standard normal noise (n, height, width), each image from a generator of its own.

    So a sample does not depend on the batch that it is drawn in.
    """
    return torch.stack([torch.randn((height, width), generator=generator) for generator in generators])


def step_times(n_steps: int, n_calls: int) -> list[int]:
    """Return `n_calls` evenly spaced time steps from T - 1 down to 0.

    Raises:
        InputError: fewer than 2 calls, or more than T.
    """
    if not 2 <= n_calls <= n_steps:
        raise InputError(f"the number of sampling steps must be in 2..{n_steps}, not {n_calls}")
    return [int(t) for t in torch.linspace(n_steps - 1, 0, n_calls, dtype=torch.float64).round()]


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    process: Process,
    prediction: Prediction,
    start: Tensor,
    n_calls: int,
    eta: float = 0.0,
    generators: Sequence[torch.Generator] = (),
) -> Iterator[Tensor]:
    """Yield the estimate of x_0 after each of `n_calls` network calls; the last one is the sample.

    Song et al. 2021, eq. 12 and 16: `eta` 0 is deterministic, `eta` 1 over all T steps is ancestral sampling. Each
    estimate is clipped to [-1, 1], the range of the data.

    Args:
        denoiser: the network, called with x_t and t.
        process, prediction: what the network was trained for.
        start: noise (n, height, width).
        n_calls: how many time steps are visited.
        eta: the share of fresh noise.
        generators: of that noise, one for each sample; needed when `eta` is not 0.

    Raises:
        InputError: `n_calls` is out of range, or `eta` is not 0 and there is not a generator for each sample.
    """
    if eta and len(generators) != len(start):
        raise InputError(f"eta > 0 draws noise and needs {len(start)} generators, not {len(generators)}")
    times = step_times(process.n_steps, n_calls)
    x_t = start
    for time, earlier in zip(times, [*times[1:], None], strict=True):
        t = torch.full((len(start),), time, device=start.device)
        x0, eps = process.split(prediction, x_t, t, denoiser(x_t, t))
        x0 = x0.clamp(-1.0, 1.0)
        yield x0
        if earlier is None:
            return
        # The noise that goes with the clipped estimate: otherwise clipping would leave x_t inconsistent.
        signal, sigma = process.signal_and_noise(t)
        eps = (x_t - signal * x0) / sigma
        abar, abar_earlier = process.alphas_cumprod[time], process.alphas_cumprod[earlier]
        fresh = eta * torch.sqrt((1 - abar_earlier) / (1 - abar) * (1 - abar / abar_earlier))
        x_t = abar_earlier.sqrt().float() * x0
        x_t = x_t + (1 - abar_earlier - fresh**2).clamp(min=0).sqrt().float() * eps
        if eta:
            x_t = x_t + fresh.float() * noise(generators, *x_t.shape[1:]).to(start.device)

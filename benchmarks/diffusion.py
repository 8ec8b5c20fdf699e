"""Compare sampling and training with diffusers; `make benchmark-diffusion` runs it.

Three comparisons, by name:
  calls    the default sampler against 1000 ancestral steps of the same network: kernel distances of 1,000 samples each
  samples  seconds for 10,000 samples of each row
  peer     seconds for 1,000 samples of equal or better distance: our rows against a U-Net of diffusers of equal size,
           trained for as long as the slower of our rows, with DDPM and DDIM at several numbers of steps

They use the models that `make repro` wrote to data/models. Samples are timed in one process, ours and the peer's in
turns.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from matplotlib.figure import Figure
from torch import Tensor

from latentbench import inference, seeding, threads
from latentbench.core import artifacts
from latentbench.data.dataset import Dataset
from latentbench.diffusion import models
from latentbench.diffusion.models import DiffusionModel, Sampling
from latentbench.evaluation import samples
from latentbench.networks import weights
from latentbench.networks.classifier import Classifier

ROWS = ("diffusion", "diffusion_latent")
MODELS, PROCESSED, TIMING = Path("data/models"), Path("data/processed"), Path("data/timing")
OUT = Path("metrics/benchmarks")
_BATCH = 250
_N = 1000  # samples behind each distance
_CALLS = (5, 10, 20, 50)  # of ours
_STEPS = (10, 20, 50)  # of the peer, by default
_PEER_EMA = 0.999


class Eye:
    """The reference classifier, and what it sees in the test images."""

    def __init__(self) -> None:
        arrays, description = artifacts.read_model(MODELS / "classifier")
        self._classifier = Classifier(**description["network"])
        weights.load(self._classifier, arrays)
        self._test = self._features(torch.tensor(Dataset(PROCESSED).test_images))

    def distances(self, drawn: Tensor) -> tuple[float, float]:
        """Return the Fréchet and kernel distance of images (n, c, h, w) uint8 to as many test images."""
        features, target = self._features(drawn), self._test[: len(drawn)]
        generator = np.random.default_rng(0)
        frechet = samples.frechet_distance(samples.moments(features), samples.moments(target))
        return frechet, samples.kernel_estimate(features, target, 20, generator).value

    def _features(self, images: Tensor) -> np.ndarray:
        found: np.ndarray = inference.apply(
            lambda batch: self._classifier.features(inference.to_unit(batch)), images
        ).numpy()
        return found


def draw(model: DiffusionModel, n: int, sampling: Sampling) -> Tensor:
    """Return n samples, (n, c, h, w) uint8."""
    return model.draw(0, range(n), sampling)


def timed(make: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Return the seconds that a call took, and its result."""
    started = time.perf_counter()
    made = make()
    return time.perf_counter() - started, made


def ours() -> dict[str, tuple[DiffusionModel, Sampling]]:
    """Return the trained rows, each with its own sampling."""
    found = {row: models.load(MODELS / row) for row in ROWS}
    return {row: (model, Sampling(**description["sampling"])) for row, (model, description) in found.items()}


def compare_calls(eye: Eye) -> None:
    """Print a line for each row: the default sampler beside 1000 ancestral steps."""
    for row, (model, sampling) in ours().items():
        seconds, few = timed(lambda model=model, sampling=sampling: draw(model, _N, sampling))
        long = replace(sampling, sampler="ancestral", calls=1000, eta=0.0)
        long_seconds, many = timed(lambda model=model, long=long: draw(model, _N, long))
        kernel, long_kernel = (eye.distances(each)[1] for each in (few, many))
        print(
            f"{row}: kernel distance {kernel:.4g} in {sampling.calls} calls of {sampling.sampler} ({seconds:.1f} s), "
            f"{long_kernel:.4g} after 1000 ancestral steps ({long_seconds:.1f} s): {kernel / long_kernel:.2f} times "
            "(the target is 1.1 at 20 calls)",
            flush=True,
        )


def time_samples() -> None:
    """Print a line for each row: seconds for 10,000 samples."""
    for row, (model, sampling) in ours().items():
        draw(model, _BATCH, sampling)
        seconds, _ = timed(lambda model=model, sampling=sampling: draw(model, 10_000, sampling))
        print(f"{row}: {seconds:.1f} s for 10,000 samples (the target is 60 for the better row)", flush=True)


def build_peer(n_parameters: int) -> UNet2DModel:
    """Return the U-Net of diffusers, two levels without attention, whose size is nearest to this many parameters."""

    def build(width: int) -> UNet2DModel:
        return UNet2DModel(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(width, 2 * width),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
            add_attention=False,
        )

    candidates = [build(width) for width in range(8, 65, 8)]
    return min(candidates, key=lambda network: abs(_size(network) - n_parameters))


def train_peer(network: UNet2DModel, images: Tensor, budget_s: float, batch_size: int = 64) -> int:
    """Train as diffusers' own example does (eps, linear schedule, AdamW), with an average of the weights at the end.

    Returns:
        How many steps there was time for.
    """
    scheduler = DDPMScheduler(1000)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(_PEER_EMA)
    )
    generator = seeding.torch_generator(0, "peer")
    started, step = time.perf_counter(), 0
    while (done := (time.perf_counter() - started) / budget_s) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1.0 + np.cos(np.pi * done))
        chosen = torch.randint(len(images), (batch_size,), generator=generator)
        x0 = 2.0 * inference.to_unit(images[chosen]) - 1.0
        eps, t = torch.randn(x0.shape, generator=generator), torch.randint(1000, (batch_size,), generator=generator)
        loss = (network(scheduler.add_noise(x0, eps, t), t).sample - eps).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(network)
        step += 1
    network.load_state_dict(average.module.state_dict())
    network.eval()
    return step


@torch.no_grad()
def draw_peer(network: UNet2DModel, scheduler: DDPMScheduler | DDIMScheduler, steps: int, n: int) -> Tensor:
    """Return n samples, (n, c, h, w) uint8."""
    generator, drawn = seeding.torch_generator(0, "peer samples"), []
    for start in range(0, n, _BATCH):
        x = torch.randn((min(_BATCH, n - start), 1, 28, 28), generator=generator)
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t).sample, t, x, generator=generator).prev_sample
        drawn.append(inference.to_pixels((x + 1.0) / 2.0))
    return torch.cat(drawn)


def compare_with_peer(eye: Eye, budget_s: float | None, peer_steps: Sequence[int]) -> None:
    """Print and write distance over sampling time of both sides, and how soon ours equals the peer's best."""
    if budget_s is None:
        budget_s = max(artifacts.read_json(TIMING / f"diffusion@{row}.json")["seconds"] for row in ROWS)
    rows = ours()
    peer = build_peer(_size(rows["diffusion"][0].denoiser))
    dataset = Dataset(PROCESSED)
    n_steps = train_peer(peer, torch.tensor(dataset.train_images[dataset.fit_index]), budget_s)
    print(
        f"peer: {_size(peer)} parameters, {n_steps} steps of 64 images in {budget_s:.0f} s; ours on pixels: "
        f"{_size(rows['diffusion'][0].denoiser)} parameters",
        flush=True,
    )
    lines = []

    def note(name: str, calls: int, make: Callable[[], Tensor]) -> None:
        seconds, drawn = timed(make)
        frechet, kernel = eye.distances(drawn)
        lines.append((name, calls, seconds, frechet, kernel))
        print(f"{name}, {calls} calls: {seconds:.1f} s, Frechet {frechet:.1f}, kernel {kernel:.4g}", flush=True)

    for calls in _CALLS:
        for row, (model, sampling) in rows.items():
            fewer = replace(sampling, calls=calls)
            note(row, calls, lambda model=model, fewer=fewer: draw(model, _N, fewer))
    for steps in peer_steps:
        for name, scheduler in (("diffusers DDIM", DDIMScheduler(1000)), ("diffusers DDPM", DDPMScheduler(1000))):
            note(name, steps, lambda scheduler=scheduler, steps=steps: draw_peer(peer, scheduler, steps, _N))
    table = pd.DataFrame(lines, columns=["name", "calls", "seconds", "frechet", "kernel_distance"])
    artifacts.write_table(OUT / "diffusion.csv", table)
    artifacts.write_figure(OUT / "diffusion.png", _curves(table))
    theirs = table[table["name"].str.startswith("diffusers")]
    best = theirs["frechet"].min()
    cheapest = theirs[theirs["frechet"] <= 1.05 * best]["seconds"].min()
    reached = table[table["name"].isin(ROWS) & (table["frechet"] <= best)]
    if reached.empty:
        print(f"the peer's best distance is {best:.1f}, and ours does not reach it", flush=True)
        return
    ours_s = reached["seconds"].min()
    print(
        f"1,000 samples at least as good as the peer's best ({best:.1f}): ours in {ours_s:.1f} s, the peer in "
        f"{cheapest:.1f} s: {cheapest / ours_s:.1f} times as fast (the target is 5)",
        flush=True,
    )


def _curves(table: pd.DataFrame) -> Figure:
    """Draw the distance over the seconds that the samples took, a line for each name."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, line in table.groupby("name", sort=False):
        axes.loglog(line["seconds"], line["frechet"], marker="o", label=name)
        for row in line.itertuples():
            axes.annotate(str(row.calls), (row.seconds, row.frechet), xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="seconds for 1,000 samples", ylabel="Fréchet distance to test images")
    axes.legend(title="network calls beside each point")
    return figure


def _size(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def main() -> None:
    """Run the chosen comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=["calls", "samples", "peer", []], help="default: all")
    parser.add_argument(
        "--budget", type=float, help="seconds to train the peer (default: as for the slower of our rows)"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=_STEPS, help="calls of the peer (default: 10 20 50)")
    options = parser.parse_args()
    threads.use(None)
    eye = Eye()
    for name in options.name or ("samples", "calls", "peer"):
        if name == "calls":
            compare_calls(eye)
        elif name == "samples":
            time_samples()
        else:
            compare_with_peer(eye, options.budget, options.steps)


if __name__ == "__main__":
    main()

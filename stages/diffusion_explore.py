"""Explore one diffusion model: its process in both directions, its samplers, and what it does to given images."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentbench import figures, inference, seeding, threads
from latentbench.core import artifacts, progress
from latentbench.data.dataset import Dataset
from latentbench.diffusion import editing, models, process
from latentbench.diffusion.models import Sampling
from latentbench.diffusion.samplers import base as samplers
from latentbench.evaluation import samples
from latentbench.neighbors.search import nearest
from latentbench.params.diffusion_explore import DiffusionExploreParams
from latentbench.params.project import Project
from stages import classifiers, lifecycle, paths

_N_SHOWN = 10
_MOST_CLASSES = 20  # that are shown
_N_GROUPS = 10  # of the jackknife behind kernel distances
_N_WATCHED = 100  # samples whose spectrum is tracked
_BANDS = ("low", "middle", "high")  # of frequencies


class Explorer:
    """One model and what is needed to explore it.

    Args:
        row: of the comparison.
        project, params: of the stage.
    """

    def __init__(self, row: str, project: Project, params: DiffusionExploreParams) -> None:
        self.row, self.params = row, params
        self.dataset = Dataset(paths.PROCESSED)
        self.eye = classifiers.load()
        self.classify = classifiers.probabilities(self.eye)
        self.model, description = models.load(paths.model(row))
        self.sampling = Sampling(**description["sampling"])
        self.seed = seeding.derive(project.seed, "diffusion_explore", row)
        self.folder = paths.METRICS / "diffusion_explore" / row
        self.images = torch.tensor(self.dataset.test_images[: params.n_edited])

    def forward(self) -> None:
        """Draw the forward process on real images."""
        labels = self._labels()[:_MOST_CLASSES]
        firsts = [int(np.flatnonzero(self.dataset.test_labels == label)[0]) for label in labels]
        if not self.dataset.labelled:
            firsts = list(range(min(_N_SHOWN, len(self.dataset.test_images))))
        data = self._encoded(torch.tensor(self.dataset.test_images[firsts]))
        generators = [seeding.torch_generator(self.seed, "forward", index) for index in firsts]
        eps = process.noise(generators, *self.model.shape)
        times = torch.linspace(0.0, 1.0, _N_SHOWN, dtype=torch.float64)
        columns = []
        for level in self.model.schedule.level_at(times):
            at = level.expand(len(data))
            columns.append(self.model.pixels(process.variance_preserving(process.noised(data, at, eps), at)))
        names = [self.dataset.classes[label] for label in labels] if self.dataset.labelled else []
        title = f"{self.row}: noise covers test images, from left to right"
        self._picture("forward", torch.stack(columns, dim=1), names, title)

    def reverse(self) -> dict[str, float]:
        """Draw the reverse process; return the step from which estimates have half the power of samples, by band."""
        noisy, estimates = [], []
        for step in self.model.steps(self.seed, range(_N_WATCHED), self.sampling):
            at = torch.full((_N_WATCHED,), step.level, dtype=torch.float64)
            noisy.append(self.model.pixels(process.variance_preserving(step.y, at)[:_N_SHOWN]))
            estimates.append(self.model.pixels(step.x0))
        shown = np.linspace(0, len(estimates) - 1, _N_SHOWN).round().astype(int)
        lines, names = [], []
        for sample in range(_N_SHOWN // 2):
            lines += [torch.stack([noisy[step][sample] for step in shown])]
            lines += [torch.stack([estimates[step][sample] for step in shown])]
            names += [f"sample {sample + 1}", "its estimate"]
        title = f"{self.row}: from noise to samples, from left to right"
        self._picture("reverse", torch.stack(lines), names, title)

        powers = np.array([_band_powers(estimate.numpy() / 255.0) for estimate in estimates])
        shares = powers / powers[-1]
        path = self.model.path(self.sampling)[:-1]  # the levels that the estimates are made at
        table = pd.DataFrame({"level": path, **dict(zip(_BANDS, shares.T, strict=True))})
        artifacts.write_table(self.folder / "spectrum.csv", table)
        return {f"half_{band}_step": _step_from_which(shares[:, i] >= 0.5) for i, band in enumerate(_BANDS)}

    def compare_samplers(self) -> None:
        """Write the kernel distance by sampler and number of calls; draw the same noise by each.

        The distance is to validation images, so that a sampler may be chosen by it.
        """
        n = min(self.params.n_compared, len(self.dataset.validation_index))
        chosen = self.dataset.validation_index[:n]
        target = self._features(torch.tensor(self.dataset.train_images[chosen]))
        lines, grid, names = [], [], []
        plans = [(name, calls) for name in samplers.names() for calls in self.params.calls]
        for name, calls in progress.bar(plans, desc=f"{self.row}: samplers", unit="sampler"):
            sampling = replace(self.sampling, sampler=name, calls=calls, eta=0.0)
            drawn = self._draw(n, sampling)
            generator = seeding.numpy_generator(self.seed, "jackknife")
            distance = samples.kernel_estimate(self._features(drawn), target, min(_N_GROUPS, n // 2), generator)
            made = samplers.n_calls(name, calls)
            lines.append((name, made, distance.value, distance.low, distance.high))
            grid.append(drawn[:_N_SHOWN])
            names.append(f"{name}, {made} calls")
        columns = ["sampler", "calls", "kernel_distance", "kernel_distance_lo", "kernel_distance_hi"]
        artifacts.write_table(self.folder / "samplers.csv", pd.DataFrame(lines, columns=columns))
        title = f"{self.row}: the same noise by each sampler"
        self._picture("samplers", torch.stack(grid), names, title)

    def compare_steps(self) -> None:
        """Write the kernel distance of samples by steps that grow with the noise, and by as many equal ones."""
        n = min(self.params.n_compared, len(self.dataset.validation_index))
        target = self._features(torch.tensor(self.dataset.train_images[self.dataset.validation_index[:n]]))
        growing = self.model.path(replace(self.sampling, spacing="rho"))
        equal = [*np.linspace(growing[0], growing[-2], len(growing) - 1).tolist(), growing[-1]]
        lines, denoise = [], self.model.estimates(self.sampling)
        for name, path in (("growing with the noise", growing), ("equal", equal)):
            parts = []
            for some in _parts(n):
                generators = [seeding.torch_generator(self.seed, index) for index in range(n)[some]]
                noise = samplers.start(generators, self.model.shape, path[0])
                how = self.sampling.sampler, self.sampling.eta, generators
                parts.append(samplers.last(samplers.sample(denoise, path, noise, *how)).y)
            drawn = self.model.pixels(torch.cat(parts))
            generator = seeding.numpy_generator(self.seed, "jackknife")
            distance = samples.kernel_estimate(self._features(drawn), target, min(_N_GROUPS, n // 2), generator)
            lines.append((name, path[0] - path[1], path[-3] - path[-2], distance.value, distance.low, distance.high))
        ends = ["kernel_distance", "kernel_distance_lo", "kernel_distance_hi"]
        table = pd.DataFrame(lines, columns=["steps", "first_step", "last_step", *ends])
        artifacts.write_table(self.folder / "steps.csv", table)

    def memorised(self) -> None:
        """Draw samples beside the train images that they are nearest to."""
        drawn = self._draw(_N_SHOWN, self.sampling)
        points = drawn.flatten(1).numpy()
        found = nearest(points, self.dataset.train_pixels, 3, label=f"{self.row}: nearest train images").indices
        near = torch.tensor(self.dataset.train_images[found.ravel()]).unflatten(0, found.shape)
        lines = torch.cat([drawn[None], near.swapaxes(0, 1)])
        names = ["sample", "nearest train image", "second", "third"]
        self._picture("nearest", lines, names, f"{self.row}: samples and train images")

    def inpaint(self) -> None:
        """Save several fillings of each test image whose lower half is removed; `evaluate` scores them."""
        known = torch.ones_like(self.images, dtype=torch.bool)
        known[:, :, known.shape[2] // 2 :] = False
        draws = []
        for draw in progress.bar(range(self.params.inpaint_draws), desc=f"{self.row}: inpainting", unit="draw"):
            first = draw * len(self.images)
            parts = [
                self.model.inpaint(
                    seeding.derive(self.seed, "inpaint"),
                    range(first + start, first + start + len(some)),
                    some,
                    known[: len(some)],
                    replace(self.sampling, calls=self.params.inpaint_calls),
                    self.params.inpaint_repeats,
                )
                for start, some in zip(
                    range(0, len(self.images), inference.BATCH), self.images.split(inference.BATCH), strict=True
                )
            ]
            draws.append(torch.cat(parts))
        filled = torch.stack(draws)
        artifacts.write_array(paths.inpainted(self.row), filled.numpy())
        grey = torch.where(known, self.images, 0)
        lines = torch.cat([self.images[None], grey[None], filled])[:, :_N_SHOWN]
        names = ["test image", "what is known", *(f"filling {i + 1}" for i in range(len(filled)))]
        self._picture("inpainted", lines, names, f"{self.row}: the lower half filled in")

    def vary(self) -> None:
        """Write how many test images keep their class by the strength of a variation."""
        before = None if self.classify is None else self._classes(self.images)
        data = self._encoded(self.images)
        lines, grid = [], [self.images[:_N_SHOWN]]
        for strength in progress.bar(self.params.strengths, desc=f"{self.row}: variations", unit="strength"):
            path = self.model.path(self.sampling, strength)
            generators = [seeding.torch_generator(self.seed, "vary", index) for index in range(len(data))]
            how = self.sampling.sampler, self.sampling.eta
            parts = [
                editing.vary(self.model.estimates(self.sampling), path, data[some], generators[some], *how)
                for some in _parts(len(data))
            ]
            varied = self.model.pixels(torch.cat(parts))
            change = (varied / 255.0 - self.images / 255.0).square().mean().item()
            kept = None if before is None else float(np.mean(self._classes(varied) == before))
            lines.append((strength, kept, change))
            grid.append(varied[:_N_SHOWN])
        table = pd.DataFrame(lines, columns=["strength", "class_kept", "mse"]).dropna(axis=1)
        artifacts.write_table(self.folder / "variations.csv", table)
        names = ["test image", *(f"strength {strength:g}" for strength in self.params.strengths)]
        self._picture("varied", torch.stack(grid), names, f"{self.row}: variations of test images")

    def invert(self) -> dict[str, float]:
        """Draw test images from the noise that they are inverted to; return the errors by rule.

        "space" is the error of only encoding into the model's space and decoding again.
        """
        data, denoise, rules = self._encoded(self.images), self.model.denoise(), get_args(editing.Rule)
        path = self.model.path(replace(self.sampling, sampler="ddim", calls=self.params.inversion_steps))
        found = {"space": self.model.pixels(data)}
        for rule in progress.bar(rules, desc=f"{self.row}: inversion", unit="rule"):
            parts = []
            for some in _parts(len(data)):
                noise = editing.invert(denoise, path, data[some], rule)
                parts.append(samplers.last(samplers.sample(denoise, path, noise, rule)).y)
            found[rule] = self.model.pixels(torch.cat(parts))
        lines = torch.stack([self.images, *found.values()])[:, :_N_SHOWN]
        names = ["test image", *found]
        self._picture(
            "inverted", lines, names, f"{self.row}: from the noise of an image, {len(path) - 1} steps each way"
        )
        return {
            f"inversion_mse_{name}": (images / 255.0 - self.images / 255.0).square().mean().item()
            for name, images in found.items()
        }

    def blend(self) -> None:
        """Draw paths between test images, and write what the classifier makes of each step along them."""
        path, denoise = self.model.path(replace(self.sampling, sampler="ddim")), self.model.denoise()
        data, shares = self._encoded(self.images), np.linspace(0.0, 1.0, _N_SHOWN).tolist()
        noise = torch.cat([editing.invert(denoise, path, data[some]) for some in _parts(len(data))])
        first, second = noise[:-1], noise[1:]
        parts = [
            editing.blend(denoise, path, first[some], second[some], shares)
            for some in _parts(len(first), inference.BATCH // len(shares))
        ]
        ways = torch.stack([self.model.pixels(step) for step in torch.cat(parts, dim=1)])  # (shares, n - 1, h, w)
        lines = []
        if self.classify is not None:
            ends = self._classes(self.images)
            for share, step in zip(shares, ways, strict=True):
                probabilities = self._probabilities(step)
                guessed = probabilities.argmax(axis=1)
                of_an_end = (guessed == ends[:-1]) | (guessed == ends[1:])
                lines.append((share, probabilities.max(axis=1).mean(), of_an_end.mean()))
        table = pd.DataFrame(lines, columns=["share", "confidence", "class_of_an_end"])
        artifacts.write_table(self.folder / "blends.csv", table)
        title = f"{self.row}: between test images, by the noise that they are made of"
        self._picture("blends", ways[:, : _N_SHOWN - 1].swapaxes(0, 1), [], title)

    def _draw(self, n: int, sampling: Sampling) -> Tensor:
        return self.model.draw(self.seed, range(n), sampling)

    def _encoded(self, images: Tensor) -> Tensor:
        return inference.apply(self.model.encode, images)

    def _features(self, images: Tensor) -> np.ndarray:
        features = inference.apply(lambda batch: self.eye.features(inference.to_unit(batch)), images)
        return features.numpy()

    def _classes(self, images: Tensor) -> np.ndarray:
        return np.asarray(self._probabilities(images).argmax(axis=1))

    def _probabilities(self, images: Tensor) -> np.ndarray:
        classify = self.classify
        assert classify is not None
        return inference.apply(lambda batch: classify(inference.to_unit(batch)), images).numpy()

    def _labels(self) -> list[int]:
        return [int(label) for label in np.unique(self.dataset.test_labels)]

    def _picture(self, name: str, images: Tensor, row_labels: Sequence[str], title: str) -> None:
        figure = figures.image_grid(images.numpy(), row_labels, title)
        artifacts.write_figure(self.folder / f"{name}.png", figure, palette=figures.is_grey(images.numpy()))


def _parts(n: int, size: int = inference.BATCH) -> list[slice]:
    return [slice(start, start + size) for start in range(0, n, size)]


def _band_powers(images: np.ndarray) -> list[float]:
    """Return the mean power of images (n, c, h, w) in each band of frequencies.

    The low band reaches to a tenth of a cycle per pixel, or to the lowest frequency that small images have.
    """
    frequencies, power = samples.power_spectra(images)
    mean, edges = power.mean(axis=0), (0.0, max(0.1, frequencies[1]), 0.25, 0.5)
    return [float(mean[(low < frequencies) & (frequencies <= high)].sum()) for low, high in pairwise(edges)]


def _step_from_which(holds: np.ndarray) -> int:
    """Return the number of the first step, counted from 1, from which something always holds."""
    return int(np.flatnonzero(~holds).max(initial=-1)) + 2


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    with lifecycle.stage("diffusion_explore", row) as view:
        project = view.section(Project)
        threads.use(project.threads)
        explorer = Explorer(row, project, view.section(DiffusionExploreParams, "diffusion_explore"))
        explorer.forward()
        found = explorer.reverse()
        explorer.compare_samplers()
        explorer.compare_steps()
        explorer.memorised()
        explorer.inpaint()
        explorer.vary()
        found |= explorer.invert()
        explorer.blend()
        artifacts.write_metrics(explorer.folder / "metrics.json", found)


if __name__ == "__main__":
    main()

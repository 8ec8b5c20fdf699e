"""How good images are: one judge for every row, on equal terms."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from latentbench import inference, seeding, threads
from latentbench.core import artifacts
from latentbench.data.dataset import LEVELS, Dataset, to_unit
from latentbench.evaluation import samples
from latentbench.evaluation.likelihood import mean_with_interval
from latentbench.methods.base import Bound
from latentbench.neighbors.search import nearest
from latentbench.networks.classifier import Classifier
from latentbench.params.base import ParamsError
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.project import Project
from stages import classifiers, lifecycle, paths, sample_scores, sizes
from stages.classifiers import Eye
from stages.sample_scores import SampleScores

_N_SHOWN = 100


@dataclass(frozen=True)
class Judged:
    """What a judge says about images; `SampleScores` explains what it holds."""

    scores: dict[str, Any]
    left_out: dict[str, np.ndarray]
    outcomes: dict[str, np.ndarray]


@dataclass(frozen=True)
class Target:
    """The held-out images that every row is compared with, as its judges see them; `judge_real` computes it once.

    Attributes:
        key: hash of the images, in the order of the groups that intervals leave out.
        features: (n, d) float32.
        sharpness: (n,) float64.
        distances: (n,) float32, to the nearest train image of each.
    """

    key: str
    features: np.ndarray
    sharpness: np.ndarray
    distances: np.ndarray

    def write(self) -> None:
        """Save it for the other judges."""
        arrays = {"features": self.features, "sharpness": self.sharpness, "distances": self.distances}
        artifacts.write_model(paths.TARGET, arrays, {"key": self.key})

    @classmethod
    def read(cls) -> "Target":
        """Return what was saved.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        arrays, description = artifacts.read_model(paths.TARGET)
        return cls(description["key"], **arrays)


Look: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor | None]]


class Judge:
    """A feature extractor, and the held-out images that it compares every row with.

    Args:
        look: maps uint8 images (n, c, h, w) to features (n, d) float32, and to class probabilities (n, n_classes); None
            where there are no classes.
        dataset: whose test images are the target.
        params: of the stage.
        seed: for all random draws.
        target: what was saved of the held-out images; an int computes it for that many of them, at most.
    """

    def __init__(self, look: Look, dataset: Dataset, params: EvaluateParams, seed: int, target: Target | int) -> None:
        self._look, self._dataset, self._params, self._seed = look, dataset, params, seed
        self.target = self._target(target) if isinstance(target, int) else target

    def _target(self, n: int) -> Target:
        test = self._dataset.test_images
        generator = seeding.numpy_generator(self._seed, "evaluate", "target")
        chosen = generator.choice(len(test), min(n, len(test)), replace=False)
        images = test[chosen]
        # Intervals of two runs are paired where they left out the same groups of the same images.
        groups = self._generator("jackknife").permutation(len(chosen))
        parts = (images.tobytes(), groups.astype(np.int64).tobytes(), str(self._params.n_groups).encode())
        key = hashlib.sha256(b"".join(parts)).hexdigest()[:12]
        sharpness, distances = samples.sharpness(images / 255.0), self._to_train(images, "test images")
        return Target(key, self._seen(images)[0], sharpness, distances)

    def judge(
        self,
        row: str,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        from_train: bool = False,
    ) -> Judged:
        """Return the scores of a row, and what is needed for intervals of their differences from another run's.

        Args:
            row: for progress bars.
            images: (n, c, h, w) uint8, no more than there are held-out ones; they are compared with as many.
            labels: (n,) their classes; None lets the judge predict them.
            from_train: they are train images, whose nearest train images are themselves.
        """
        params, n = self._params, len(images)
        # Half of a small dataset's validation images may be fewer than the groups that are asked for.
        n_groups = sizes.at_most("evaluate.n_groups", params.n_groups, n // 2, f"for {n} images of {row}")
        (features, probabilities), target = self._seen(images), self.target.features[:n]
        # The same groups for every row, so that the held-out images contribute the same to each interval.
        frechet, kernel = (
            estimate(features, target, n_groups, self._generator("jackknife"))
            for estimate in (samples.frechet_estimate, samples.kernel_estimate)
        )
        density, coverage = samples.density_and_coverage(
            target, features, min(params.coverage_k, n - 1), n_groups, self._generator("jackknife")
        )
        outcomes: dict[str, np.ndarray] = {}
        found: dict[str, Any] = {"n": n}
        if probabilities is not None:
            guessed = probabilities.argmax(axis=1)
            outcomes["confident_share"] = probabilities.max(axis=1) > samples.CONFIDENT
            outcomes["cas"] = self._taught_by(images, guessed if labels is None else labels)
            counts = np.bincount(guessed, minlength=probabilities.shape[1])[np.unique(self._dataset.train_labels)]
            found |= {"classes_present": int((counts > 0).sum()), "rarest_class_share": float(counts.min() / n)}
        estimates = {
            "frechet": frechet,
            "kernel_distance": kernel,
            "density": density,
            "coverage": coverage,
            "sharpness": self._ratio(samples.sharpness(images / 255.0), self.target.sharpness),
        }
        if not from_train:
            estimates["nearest_train"] = self._ratio(self._to_train(images, row), self.target.distances)
        left_out = {name: np.array(estimate.left_out) for name, estimate in estimates.items()}
        estimates |= {name: mean_with_interval(torch.tensor(each).double()) for name, each in outcomes.items()}
        for name, estimate in estimates.items():
            found |= {name: estimate.value, f"{name}_lo": estimate.low, f"{name}_hi": estimate.high}
        return Judged(found, left_out, outcomes)

    def _seen(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        with torch.no_grad():
            seen = [self._look(batch) for batch in torch.tensor(images).split(inference.BATCH)]
        features = torch.cat([each for each, _ in seen]).numpy()
        probabilities = [each for _, each in seen if each is not None]
        return features, torch.cat(probabilities).numpy() if probabilities else None

    def _to_train(self, images: np.ndarray, what: str) -> np.ndarray:
        """Return the distances (n,), between pixels, from images to the train image that is nearest to each."""
        points = images.reshape(len(images), -1)
        near = nearest(points, self._dataset.train_pixels, 1, label=f"{what}: nearest train")
        return near.distances[:, 0] / LEVELS

    def _ratio(self, values: np.ndarray, target: np.ndarray) -> samples.Estimate:
        generator = self._generator("jackknife")
        n_groups = min(self._params.n_groups, len(values) // 2)
        return samples.ratio_estimate(values, target[: len(values)], n_groups, generator)

    def _taught_by(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return which of all test images a classifier trained on these gets right, (n,) (Ravuri & Vinyals 2019).

        It is a linear one. A network would tell more, but when its training stops, and so its score, depends on how a
        processor rounds.
        """
        from latentbench.evaluation import probe  # imports scikit-learn, which images without labels do not need

        test = self._dataset.test_points
        taught = np.unique(labels)
        if len(taught) == 1:
            return np.asarray(self._dataset.test_labels == taught[0])
        points = to_unit(images.reshape(len(images), -1))
        return np.asarray(probe.predictions(points, labels, test) == self._dataset.test_labels)

    def _generator(self, name: str) -> np.random.Generator:
        return seeding.numpy_generator(self._seed, "evaluate", name)


@dataclass(frozen=True)
class Session:
    """A stage that judges, while it runs.

    Attributes:
        project: the params at the top level.
        params: those of `evaluate`.
        dataset: whose test images rows are compared with.
    """

    project: Project
    params: EvaluateParams
    dataset: Dataset

    def judge(self, target: Target | int) -> Judge:
        """Return the judge of rows that are compared with a target, or with so many test images at most."""
        look = _look(classifiers.load(), self.params)
        return Judge(look, self.dataset, self.params, self.project.seed, target)

    def keep(
        self,
        row: str,
        judge: Judge,
        images: np.ndarray,
        judged: Judged,
        calls: int | None = None,
        bound: Bound | None = None,
    ) -> None:
        """Write the judgement of a row.

        Args:
            row: its name in the table.
            judge: that judged it.
            images: (n, c, h, w) uint8, which it judged.
            judged: what it said.
            calls: of the network, per image; None if no network draws them.
            bound: on the likelihood of the test images, for a model that has one.
        """
        scores, outcomes = dict(judged.scores), dict(judged.outcomes)
        if calls is not None:
            scores["calls"] = calls
        if bound is not None and bound.bits_per_dim is not None:
            names = ("bits_per_dim", "bits_per_dim_lo", "bits_per_dim_hi")
            scores |= {name: bound.parts[name] for name in names}
            outcomes["bits_per_dim"] = bound.bits_per_dim
        # Distances in the features of different networks must never be compared: the hash tells them apart.
        named = "classifier" if self.params.features == "auto" else self.params.features
        seen_by = dict.fromkeys(("classifier", named))
        kept = SampleScores(
            scores,
            ("" if self.dataset.labelled else "pca:")
            + "+".join(artifacts.model_hash(paths.model(name)) for name in seen_by),
            judge.target.key,
            images[:_N_SHOWN],
            judged.left_out,
            outcomes,
            bound.parts if bound else {},
            bound.likelihood if bound else "",
            bound.kl_per_latent if bound else np.empty(0),
        )
        sample_scores.write(row, kept)


@contextmanager
def stage(name: str, row: str | None = None) -> Iterator[Session]:
    """Do what `lifecycle.stage` does, for a stage that judges."""
    with lifecycle.stage(name, row) as view:
        project, params = view.section(Project), view.section(EvaluateParams, "evaluate")
        threads.use(project.threads)
        yield Session(project, params, Dataset(paths.PROCESSED))


def _look(eye: Eye, params: EvaluateParams) -> Look:
    """Return a function from uint8 images to features, and to class probabilities; None without classes.

    Raises:
        ParamsError: a classifier's features are asked for, and there is none.
    """
    if params.features == "classifier" and not isinstance(eye, Classifier):
        raise ParamsError("evaluate.features: the images have no labels to train a classifier with: set it to auto")
    if params.features in ("auto", "classifier"):
        return lambda pixels: classifiers.look(eye, inference.to_unit(pixels))
    arrays, _ = artifacts.read_model(paths.model(params.features))
    components, mean = torch.tensor(arrays["components"][: len(arrays["deviations"])]), torch.tensor(arrays["mean"])

    def look(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        units = inference.to_unit(pixels)
        return (units.flatten(1) - mean) @ components.T, classifiers.look(eye, units)[1]

    return look

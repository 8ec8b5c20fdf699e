"""How good images are: one judge for every row, at equal terms."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentbench import inference, seeding, threads
from latentbench.core import artifacts
from latentbench.data.dataset import Dataset
from latentbench.evaluation import samples
from latentbench.evaluation.likelihood import mean_with_interval
from latentbench.methods.base import Bound
from latentbench.neighbors.search import nearest
from latentbench.params.base import ParamsError
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.project import Project
from stages import classifiers, lifecycle, paths, sample_scores, sizes
from stages.classifiers import Eye
from stages.sample_scores import SampleScores

_N_SHOWN = 100


@dataclass(frozen=True)
class Judged:
    """What a judge says of images; `SampleScores` explains what it holds."""

    scores: dict[str, Any]
    left_out: dict[str, np.ndarray]
    outcomes: dict[str, np.ndarray]


class Judge:
    """An eye, and what it sees in the held-out images that every row is compared with.

    Args:
        see: maps uint8 images (n, c, h, w) to features (n, d) float32.
        classify: maps them to class probabilities (n, n_classes); None where there are no classes.
        dataset: whose test images are the target.
        params: of the stage.
        seed: of all that is drawn.
        n: images that rows are judged by, at most.
    """

    def __init__(
        self,
        see: Callable[[Tensor], Tensor],
        classify: Callable[[Tensor], Tensor] | None,
        dataset: Dataset,
        params: EvaluateParams,
        seed: int,
        n: int,
    ) -> None:
        self._see, self._classify = see, classify
        self._dataset, self._params, self._seed = dataset, params, seed
        generator = seeding.numpy_generator(seed, "evaluate", "target")
        chosen = generator.choice(len(dataset.test_images), min(n, len(dataset.test_images)), replace=False)
        target = dataset.test_images[chosen]
        self._target = self._features(target)
        self._sharpness = samples.sharpness(target / 255.0)
        self._distance = self._to_train(target, "test images")
        # Intervals of two runs are paired where they left out the same groups of the same images.
        groups = self._generator("jackknife").permutation(len(chosen))
        parts = (target.tobytes(), groups.astype(np.int64).tobytes(), str(params.n_groups).encode())
        self.target = hashlib.sha256(b"".join(parts)).hexdigest()[:12]

    def judge(
        self,
        row: str,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        from_train: bool = False,
    ) -> Judged:
        """Return the scores of a row, and what intervals of their differences to another run's are made of.

        Args:
            row: for progress bars.
            images: (n, c, h, w) uint8, no more than there are held-out ones; they are compared with as many.
            labels: (n,) the classes that they are of; None leaves that to the judge.
            from_train: they are train images, whose nearest train images are themselves.
        """
        params, n = self._params, len(images)
        # Half of a small dataset's validation images may be fewer than the groups that are asked for.
        n_groups = sizes.at_most("evaluate.n_groups", params.n_groups, n // 2, f"of {n} images of {row}")
        features, target = self._features(images), self._target[:n]
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
        if self._classify is not None:
            probabilities = inference.apply(self._classify, torch.tensor(images))
            guessed = probabilities.argmax(dim=1).numpy()
            outcomes["confident_share"] = (probabilities.max(dim=1).values > samples.CONFIDENT).numpy()
            outcomes["cas"] = self._taught_by(images, guessed if labels is None else labels)
            counts = np.bincount(guessed, minlength=probabilities.shape[1])[np.unique(self._dataset.train_labels)]
            found |= {"classes_present": int((counts > 0).sum()), "rarest_class_share": float(counts.min() / n)}
        estimates = {
            "frechet": frechet,
            "kernel_distance": kernel,
            "density": density,
            "coverage": coverage,
            "sharpness": self._ratio(samples.sharpness(images / 255.0), self._sharpness),
        }
        if not from_train:
            estimates["nearest_train"] = self._ratio(self._to_train(images, row), self._distance)
        left_out = {name: np.array(estimate.left_out) for name, estimate in estimates.items()}
        estimates |= {name: mean_with_interval(torch.tensor(each).double()) for name, each in outcomes.items()}
        for name, estimate in estimates.items():
            found |= {name: estimate.value, f"{name}_lo": estimate.low, f"{name}_hi": estimate.high}
        return Judged(found, left_out, outcomes)

    def _features(self, images: np.ndarray) -> np.ndarray:
        features: np.ndarray = inference.apply(self._see, torch.tensor(images)).numpy()
        return features

    def _to_train(self, images: np.ndarray, what: str) -> np.ndarray:
        """Return the distances (n,), between pixels, from images to the train image that is nearest to each."""
        points = images.reshape(len(images), -1) / np.float32(255)
        return nearest(points, self._dataset.train_points, 1, label=f"{what}: nearest train").distances[:, 0]

    def _ratio(self, values: np.ndarray, target: np.ndarray) -> samples.Estimate:
        generator = self._generator("jackknife")
        n_groups = min(self._params.n_groups, len(values) // 2)
        return samples.ratio_estimate(values, target[: len(values)], n_groups, generator)

    def _taught_by(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return which of all test images a classifier that these taught gets right, (n,) (Ravuri & Vinyals 2019).

        It is a linear one. A network would tell more, but where it stops, and so its score, depends on how a processor
        rounds.
        """
        from latentbench.evaluation import probe  # imports scikit-learn, which images without labels do not need

        test = self._dataset.test_points
        taught = np.unique(labels)
        if len(taught) == 1:
            return np.asarray(self._dataset.test_labels == taught[0])
        points = images.reshape(len(images), -1) / np.float32(255)
        return np.asarray(probe.predictions(points, labels, test) == self._dataset.test_labels)

    def _generator(self, name: str) -> np.random.Generator:
        return seeding.numpy_generator(self._seed, "evaluate", name)


@dataclass(frozen=True)
class Session:
    """A stage that judges, while it runs.

    Attributes:
        project: those at the top level.
        params: those of `evaluate`.
        dataset: whose test images rows are compared with.
    """

    project: Project
    params: EvaluateParams
    dataset: Dataset

    def n(self, n_drawn: int) -> int:
        """Return by how many images every row is judged, where each generator drew so many."""
        return min(len(self.dataset.test_images), len(self.dataset.train_images), n_drawn)

    def judge(self, n: int) -> Judge:
        """Return the judge of rows of n images."""
        see, classify = _eye(classifiers.load(), self.params)
        return Judge(see, classify, self.dataset, self.params, self.project.seed, n)

    def keep(
        self,
        row: str,
        judge: Judge,
        images: np.ndarray,
        judged: Judged,
        calls: int | None = None,
        bound: Bound | None = None,
    ) -> None:
        """Write what was judged of a row.

        Args:
            row: its name in the table.
            judge: that judged it.
            images: (n, c, h, w) uint8, which it judged.
            judged: what it said.
            calls: of the network, for each image; None where no network draws them.
            bound: on the likelihood of the test images, of a model that has one.
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
            judge.target,
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
    """Do for a stage that judges what `lifecycle.stage` does for all."""
    with lifecycle.stage(name, row) as view:
        project, params = view.section(Project), view.section(EvaluateParams, "evaluate")
        threads.use(project.threads)
        yield Session(project, params, Dataset(paths.PROCESSED))


def _eye(eye: Eye, params: EvaluateParams) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor] | None]:
    """Return what maps uint8 images to features, and what maps them to class probabilities; None without classes.

    Raises:
        ParamsError: a classifier's features are asked for, and there is none.
    """
    of_units = classifiers.probabilities(eye)
    classify = None if of_units is None else lambda pixels: of_units(inference.to_unit(pixels))
    if params.features == "classifier" and classify is None:
        raise ParamsError("evaluate.features: the images have no labels to train a classifier with: take auto")
    if params.features in ("auto", "classifier"):
        return lambda pixels: eye.features(inference.to_unit(pixels)), classify
    arrays, _ = artifacts.read_model(paths.model(params.features))
    components, mean = torch.tensor(arrays["components"][: len(arrays["deviations"])]), torch.tensor(arrays["mean"])
    return lambda pixels: (inference.to_unit(pixels).flatten(1) - mean) @ components.T, classify

"""How good generated images are: one judge for every row, at equal terms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from latentbench import inference, seeding, training
from latentbench.data.dataset import Dataset
from latentbench.evaluation import samples
from latentbench.evaluation.likelihood import mean_with_interval
from latentbench.neighbors.search import nearest
from latentbench.networks.classifier import Classifier
from latentbench.params.evaluate import EvaluateParams

# The pupil's own recipe: what is compared is what it learns from, not how.
_PUPIL_BATCH, _PUPIL_RATE = 64, 2e-3


class Judge:
    """An eye, and what it sees in the held-out images that every row is compared with.

    Args:
        see: maps uint8 images (n, height, width) to features (n, d) float32.
        classify: maps them to class probabilities (n, n_classes).
        dataset: whose test images are the target.
        params: of the stage.
        seed: of all that is drawn.
        n: images that rows are judged by, at most.
    """

    def __init__(
        self,
        see: Callable[[Tensor], Tensor],
        classify: Callable[[Tensor], Tensor],
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

    def scores(
        self,
        row: str,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        from_train: bool = False,
        validates: bool = False,
    ) -> dict[str, Any]:
        """Return the scores of a row by name.

        Args:
            row: for progress bars.
            images: (n, height, width) uint8, no more than there are held-out ones; they are compared with as many.
            labels: (n,) the classes that they are of; None leaves that to the judge.
            from_train: they are train images, whose nearest train images are themselves.
            validates: they are the images by which what a classifier learns is chosen, so it is not taught by them.
        """
        params, n = self._params, len(images)
        features, target = self._features(images), self._target[:n]
        # The same groups for every row, so that the held-out images contribute the same to each interval.
        frechet, kernel = (
            estimate(features, target, params.n_groups, self._generator("jackknife"))
            for estimate in (samples.frechet_estimate, samples.kernel_estimate)
        )
        density, coverage = samples.density_and_coverage(
            target, features, params.coverage_k, params.n_groups, self._generator("jackknife")
        )
        probabilities = inference.apply(self._classify, torch.tensor(images))
        guessed = probabilities.argmax(dim=1).numpy()
        estimates = {
            "frechet": frechet,
            "kernel_distance": kernel,
            "density": density,
            "coverage": coverage,
            "sharpness": self._ratio(samples.sharpness(images / 255.0), self._sharpness),
            "confident_share": mean_with_interval((probabilities.max(dim=1).values > samples.CONFIDENT).double()),
        }
        if not from_train:
            estimates["nearest_train"] = self._ratio(self._to_train(images, row), self._distance)
        if not validates:
            correct = self._taught_by(images, guessed if labels is None else labels)
            estimates["cas"] = mean_with_interval(torch.tensor(correct).double())
        found: dict[str, Any] = {"n": n}
        for name, estimate in estimates.items():
            found |= {name: estimate.value, f"{name}_lo": estimate.low, f"{name}_hi": estimate.high}
        counts = np.bincount(guessed, minlength=probabilities.shape[1])[np.unique(self._dataset.train_labels)]
        return found | {
            "classes_present": int((counts > 0).sum()),
            "rarest_class_share": counts.min() / n,
        }

    def _features(self, images: np.ndarray) -> np.ndarray:
        features: np.ndarray = inference.apply(self._see, torch.tensor(images)).numpy()
        return features

    def _to_train(self, images: np.ndarray, what: str) -> np.ndarray:
        """Return the distances (n,), between pixels, from images to the train image that is nearest to each."""
        points = images.reshape(len(images), -1) / np.float32(255)
        return nearest(points, self._dataset.train_points, 1, label=f"{what}: nearest train").distances[:, 0]

    def _ratio(self, values: np.ndarray, target: np.ndarray) -> samples.Estimate:
        generator = self._generator("jackknife")
        return samples.ratio_estimate(values, target[: len(values)], self._params.n_groups, generator)

    def _taught_by(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return which of all test images a classifier trained on these gets right, (n,) (Ravuri & Vinyals 2019).

        It is the best of its epochs by the validation images, which are real and no test images.
        """
        height, width = images.shape[1:]
        torch.manual_seed(seeding.derive(self._seed, "evaluate", "pupil"))
        pupil = Classifier(height, width, len(self._dataset.classes))

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            pixels, truth = batch.tensors
            return {"loss": functional.cross_entropy(pupil(inference.to_unit(pixels)), truth)}

        lesson = [torch.tensor(images), torch.tensor(labels).long()]
        real = self._dataset.validation_index
        exam = [
            torch.tensor(self._dataset.train_images[real]),
            torch.tensor(self._dataset.train_labels[real]).long(),
        ]
        plan = training.Plan(self._params.cas_epochs, _PUPIL_BATCH, _PUPIL_RATE, "cosine")
        seed = seeding.derive(self._seed, "evaluate", "lessons")
        for _ in training.fit(pupil, loss, lesson, exam, plan, seed):
            pass
        told = inference.apply(
            lambda batch: pupil(inference.to_unit(batch)).argmax(dim=1), torch.tensor(self._dataset.test_images)
        )
        return np.asarray(told.numpy() == self._dataset.test_labels)

    def _generator(self, name: str) -> np.random.Generator:
        return seeding.numpy_generator(self._seed, "evaluate", name)

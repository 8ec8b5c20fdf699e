"""The judge of generated images at known answers: real images, noise, one image repeated, half of the classes, blur."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from latentbench.core import artifacts
from latentbench.data.dataset import Dataset
from latentbench.params.base import validate
from latentbench.params.evaluate import EvaluateParams
from stages import sample_scores
from stages.judging import Judge, Target
from stages.sample_scores import SampleScores, SampleScoresError

N = 600
PARAMS = {
    "k_max": 5,
    "n_bootstrap": 100,
    "n_groups": 20,
    "raw_l1": False,
    "importance_samples": 1,
    "bound_draws": 1,
    "features": "classifier",
    "coverage_k": 5,
    "likelihood_images": 10,
}


@pytest.fixture(scope="module")
def dataset(images: np.ndarray, labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return 4,000 train images, of which 400 validate, and 2,000 test images, all of them real."""
    folder: Path = tmp_path_factory.mktemp("processed")
    parts = {"train": slice(0, 4000), "test": slice(4000, 6000)}
    for name, part in parts.items():
        artifacts.write_array(folder / f"{name}_images.npy", images[part])
        artifacts.write_array(folder / f"{name}_labels.npy", labels[part])
    artifacts.write_array(folder / "val_index.npy", np.arange(0, 4000, 10))
    artifacts.write_json(folder / "dataset.json", {"classes": [str(label) for label in range(10)], "labelled": True})
    return Dataset(folder)


@pytest.fixture(scope="module")
def judge(dataset: Dataset) -> Judge:
    """Return a judge that sees every other line of pixels, and tells classes by their means."""

    def see(pixels: Tensor) -> Tensor:
        return pixels[:, :, ::2].flatten(1).float() / 255.0

    of_train = see(torch.tensor(dataset.train_images))
    means = torch.stack([of_train[torch.tensor(dataset.train_labels == label)].mean(dim=0) for label in range(10)])

    def look(pixels: Tensor) -> tuple[Tensor, Tensor]:
        return (seen := see(pixels)), (-torch.cdist(seen, means)).softmax(dim=1)

    return Judge(look, dataset, validate(EvaluateParams, PARAMS), 0, N)


@pytest.fixture(scope="module")
def real(judge: Judge, dataset: Dataset) -> dict[str, float]:
    """Return the scores of real images that are neither the target's nor trained on."""
    return judge.judge("real", dataset.train_images[:N], dataset.train_labels[:N], from_train=True).scores


def test_what_is_kept_of_the_test_images_judges_as_they_do(
    judge: Judge, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(artifacts.ArtifactError, match=r"data/target"):
        Target.read()
    judge.target.write()
    kept = Target.read()
    assert len(kept.features) == len(kept.sharpness) == len(kept.distances) == N
    other = Judge(judge._look, dataset, validate(EvaluateParams, PARAMS), 0, kept)
    images = dataset.train_images[-100:]
    expected, found = judge.judge("row", images), other.judge("row", images)
    assert (found.scores, other.target.key) == (expected.scores, judge.target.key)


def test_real_images_are_as_good_as_can_be(real: dict[str, float]) -> None:
    assert real["n"] == N
    assert real["coverage"] > 0.9
    assert real["density"] == pytest.approx(1, abs=0.1)
    assert real["sharpness"] == pytest.approx(1, abs=0.1)
    assert real["classes_present"] == 10
    assert real["cas"] > 0.6
    assert "nearest_train" not in real


def test_noise_is_none_of_that(judge: Judge, real: dict[str, float], rng: np.random.Generator) -> None:
    noise = judge.judge("noise", rng.integers(256, size=(N, 1, 28, 28)).astype(np.uint8)).scores
    assert noise["frechet"] > 20 * real["frechet"]
    assert noise["kernel_distance"] > 20 * abs(real["kernel_distance"])
    assert noise["density"] == noise["coverage"] == 0
    assert noise["sharpness"] > 3
    assert noise["nearest_train"] > 1.5
    assert noise["cas"] < real["cas"] - 0.3


def test_one_image_repeated_covers_next_to_nothing(judge: Judge, dataset: Dataset, real: dict[str, float]) -> None:
    one = judge.judge("one", np.repeat(dataset.train_images[:1], N, axis=0)).scores
    assert one["frechet"] > 5 * real["frechet"]
    assert one["coverage"] < 0.05
    assert one["classes_present"] == 1
    assert one["nearest_train"] == 0, "it is in the train images"
    assert one["cas"] == pytest.approx(0.1, abs=0.03)


def test_half_of_the_classes_is_half_a_cover(judge: Judge, dataset: Dataset, real: dict[str, float]) -> None:
    some = np.flatnonzero(dataset.train_labels < 5)[:N]
    half = judge.judge("half", dataset.train_images[some], dataset.train_labels[some], from_train=True).scores
    assert 0.4 < half["coverage"] < 0.8 < real["coverage"]
    assert half["density"] > 0.6, "what is there is good"
    assert half["cas"] == pytest.approx(real["cas"] / 2, abs=0.12)


def test_blur_cannot_hide(judge: Judge, dataset: Dataset) -> None:
    images = dataset.train_images[:N] / 4
    blurred = images + np.roll(images, 1, axis=2) + np.roll(images, 1, axis=3) + np.roll(images, (1, 1), axis=(2, 3))
    judged = judge.judge("blur", blurred.astype(np.uint8))
    assert judged.scores["sharpness"] < 0.7
    # What two runs are compared by is there, and is what the scores are made of.
    with_intervals = {name.removesuffix("_lo") for name in judged.scores if name.endswith("_lo")}
    assert {*judged.left_out, *judged.outcomes} == with_intervals
    for name, values in judged.outcomes.items():
        assert values.mean() == pytest.approx(judged.scores[name])
    for name, values in judged.left_out.items():
        low, value, high = (judged.scores[f"{name}{end}"] for end in ("_lo", "", "_hi"))
        half_width = max(high - value, value - low)  # one end may be cut off
        assert len(values) == PARAMS["n_groups"]
        assert 2.093 * np.sqrt(19 / 20 * np.square(values - values.mean()).sum()) == pytest.approx(half_width, rel=0.01)


def scored(n: int, judge: str = "a") -> SampleScores:
    return SampleScores({"n": n}, judge, "target", np.zeros((1, 1, 2, 2), dtype=np.uint8), {}, {})


def test_rows_at_unequal_terms_are_refused() -> None:
    equal = {"real": scored(100), "real_validation": scored(60), "vae": scored(100)}
    sample_scores.check_equal_terms(equal)
    with pytest.raises(SampleScoresError, match=r"unequal numbers of images \(real 100, real_validation 60, vae 90\)"):
        sample_scores.check_equal_terms(equal | {"vae": scored(90)})
    with pytest.raises(SampleScoresError, match=r"different classifiers \(a, b\)"):
        sample_scores.check_equal_terms(equal | {"vae": scored(100, "b")})


def test_what_was_judged_is_read_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    groups, right = {"frechet": np.array([1.0, 1 / 3])}, {"cas": np.array([True, False])}
    wrote = SampleScores(
        {"n": 2, "frechet": 1 / 3}, "a", "t", shown, groups, right, {"n": 2}, "bernoulli", np.array([0.1])
    )
    for row in ("diffusion", "diffusion_guided", "vae", "vae+mixture"):
        sample_scores.write(row, wrote)
    assert sample_scores.read_all(["vae", "vae+mixture"]).keys() == {"vae", "vae+mixture"}
    found = sample_scores.read_all(["diffusion"])
    assert list(found) == ["diffusion", "diffusion_guided"]
    read = found["diffusion_guided"]
    assert (read.scores, read.bound, read.likelihood) == (wrote.scores, wrote.bound, wrote.likelihood)
    for ours, theirs in (
        (read.shown, shown),
        (read.left_out["frechet"], groups["frechet"]),
        (read.outcomes["cas"], right["cas"]),
        (read.kl_per_latent, wrote.kl_per_latent),
    ):
        np.testing.assert_array_equal(ours, theirs, strict=True)

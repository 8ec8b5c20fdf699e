"""Score every representation and every generator at equal terms, and write the comparison."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from latentbench import artifacts, figures, inference, seeding, threads
from latentbench.data.dataset import Dataset
from latentbench.evaluation import classification, likelihood, neighborhoods, reconstruction, samples, tables
from latentbench.neighbors import knn
from latentbench.neighbors.search import nearest
from latentbench.networks.classifier import Classifier
from latentbench.networks.vaes import VAE
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.project import Project
from stages import entry, models, paths

VAES = ("vae_dense", "vae_conv", "vae_residual")
CODERS = ("ae_dense", "ae_conv", "ae_residual", *VAES)
REPRESENTATIONS = ("raw", "pca", "isomap", *CODERS)
GENERATORS = (*VAES, "diffusion")
_FOLDER = paths.METRICS / "evaluate"
_N_SHOWN = 10
_NEIGHBORHOODS = (5, 15, 50)  # sizes for trustworthiness and continuity; the comparison shows the middle one


def main() -> None:
    """Run the stage."""
    with entry.stage("evaluate") as view:
        project, params = view.section(Project), view.section(EvaluateParams, "evaluate")
        threads.use(project.threads)
        dataset = Dataset(paths.PROCESSED)
        classifier = models.load_classifier()
        generators = _compare_generators(dataset, classifier, project, params)
        representations = _compare_representations(dataset, project, params)
        _compare_likelihoods(dataset, project, params)
        judged = inference.apply(
            lambda batch: classifier(inference.to_unit(batch)).argmax(dim=1),
            torch.tensor(dataset.test_images),
        )
        headline = {
            "classifier_accuracy": float(np.mean(judged.numpy() == dataset.test_labels)),
            "knn": {row: scores["knn_accuracy"] for row, scores in representations.items()},
            "mse": {row: scores["mse"] for row, scores in representations.items() if "mse" in scores},
            "frechet": {row: scores["frechet"] for row, scores in generators.items()},
        }
        artifacts.write_metrics(paths.METRICS / "headline.json", headline)


def _compare_representations(dataset: Dataset, project: Project, params: EvaluateParams) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    weights: dict[str, str] = {}
    correct = []
    curves: dict[str, np.ndarray] = {}
    names = (*REPRESENTATIONS, "raw_l1") if params.raw_l1 else REPRESENTATIONS
    for row in names:
        train, test = (_representation(row, split, dataset, project) for split in ("train", "test"))
        choice, predicted = _classify(row, train, test, dataset, params.k_max)
        report = classification.report(np.asarray(dataset.test_labels), predicted, dataset.classes)
        if row in REPRESENTATIONS:  # what dvc.yaml declares
            table = classification.confusions(np.asarray(dataset.test_labels), predicted, dataset.classes)
            artifacts.write_table(_FOLDER / "confusion" / f"{row}.csv", table)
            artifacts.write_table(_FOLDER / "classification" / f"{row}.csv", report)
        correct.append(predicted == dataset.test_labels)
        curves |= {f"{row}_{name}": scores for name, scores in choice.accuracies.items()}
        weights[row] = choice.weights
        rows[row] = {
            "dims": train.shape[1],
            "knn_k": choice.k,
            "knn_leave_one_out": choice.accuracy,
            "macro_f1": report.set_index("class").loc["macro", "f1"],
        }
    for row, scores in _neighborhoods(dataset, project).items():
        rows[row] |= scores
    accuracies = np.mean(correct, axis=1)
    resampled = classification.bootstrap_means(
        np.stack(correct, axis=1),
        params.n_bootstrap,
        seeding.numpy_generator(project.seed, "evaluate", "bootstrap"),
    )
    raw = names.index("raw")
    for column, row in enumerate(names):
        low, high = classification.interval(resampled[:, column])
        rows[row] |= {
            "knn_accuracy": accuracies[column],
            "knn_accuracy_lo": low,
            "knn_accuracy_hi": high,
        }
        if row != "raw":
            low, high = classification.interval(resampled[:, column] - resampled[:, raw])
            rows[row] |= {
                "knn_minus_raw": accuracies[column] - accuracies[raw],
                "knn_minus_raw_lo": low,
                "knn_minus_raw_hi": high,
            }
    reconstructions = _reconstructions(dataset, project.latent_dim)
    for row, images in reconstructions.items():
        clipped = images.clip(0, 1)  # what can be shown: PCA's leave the range for which these two scores are made
        rows[row] |= {
            "mse": reconstruction.mean_squared_error(dataset.test_images, images),
            "psnr": reconstruction.psnr(dataset.test_images, clipped),
            "ssim": reconstruction.ssim(dataset.test_images, clipped),
        }

    _write_comparison("representations", rows, {"knn_weights": weights})
    table = pd.DataFrame({"k": np.arange(1, len(next(iter(curves.values()))) + 1), **curves})
    artifacts.write_table(_FOLDER / "knn_choice.csv", table)
    grid = [dataset.test_images[:_N_SHOWN] / 255.0]
    grid += [images[:_N_SHOWN] for images in reconstructions.values()]
    figure = figures.image_grid(np.stack(grid).clip(0, 1), ["original", *reconstructions])
    artifacts.write_figure(_FOLDER / "reconstructions.png", figure)
    figure = _intervals(rows, "knn_accuracy", "kNN accuracy on the test images, 95% interval")
    artifacts.write_figure(_FOLDER / "knn_accuracy.png", figure)
    return rows


def _classify(
    row: str, train: np.ndarray, test: np.ndarray, dataset: Dataset, k_max: int
) -> tuple[knn.Choice, np.ndarray]:
    """Choose k and weights by leave-one-out on train; return the choice and the labels (n,) that it gives to test."""
    labels, p = np.asarray(dataset.train_labels), 1 if row == "raw_l1" else 2
    others = nearest(train, train, k_max, p=p, exclude_self=True, label=f"{row}: choosing k")
    choice = knn.choose(others, labels, len(dataset.classes))
    classifier = knn.KNeighborsClassifier(choice.k, weights=choice.weights, p=p).fit(train, labels)
    return choice, classifier.predict(test)


def _neighborhoods(dataset: Dataset, project: Project) -> dict[str, dict[str, float]]:
    """Write how well each representation keeps neighbourhoods of the test images; return it for the middle size."""
    spaces = {row: _representation(row, "test", dataset, project) for row in REPRESENTATIONS}
    near = {
        row: nearest(space, space, max(_NEIGHBORHOODS), exclude_self=True, label=f"{row}: neighbourhoods").indices
        for row, space in spaces.items()
    }
    embedded = [row for row in REPRESENTATIONS if row != "raw"]
    there = neighborhoods.ranks(spaces["raw"], [near[row] for row in embedded], "raw: ranks")
    lines, middle = [], {}
    for row, ranked in zip(embedded, there, strict=True):
        (back,) = neighborhoods.ranks(spaces[row], [near["raw"]], f"{row}: ranks")
        for k in _NEIGHBORHOODS:
            trust, continuity = (neighborhoods.kept_share(each, k, len(ranked)) for each in (ranked, back))
            lines.append((row, k, trust, continuity))
            if k == _NEIGHBORHOODS[1]:
                middle[row] = {"trustworthiness": trust, "continuity": continuity}
    table = pd.DataFrame(lines, columns=["row", "k", "trustworthiness", "continuity"])
    artifacts.write_table(_FOLDER / "neighborhoods.csv", table)
    return middle


def _representation(row: str, split: str, dataset: Dataset, project: Project) -> np.ndarray:
    if row in ("raw", "raw_l1"):
        return dataset.train_points if split == "train" else dataset.test_points
    embedding = artifacts.read_array(paths.embedding(row, split))
    return embedding[:, : project.latent_dim] if row == "pca" else embedding


def _reconstructions(dataset: Dataset, latent_dim: int) -> dict[str, np.ndarray]:
    """Return the test images as each row that can rebuild them does, (n, height, width) in about [0, 1]."""
    arrays, _ = artifacts.read_model(paths.model("pca"))
    scores = artifacts.read_array(paths.embedding("pca", "test"))[:, :latent_dim]
    flat = scores @ arrays["components"][:latent_dim] + arrays["mean"]
    rebuilt = {"pca": flat.reshape(dataset.test_images.shape)}
    for row in CODERS:
        latents = torch.tensor(artifacts.read_array(paths.embedding(row, "test")))
        rebuilt[row] = inference.apply(models.load_coder(row).decode, latents).numpy()
    return rebuilt


def _compare_generators(
    dataset: Dataset, classifier: Classifier, project: Project, params: EvaluateParams
) -> dict[str, dict[str, Any]]:
    generator = seeding.numpy_generator(project.seed, "evaluate", "real")
    drawn = {row: artifacts.read_array(paths.samples(row)) for row in GENERATORS}
    n = min(len(dataset.test_images), len(dataset.train_images), *(len(images) for images in drawn.values()))
    chosen = np.sort(generator.choice(len(dataset.train_images), n, replace=False))
    drawn = {"real": dataset.train_images[chosen], **drawn}
    held_out = np.sort(generator.choice(len(dataset.test_images), n, replace=False))
    target, _ = _judge(classifier, dataset.test_images[held_out])

    real_classes = np.unique(dataset.train_labels)
    rows: dict[str, dict[str, Any]] = {}
    for row, images in drawn.items():
        features, probabilities = _judge(classifier, images[:n])
        # The same groups for every row, so that the reference images contribute the same to each interval.
        groups = seeding.numpy_generator(project.seed, "evaluate", "jackknife")
        distance = samples.frechet_estimate(features, target, params.n_groups, groups)
        counts = np.bincount(probabilities.argmax(axis=1), minlength=len(dataset.classes))[real_classes]
        rows[row] = {
            "n": n,
            "frechet": distance.value,
            "frechet_lo": distance.low,
            "frechet_hi": distance.high,
            "confident_share": np.mean(probabilities.max(axis=1) > samples.CONFIDENT),
            "classes_present": int((counts > 0).sum()),
            "rarest_class_share": counts.min() / n,
        }
    # Distances in the features of different classifiers must never be compared: the hash tells them apart.
    judge = artifacts.model_hash(paths.model("classifier"))
    _write_comparison("generators", rows, {"classifier": dict.fromkeys(rows, judge)})
    grid = np.stack([images[:_N_SHOWN] for images in drawn.values()])
    artifacts.write_figure(_FOLDER / "samples.png", figures.image_grid(grid, list(drawn)))
    for row in GENERATORS:
        square = drawn[row][: _N_SHOWN**2].reshape(_N_SHOWN, _N_SHOWN, *drawn[row].shape[1:])
        figure = figures.image_grid(square, title=f"{row}: samples, not selected")
        artifacts.write_figure(_FOLDER / "samples" / f"{row}.png", figure)
    way = artifacts.read_array(paths.samples("diffusion_steps")).swapaxes(0, 1)
    title = "diffusion: the estimate of the image as sampling goes on"
    artifacts.write_figure(_FOLDER / "diffusion_steps.png", figures.image_grid(way, title=title))
    figure = _intervals(rows, "frechet", "Fréchet distance to held-out real images, 95% interval")
    artifacts.write_figure(_FOLDER / "frechet.png", figure)
    return rows


def _compare_likelihoods(dataset: Dataset, project: Project, params: EvaluateParams) -> None:
    """Write the parts of each VAE's loss on test images; where it bounds a likelihood, that bound and a tighter one.

    Binary cross-entropy on grey pixels bounds none: such a row has neither.
    """
    images = inference.to_unit(torch.tensor(dataset.test_images))
    few = images[: params.likelihood_images]
    rows: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    kl_per_latent: dict[str, np.ndarray] = {}
    for row in VAES:
        network = models.load_coder(row)
        assert isinstance(network, VAE)
        generator = seeding.torch_generator(project.seed, "evaluate", "likelihood", row)
        parts = likelihood.parts(network, images, generator)
        rows[row] = {
            "n": len(images),
            "reconstruction_nats": parts.reconstruction.mean().item(),
            "kl_nats": parts.kl.sum(dim=1).mean().item(),
            "active_units": parts.active_units(),
        }
        if likelihood.is_proper(network.likelihood, images):
            tighter = likelihood.importance_bounds(
                network, few, params.importance_samples, generator, label=f"{row}: importance samples"
            )
            nats = {
                "bits_per_dim": -parts.bounds(),
                "bits_per_dim_importance": -tighter,
                "importance_gain": tighter - parts.bounds()[: len(few)],  # on the same images
            }
            rows[row] |= {"elbo_nats": parts.bounds().mean().item(), "n_importance": len(few)}
            for name, values in nats.items():
                bits = likelihood.mean_with_interval(likelihood.bits_per_dim(values, images[0].numel()))
                rows[row] |= {name: bits.value, f"{name}_lo": bits.low, f"{name}_hi": bits.high}
        names[row] = network.likelihood.name
        kl_per_latent[row] = parts.kl.mean(dim=0).sort(descending=True).values.numpy()
    _write_comparison("likelihoods", rows, {"likelihood": names})
    table = pd.DataFrame({"rank": np.arange(1, project.latent_dim + 1), **kl_per_latent})
    artifacts.write_table(_FOLDER / "kl_per_latent.csv", table)


def _judge(classifier: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the classifier's features and class probabilities of uint8 images."""
    pixels = torch.tensor(images)
    features = inference.apply(lambda batch: classifier.features(inference.to_unit(batch)), pixels)
    probabilities = inference.apply(lambda batch: classifier.to_logits(batch).softmax(dim=1), features)
    return features.numpy(), probabilities.numpy()


def _intervals(rows: Mapping[str, Mapping[str, Any]], score: str, name: str) -> Figure:
    values, lows, highs = (np.array([rows[row][f"{score}{end}"] for row in rows]) for end in ("", "_lo", "_hi"))
    return figures.dots_with_intervals(list(rows), values, lows, highs, name)


def _write_comparison(name: str, rows: Mapping[str, Mapping[str, Any]], words: Mapping[str, Mapping[str, str]]) -> None:
    """Write a comparison for machines (JSON: numbers only, CSV) and for people (Markdown)."""
    artifacts.write_metrics(_FOLDER / f"{name}.json", rows)
    table = pd.DataFrame.from_dict(dict(rows), orient="index").assign(**{k: pd.Series(v) for k, v in words.items()})
    table = table.rename_axis("row").reset_index()
    artifacts.write_table(_FOLDER / f"{name}.csv", table)
    # From the file, so that the same digits are rounded wherever this table is shown.
    artifacts.write_text(_FOLDER / f"{name}.md", tables.markdown(artifacts.read_table(_FOLDER / f"{name}.csv")))


if __name__ == "__main__":
    main()

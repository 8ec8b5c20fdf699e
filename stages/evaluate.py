"""Score every representation and every generator at equal terms, and write the comparison."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentbench import artifacts, figures, inference, seeding, threads
from latentbench.data.dataset import Dataset
from latentbench.diffusion import bounds, samplers
from latentbench.diffusion import models as diffusion_models
from latentbench.evaluation import classification, likelihood, neighborhoods, reconstruction, tables
from latentbench.neighbors import knn
from latentbench.neighbors.search import nearest
from latentbench.networks.classifier import Classifier
from latentbench.networks.vaes import VAE
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.project import Project
from stages import entry, models, paths
from stages.judging import Judge

VAES = ("vae_dense", "vae_conv", "vae_residual")
CODERS = ("ae_dense", "ae_conv", "ae_residual", *VAES)
REPRESENTATIONS = ("raw", "pca", "isomap", *CODERS)
DIFFUSIONS = ("diffusion", "diffusion_latent")
GENERATORS = (*VAES, *DIFFUSIONS)
_FOLDER = paths.METRICS / "evaluate"
_N_SHOWN = 10
_N_BOUND_LEVELS = 1000  # steps of the chain that bounds a diffusion model's likelihood
_NEIGHBORHOODS = (5, 15, 50)  # sizes for trustworthiness and continuity; the comparison shows the middle one


def main() -> None:
    """Run the stage."""
    with entry.stage("evaluate") as view:
        project, params = view.section(Project), view.section(EvaluateParams, "evaluate")
        threads.use(project.threads)
        dataset = Dataset(paths.PROCESSED)
        classifier = models.load_classifier()
        bits_per_dim = _compare_likelihoods(dataset, project, params)
        generators = _compare_generators(dataset, classifier, project, params, bits_per_dim)
        representations = _compare_representations(dataset, project, params)
        _compare_inpainting(dataset)
        judged = inference.apply(
            lambda batch: classifier(inference.to_unit(batch)).argmax(dim=1),
            torch.tensor(dataset.test_images),
        )
        headline = {
            "classifier_accuracy": float(np.mean(judged.numpy() == dataset.test_labels)),
            "knn": {row: scores["knn_accuracy"] for row, scores in representations.items()},
            "mse": {row: scores["mse"] for row, scores in representations.items() if "mse" in scores},
            "frechet": {row: generators[row]["frechet"] for row in ("real", *GENERATORS)},
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
    dataset: Dataset,
    classifier: Classifier,
    project: Project,
    params: EvaluateParams,
    bits_per_dim: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, Any]]:
    drawn = {row: artifacts.read_array(paths.samples(row)) for row in GENERATORS}
    labels: dict[str, np.ndarray] = {}
    calls: dict[str, int] = dict.fromkeys(VAES, 1)
    for row in DIFFUSIONS:
        description = artifacts.read_json(paths.model(row) / "model.json")
        calls[row] = samplers.n_calls(description["sampling"]["sampler"], description["sampling"]["calls"])
        guided = artifacts.read_array(paths.samples(f"{row}_guided"))
        if len(guided):
            drawn[f"{row}_guided"] = guided
            calls[f"{row}_guided"] = calls[row] * (1 if description["guidance"] == 1.0 else 2)
            labels[f"{row}_guided"] = np.arange(len(guided)) % len(dataset.classes)
    n = min(len(dataset.test_images), len(dataset.train_images), *(len(images) for images in drawn.values()))
    generator = seeding.numpy_generator(project.seed, "evaluate", "real")
    train = generator.choice(dataset.fit_index, min(n, len(dataset.fit_index)), replace=False)
    # The classifier has seen these; of those that it has not, there are fewer.
    unseen = dataset.validation_index[: min(n, len(dataset.validation_index))]
    real = {"real": train, "real_validation": unseen}
    labels |= {row: np.asarray(dataset.train_labels[chosen]) for row, chosen in real.items()}
    drawn = {**{row: dataset.train_images[chosen] for row, chosen in real.items()}, **drawn}

    judge = Judge(*_eye(classifier, params), dataset, params, project.seed, n)
    rows: dict[str, dict[str, Any]] = {}
    for row, images in drawn.items():
        known = labels[row][:n] if row in labels else None
        rows[row] = judge.scores(row, images[:n], known, from_train=row in real, validates=row == "real_validation")
        rows[row] |= {"calls": calls[row]} if row in calls else {}
        rows[row] |= bits_per_dim.get(row, {})
    # Distances in the features of different classifiers must never be compared: the hash tells them apart.
    seen_by = ("classifier",) if params.features == "classifier" else ("classifier", "pca")
    hashed = "+".join(artifacts.model_hash(paths.model(name)) for name in seen_by)
    _write_comparison("generators", rows, {"classifier": dict.fromkeys(rows, hashed)})
    grid = np.stack([images[:_N_SHOWN] for images in drawn.values()])
    artifacts.write_figure(_FOLDER / "samples.png", figures.image_grid(grid, list(drawn)), palette=True)
    for row in GENERATORS:
        square = drawn[row][: _N_SHOWN**2].reshape(_N_SHOWN, _N_SHOWN, *drawn[row].shape[1:])
        figure = figures.image_grid(square, title=f"{row}: samples, not selected")
        artifacts.write_figure(_FOLDER / "samples" / f"{row}.png", figure, palette=True)
    figure = _intervals(rows, "frechet", "Fréchet distance to held-out real images, 95% interval")
    artifacts.write_figure(_FOLDER / "frechet.png", figure)
    return rows


def _eye(
    classifier: Classifier, params: EvaluateParams
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return what maps uint8 images to features, and what maps them to class probabilities."""

    def classify(pixels: Tensor) -> Tensor:
        return torch.as_tensor(classifier(inference.to_unit(pixels)).softmax(dim=1))

    if params.features == "classifier":
        return lambda pixels: classifier.features(inference.to_unit(pixels)), classify
    arrays, _ = artifacts.read_model(paths.model("pca"))
    components, mean = torch.tensor(arrays["components"]), torch.tensor(arrays["mean"])
    return lambda pixels: (inference.to_unit(pixels).flatten(1) - mean) @ components.T, classify


def _compare_likelihoods(dataset: Dataset, project: Project, params: EvaluateParams) -> dict[str, dict[str, float]]:
    """Write the parts of each bound on test images, and for VAEs a tighter one; return the bits per dimension.

    Binary cross-entropy on grey pixels bounds no likelihood, and neither does a diffusion model on latents.
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
    rows["diffusion"], names["diffusion"] = _diffusion_bound(dataset, images, project, params), "discretized_logistic"
    _write_comparison("likelihoods", rows, {"likelihood": names})
    table = pd.DataFrame({"rank": np.arange(1, project.latent_dim + 1), **kl_per_latent})
    artifacts.write_table(_FOLDER / "kl_per_latent.csv", table)
    names_of_bits = ("bits_per_dim", "bits_per_dim_lo", "bits_per_dim_hi")
    return {row: {name: scores[name] for name in names_of_bits if name in scores} for row, scores in rows.items()}


def _diffusion_bound(
    dataset: Dataset, images: Tensor, project: Project, params: EvaluateParams
) -> dict[str, float | int]:
    """Return the bound of the diffusion model on pixels, in the same parts as a VAE's."""
    model, _ = diffusion_models.load(paths.model("diffusion"))
    generator = seeding.torch_generator(project.seed, "evaluate", "likelihood", "diffusion")
    levels = model.schedule.path(_N_BOUND_LEVELS, "log")[-2::-1]
    fitted_on = model.encode(torch.tensor(dataset.train_images[dataset.validation_index]))
    nats = bounds.fit_pixels(model.denoise(), fitted_on, levels[0], generator)
    found = bounds.bound(model.denoise(), model.space.encode(images), levels, nats, params.bound_draws, generator)
    bits = likelihood.mean_with_interval(likelihood.bits_per_dim(found.total(), images[0].numel()))
    return {
        "n": len(images),
        "reconstruction_nats": found.reconstruction.mean().item(),
        "kl_nats": (found.prior + found.denoising).mean().item(),
        "elbo_nats": -found.total().mean().item(),
        "bits_per_dim": bits.value,
        "bits_per_dim_lo": bits.low,
        "bits_per_dim_hi": bits.high,
    }


def _compare_inpainting(dataset: Dataset) -> None:
    """Write how well each model fills in the lower half of test images, beside filling in the mean train image.

    A VAE is given the image with that mean filled in.
    """
    drawn = {row: artifacts.read_array(paths.inpainted(row)) for row in DIFFUSIONS}
    n = min(images.shape[1] for images in drawn.values())
    originals = dataset.test_images[:n] / 255.0
    half = slice(originals.shape[1] // 2, None)
    filled = originals.copy()
    filled[:, half] = (dataset.train_images.mean(axis=0, dtype=np.float64) / 255.0)[half]
    fillings = {"mean": filled[None]}
    for row in VAES:
        rebuilt = inference.apply(models.load_coder(row), torch.tensor(filled, dtype=torch.float32))
        fillings[row] = rebuilt.numpy()[None]
    fillings |= {row: images[:, :n] / 255.0 for row, images in drawn.items()}
    lines = []
    for row, images in fillings.items():
        errors = np.square(images[:, :, half] - originals[:, half])
        mean_errors = np.square(images[:, :, half].mean(axis=0) - originals[:, half])
        lines.append((row, n, errors.mean(), mean_errors.mean(), images[:, :, half].std(axis=0).mean()))
    columns = ["row", "n", "mse", "mse_of_mean", "diversity"]
    artifacts.write_table(_FOLDER / "inpainting.csv", pd.DataFrame(lines, columns=columns))


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

"""Fit PCA to the train images: components, scores, variance, what a number of components is worth, and samples."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from latentbench import figures, seeding, threads
from latentbench.core import artifacts, progress
from latentbench.data.dataset import Dataset, to_unit
from latentbench.evaluation import classification, reconstruction, samples
from latentbench.neighbors import knn
from latentbench.params.project import Project
from latentbench.params.reduction import PCAParams
from latentbench.reduction import gaussian
from latentbench.reduction.pca import BLOCK, PCA
from stages import lifecycle, paths, principal, sizes

_N_SHOWN = 10
_DIRECTIONS = ("component", "class_share", "class_share_lo", "class_share_hi")
_COUNTS = ("components", "k", "weights", "leave_one_out", "test")
_K_MAX = 20  # of the classifier that judges numbers of components
_N_RESAMPLES = 1000  # of the test images, behind intervals


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    folder = paths.METRICS / row
    with lifecycle.stage("pca", row) as view:
        project = view.section(Project)
        threads.use(project.threads)
        dataset = Dataset(paths.PROCESSED)
        params = view.section(PCAParams, row)
        pixels, fit_index = dataset.train_pixels, dataset.fit_index
        n_components, shown = _fitting(row, params, len(fit_index), pixels.shape[1])
        _, scale = dataset.scaler
        started = time.perf_counter()
        of_images = principal.of_images(pixels, np.arange(len(pixels)))
        whole = {"plain": principal.fit(PCA(), of_images)}
        artifacts.write_json(paths.timing(f"fit@{row}"), {"seconds": round(time.perf_counter() - started, 3)})
        whole["standardized"] = principal.fit(PCA(scale=scale), of_images)
        fits = {name: fit.first(n_components) for name, fit in whole.items()}
        basis = "standardized" if params.standardize else "plain"
        fitted = fits[basis]
        train, test = (_embed(row, split, fitted, dataset) for split in ("train", "test"))
        # Kept so that scores times components give pixels, whether or not they were standardised.
        kept = {
            "mean": fitted.mean_,
            "components": whole[basis].components_ * fitted.scale_,  # all: `latent_dim` may be above n_components
            "deviations": np.sqrt(fitted.variances_[:n_components]),
        }
        image_shape = list(dataset.train_images.shape[1:])
        described = {"method": "pca", "standardize": params.standardize, "image_shape": image_shape}
        artifacts.write_model(paths.model(row), {**kept, "scale": fitted.scale_}, described)
        generator = seeding.numpy_generator(project.seed, row, "samples")
        drawn = gaussian.draw(
            kept["mean"], kept["components"][:n_components], kept["deviations"], project.n_samples, generator
        )
        artifacts.write_array(paths.samples(row), gaussian.to_pixels(drawn, image_shape))
        doublings = [2**i for i in range(n_components.bit_length())]
        counts = sorted({*doublings, n_components, *shown})
        rebuilt = _judge_reconstructions(counts, fits, basis, dataset)
        artifacts.write_table(folder / "reconstruction.csv", rebuilt)
        chosen = {"variance": fitted.components_for(params.variance_share)}
        if dataset.labelled:
            directions, judged = _judge_directions(train, test, dataset), _judge_counts(counts, train, test, dataset)
            chosen["knn"] = counts[int(judged["leave_one_out"].to_numpy()[: len(counts)].argmax())]
        else:
            directions, judged = pd.DataFrame(columns=list(_DIRECTIONS)), pd.DataFrame(columns=list(_COUNTS))
        artifacts.write_table(folder / "classes.csv", directions)
        artifacts.write_table(folder / "knn.csv", judged)
        rule = params.rule if params.rule in chosen else "variance"
        if rule != params.rule:
            progress.note(f"{row}.rule: {params.rule} needs labels, and the images have none: using {rule}")
        # The networks see the train images without the validation part; so does this fit.
        fewer = principal.fit(PCA(n_components), principal.of_images(pixels, fit_index))
        artifacts.write_metrics(
            folder / "metrics.json",
            {
                **{f"components_by_{name}": count for name, count in chosen.items()},
                "components_chosen": chosen[rule],
                "n_components": n_components,
                "mse": rebuilt["mse"].iloc[-1],
                "mse_standardized": rebuilt["mse_standardized"].iloc[-1],
                "mse_without_validation_images": _error(fewer, dataset, n_components),
            },
        )
        _draw(folder, fits, fitted, dataset, params.variance_share, shown, judged, chosen)


def _fitting(row: str, params: PCAParams, n: int, p: int) -> tuple[int, list[int]]:
    """Return how many components to keep, and the numbers of them to draw reconstructions with.

    There are no more than n train images of p values allow; these exclude the validation images.
    """
    most = min(n - 1, p)
    if params.n_components is not None:
        most = sizes.at_most(f"{row}.n_components", params.n_components, most, f"for {n} images of {p} values")
    return most, list(dict.fromkeys(min(count, most) for count in params.reconstructions))


def _embed(row: str, split: str, fitted: PCA, dataset: Dataset) -> np.ndarray:
    """Write the scores of a split; return the file, (n, m) float32."""
    pixels = dataset.train_pixels if split == "train" else dataset.test_pixels
    blocks = (fitted.transform(to_unit(pixels[start : start + BLOCK])) for start in range(0, len(pixels), BLOCK))
    path = paths.embedding(row, split)
    artifacts.write_blocks(path, (len(pixels), len(fitted.components_)), np.float32, blocks)
    return artifacts.read_array(path)


def _error(fit: PCA, dataset: Dataset, n_components: int) -> float:
    """Return the mean squared error per pixel of the test images from their first components."""
    return reconstruction.mean_squared_error(dataset.test_images, _rebuilt(fit, dataset, n_components))


def _rebuilt(fit: PCA, dataset: Dataset, n_components: int, n_images: int | None = None) -> np.ndarray:
    images = dataset.test_images[:n_images]
    scores = fit.transform(dataset.test_points[:n_images])[:, :n_components]
    return fit.inverse_transform(scores).reshape(images.shape)


def _judge_reconstructions(counts: list[int], fits: Mapping[str, PCA], basis: str, dataset: Dataset) -> pd.DataFrame:
    """Return how well the first components rebuild the test images, with a row for each number of them.

    A row has the errors per pixel of both fits and what standardising adds, with its 95% interval. For the fit `basis`
    it also has the power of its images at high frequencies as a share of the test images', likewise. The intervals are
    from a paired bootstrap over images.
    """
    images = dataset.test_images / 255.0
    errors = {name: np.empty((len(images), len(counts))) for name in fits}
    powers = np.empty((len(images), len(counts)))
    for column, count in enumerate(counts):
        for name, fit in fits.items():
            rebuilt = _rebuilt(fit, dataset, count)
            errors[name][:, column] = reconstruction.squared_errors(dataset.test_images, rebuilt)
            if name == basis:
                powers[:, column] = samples.sharpness(rebuilt.clip(0, 1))
    added = errors["standardized"] - errors["plain"]
    values = np.c_[added, powers, samples.sharpness(images)]
    means = classification.bootstrap_means(values, _N_RESAMPLES, seeding.numpy_generator(0, "pca", "reconstructions"))
    ends = np.array([classification.interval(column) for column in means[:, : len(counts)].T])
    shares = means[:, len(counts) : -1] / means[:, -1:]
    ends_of_shares = np.array([classification.interval(column) for column in shares.T])
    return pd.DataFrame(
        {
            "components": counts,
            "mse": errors["plain"].mean(axis=0),
            "mse_standardized": errors["standardized"].mean(axis=0),
            "mse_added": added.mean(axis=0),
            "mse_added_lo": ends[:, 0],
            "mse_added_hi": ends[:, 1],
            "sharpness": powers.mean(axis=0) / values[:, -1].mean(),
            "sharpness_lo": ends_of_shares[:, 0],
            "sharpness_hi": ends_of_shares[:, 1],
        }
    )


def _judge_directions(train: np.ndarray, test: np.ndarray, dataset: Dataset) -> pd.DataFrame:
    """Return the share of each first component's variance that the classes explain, with its 95% interval.

    On the test images: 1 minus the mean squared distance of scores to the mean of their class, as a share of that to
    the mean of all, both means from the train images. The interval is from a bootstrap over the images.
    """
    n_components = min(_N_SHOWN, train.shape[1])
    labels, test_labels = np.asarray(dataset.train_labels), np.asarray(dataset.test_labels)
    present = np.unique(labels)
    known = np.isin(test_labels, present)  # a class may have no train images, and so no mean
    first, queries = train[:, :n_components], test[known, :n_components].astype(np.float64)
    centres = np.stack([first[labels == label].mean(axis=0, dtype=np.float64) for label in present])
    own = centres[np.searchsorted(present, test_labels[known])]
    within, total = np.square(queries - own), np.square(queries - first.mean(axis=0, dtype=np.float64))
    means = classification.bootstrap_means(
        np.c_[within, total], _N_RESAMPLES, seeding.numpy_generator(0, "pca", "directions")
    )
    shares = 1 - means[:, :n_components] / means[:, n_components:]
    ends = np.array([classification.interval(column) for column in shares.T])
    return pd.DataFrame(
        {
            "component": np.arange(1, n_components + 1),
            "class_share": 1 - within.mean(axis=0) / total.mean(axis=0),
            "class_share_lo": ends[:, 0],
            "class_share_hi": ends[:, 1],
        }
    )


def _judge_counts(counts: list[int], train: np.ndarray, test: np.ndarray, dataset: Dataset) -> pd.DataFrame:
    """Return the accuracies of kNN on the first components and on the pixels: leave-one-out on train, and on test.

    The same train images are left out for each number of components.
    """
    labels, test_labels = np.asarray(dataset.train_labels), np.asarray(dataset.test_labels)
    k_max = min(_K_MAX, len(labels) - 1)
    lines = []
    for count in [*counts, None]:
        points, queries = (
            (dataset.train_pixels, dataset.test_pixels)
            if count is None
            else (np.ascontiguousarray(train[:, :count]), test[:, :count])
        )
        name = f"pca: {count or 'all'} components"
        choice = knn.leave_one_out(points, labels, len(dataset.classes), k_max, n_asked=knn.ENOUGH, label=name)
        classifier = knn.KNeighborsClassifier(choice.k, weights=choice.weights).fit(points, labels)
        lines.append(
            (points.shape[1], choice.k, choice.weights, choice.accuracy, classifier.score(queries, test_labels))
        )
    return pd.DataFrame(lines, columns=list(_COUNTS))


def _draw(
    folder: Path,
    fits: dict[str, PCA],
    fitted: PCA,
    dataset: Dataset,
    variance_share: float,
    shown: list[int],
    judged: pd.DataFrame,
    chosen: dict[str, int],
) -> None:
    shares = {name: fit.variance_shares() for name, fit in fits.items()}
    cumulative = {f"cumulative_{name}": np.cumsum(share) for name, share in shares.items()}
    table = pd.DataFrame({"component": np.arange(1, len(fitted.mean_) + 1), **shares, **cumulative})
    artifacts.write_table(folder / "variance.csv", table)
    marks = {f"{variance_share:.0%} of the variance": chosen["variance"]}
    marks |= {"best for kNN": chosen["knn"]} if dataset.labelled else {}
    artifacts.write_figure(folder / "variance.png", figures.cumulative_variance(fitted.variance_shares(), marks))
    curves = {"leave-one-out on train": judged["leave_one_out"].to_numpy(), "test": judged["test"].to_numpy()}
    names = ("number of components; the last are the pixels themselves", "kNN accuracy")
    figure = figures.curves(judged["components"].tolist(), curves, names) if dataset.labelled else figures.no_labels()
    artifacts.write_figure(folder / "knn.png", figure)

    n_kept = len(fitted.components_)
    n_drawn = min(20, n_kept) // _N_SHOWN * _N_SHOWN or n_kept
    drawn = fitted.components_[:n_drawn].reshape(-1, min(_N_SHOWN, n_drawn), *dataset.test_images.shape[1:])
    title = f"the first {n_drawn} components"
    artifacts.write_figure(folder / "components.png", figures.image_grid(drawn, title=title, signed=True))
    rows = [dataset.test_images[:_N_SHOWN] / 255.0]
    rows += [_rebuilt(fitted, dataset, n, _N_SHOWN) for n in shown]
    names_of_rows = ["original", *(f"{n} components" for n in shown)]
    figure = figures.image_grid(np.stack(rows).clip(0, 1), names_of_rows)
    artifacts.write_figure(folder / "reconstructions.png", figure)


if __name__ == "__main__":
    main()

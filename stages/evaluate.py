"""Score every representation on equal terms, join the judgements of the generators, and write the comparison."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from latentbench import figures, inference, seeding, threads
from latentbench.core import artifacts, progress
from latentbench.data.dataset import LEVELS, Dataset
from latentbench.evaluation import classification, columns, distances, neighborhoods, probe, reconstruction, tables
from latentbench.methods.base import Completes, Decodes, Draws, Represents
from latentbench.neighbors import knn
from latentbench.neighbors.search import nearest
from latentbench.params.densities import DensitiesParams
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.project import Project
from latentbench.params.rows import Rows
from stages import classifiers, costs, decoding, densities, fitted, leftovers, lifecycle, paths, sample_scores, sizes
from stages.sample_scores import SampleScores

_FOLDER = paths.METRICS / "evaluate"
_N_SHOWN, _N_LINES = 10, 6
_N_FILLED = 200  # test images whose lower half is filled in if no diffusion model says how many
_NEIGHBORHOODS = (5, 15, 50)  # sizes for trustworthiness and continuity; the comparison shows the middle one
_N_DISTANCES = 2000  # test images whose distances from each other are compared, at most
_N_SIZES = 40  # of neighbourhoods at which the curves of co-ranking are written
_BYTES_PER_NUMBER = 4  # of a latent, float32


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        dataset: the images.
        project, params, rows: of the stage.
        methods: by row, in the order of tables.
        densities: names of those fitted to the latents of each autoencoder and VAE.
    """

    dataset: Dataset
    project: Project
    params: EvaluateParams
    rows: Rows
    methods: Mapping[str, Any]
    densities: Sequence[str]

    def able(self, *abilities: type) -> dict[str, Any]:
        """Return the rows whose methods can do all of these, with the methods."""
        return {row: each for row, each in self.methods.items() if all(isinstance(each, able) for able in abilities)}

    def representations(self) -> list[str]:
        """Return the rows of representations; the pixels themselves are the first."""
        return ["raw", *self.able(Represents)]

    def generators(self) -> dict[str, Any]:
        """Return the rows that generate images; a density's row comes after the row whose latents it models."""
        found: dict[str, Any] = {}
        for row, method in self.methods.items():
            found |= {row: method} if isinstance(method, Draws) else {}
            for density in self.densities if row in self.rows.coders() else ():
                found[densities.name(row, density)] = decoding.load(row, density, method)
        return found


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("evaluate") as view:
        leftovers.remove()
        project, params = view.section(Project), view.section(EvaluateParams, "evaluate")
        threads.use(project.threads)
        rows = view.section(Rows, "rows")
        methods = {row: fitted.load(row) for row in rows.all()}
        fitted_after = view.section(DensitiesParams, "densities").compared
        compared = Comparison(Dataset(paths.PROCESSED), project, params, rows, methods, fitted_after)
        generators = compared.generators()
        judged = sample_scores.read_all(("real", "real_validation", *generators))
        _compare_likelihoods(judged)
        found = _compare_generators(judged)
        representations, seconds = _compare_representations(compared)
        _compare_inpainting(compared)
        _write_costs(seconds, compared, generators)
        headline: dict[str, Any] = {}
        classify = classifiers.probabilities(classifiers.load())
        if classify is not None:
            predicted = inference.apply(
                lambda batch: classify(inference.to_unit(batch)).argmax(dim=1),
                torch.tensor(compared.dataset.test_images),
            )
            headline["classifier_accuracy"] = float(np.mean(predicted.numpy() == compared.dataset.test_labels))
            # Without the rows for comparison only: the first view of a run stays short.
            shown = [row for row in representations if row not in rows.reductions]
            headline["knn"] = {row: representations[row]["knn_accuracy"] for row in shown}
        headline |= {
            "mse": {row: scores["mse"] for row, scores in representations.items() if "mse" in scores},
            "frechet": {row: found[row]["frechet"] for row in ("real", *generators)},
        }
        artifacts.write_metrics(paths.METRICS / "headline.json", headline)


def _compare_representations(compared: Comparison) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Write the comparison and what it is made of; return it, and the seconds that kNN takes to label 1,000 images.

    What needs labels is left out if there are none.
    """
    rows: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, np.ndarray] = {}
    weights: dict[str, str] = {}
    seconds: dict[str, float] = {}
    dataset, project, params = compared.dataset, compared.project, compared.params
    representations = compared.representations()
    curves = pd.DataFrame(columns=["row", "k", *knn.WEIGHTS])
    if dataset.labelled:
        rows, outcomes, weights, seconds, curves = _classified(compared)
    else:
        rows = {row: {"dims": _representation(row, "test", compared).shape[1]} for row in representations}
        for row in representations:
            artifacts.write_table(_FOLDER / "confusion" / f"{row}.csv", pd.DataFrame(columns=["actual", "predicted"]))
            artifacts.write_table(_FOLDER / "classification" / f"{row}.csv", pd.DataFrame(columns=["class"]))
    kept = _neighborhoods(compared)
    outcomes |= kept
    for name, shares in kept.items():
        row, score = name.split(".")
        rows[row][score] = shares.mean()
    for row, scores in _distances(compared).items():
        rows[row] |= scores
    if dataset.labelled:
        generator = seeding.numpy_generator(project.seed, "evaluate", "bootstrap")
        for row, scores in _accuracies(outcomes, dataset.test_labels, params.n_bootstrap, generator).items():
            rows[row] |= scores
    reconstructions = _reconstructions(compared)
    for row, images in reconstructions.items():
        clipped = images.clip(0, 1)  # as displayed: PCA's leave the range that these two scores are made for
        each = {
            "mse": reconstruction.squared_errors(dataset.test_images, images),
            "psnr": reconstruction.psnr(dataset.test_images, clipped),
            "ssim": reconstruction.ssim(dataset.test_images, clipped),
        }
        rows[row] |= {name: values.mean() for name, values in each.items()}
        outcomes |= {f"{row}.{name}": values for name, values in each.items()}
    for row in rows:
        is_raw = row.startswith("raw")
        rows[row] |= {
            "model_bytes": 0 if is_raw else (paths.model(row) / "model.safetensors").stat().st_size,
            "bytes_per_image": rows[row]["dims"] * (1 if is_raw else _BYTES_PER_NUMBER),
        }

    _write_comparison("representations", rows, {"knn_weights": weights} if weights else {})
    _write_outcomes(outcomes, dataset)
    artifacts.write_table(_FOLDER / "knn_choice.csv", curves)
    grid = [dataset.test_images[:_N_SHOWN] / LEVELS]
    grid += [images[:_N_SHOWN] for images in reconstructions.values()]
    figure = figures.image_grid(np.stack(grid).clip(0, 1), ["original", *reconstructions])
    artifacts.write_figure(_FOLDER / "reconstructions.png", figure)
    name = "kNN accuracy on the test images, 95% interval"
    figure = _intervals(rows, "knn_accuracy", name) if dataset.labelled else figures.no_labels()
    artifacts.write_figure(_FOLDER / "knn_accuracy.png", figure)
    return rows, seconds


def _classified(
    compared: Comparison,
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray], dict[str, str], dict[str, float], pd.DataFrame]:
    """Write how kNN does on each representation, class by class.

    Returns:
        The scores of each row, its predictions for the test images, the weights of its neighbours, the seconds for
        1,000 images, and the accuracies by number of neighbours.
    """
    rows: dict[str, dict[str, Any]] = {}
    weights: dict[str, str] = {}
    seconds: dict[str, float] = {}
    curves: list[pd.DataFrame] = []
    outcomes: dict[str, np.ndarray] = {}
    dataset, params = compared.dataset, compared.params
    labels, test_labels = np.asarray(dataset.train_labels), np.asarray(dataset.test_labels)
    representations = compared.representations()
    names = [*representations, "raw_l1"] if params.raw_l1 else representations
    k_max = sizes.at_most("evaluate.k_max", params.k_max, len(labels) - 1, f"for {len(labels)} train images")
    for row in names:
        train, test = (_representation(row, split, compared) for split in ("train", "test"))
        choice, predicted, seconds[row] = _classify(row, train, test, dataset, k_max)
        report = classification.report(test_labels, predicted, dataset.classes)
        outcomes[f"{row}.knn"] = predicted
        if row in representations:
            table = classification.confusions(test_labels, predicted, dataset.classes)
            artifacts.write_table(_FOLDER / "confusion" / f"{row}.csv", table)
            artifacts.write_table(_FOLDER / "classification" / f"{row}.csv", report)
            outcomes[f"{row}.probe"] = probe.predictions(train, labels, test)
        curve = pd.DataFrame(choice.accuracies).assign(row=row, k=np.arange(1, k_max + 1))
        curves.append(curve[["row", "k", *choice.accuracies]])
        weights[row] = choice.weights
        rows[row] = {
            "dims": train.shape[1],
            "knn_k": choice.k,
            "knn_leave_one_out": choice.accuracy,
            "macro_f1": report.set_index("class").loc["macro", "f1"],
        }
    return rows, outcomes, weights, seconds, pd.concat(curves)


def _accuracies(
    outcomes: Mapping[str, np.ndarray], labels: np.ndarray, n_resamples: int, generator: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Return the accuracies of kNN and of the linear probe by row, and how far each is from that on raw pixels.

    All intervals use the same resamples, so that any two rows are paired.
    """
    names = {"knn": "knn_accuracy", "probe": "linear_probe"}
    differences = {"knn": "knn_minus_raw", "probe": "linear_probe_minus_raw"}
    keys = sorted((key for key in outcomes if key.split(".")[1] in names), key=lambda key: key.split(".")[1] != "knn")
    correct = np.stack([outcomes[key] == labels for key in keys], axis=1)
    accuracies = correct.mean(axis=0)
    resampled = classification.bootstrap_means(correct, n_resamples, generator)
    found: dict[str, dict[str, float]] = {key.split(".")[0]: {} for key in keys}
    for column, key in enumerate(keys):
        row, kind = key.split(".")
        raw = keys.index(f"raw.{kind}")
        low, high = classification.interval(resampled[:, column])
        name = names[kind]
        found[row] |= {name: accuracies[column], f"{name}_lo": low, f"{name}_hi": high}
        if row != "raw":
            low, high = classification.interval(resampled[:, column] - resampled[:, raw])
            name = differences[kind]
            found[row] |= {name: accuracies[column] - accuracies[raw], f"{name}_lo": low, f"{name}_hi": high}
    return found


def _write_outcomes(outcomes: Mapping[str, np.ndarray], dataset: Dataset) -> None:
    """Save each row's outcome for each test image, so that two runs can be compared on the same images.

    Arrays "<row>.<score>" (n_test,): "knn" and "probe" are predicted labels, integers; the others float32.
    """
    labels = np.asarray(dataset.test_labels)
    arrays = {
        name: values.astype(labels.dtype if np.issubdtype(values.dtype, np.integer) else np.float32)
        for name, values in outcomes.items()
    }
    digest = hashlib.sha256(np.ascontiguousarray(dataset.test_images).tobytes() + labels.tobytes()).hexdigest()
    artifacts.write_model(paths.OUTCOMES, {"labels": labels, **arrays}, {"n": len(labels), "test_images": digest[:12]})


def _write_costs(knn_seconds: Mapping[str, float], compared: Comparison, generators: Mapping[str, Any]) -> None:
    """Write the seconds for 1,000 images: to transform them, to label them by kNN, and to draw them."""
    found: dict[str, dict[str, float]] = {row: {"knn_s_per_1000": seconds} for row, seconds in knn_seconds.items()}
    for row in compared.representations():
        method = compared.methods.get(row)  # None for the pixels themselves
        first = method and method.n_compared(compared.project.latent_dim)
        found.setdefault(row, {})["transform_s_per_1000"] = costs.transform(row, method, compared.dataset, first)
    for row, method in generators.items():
        for name, seconds in costs.sample(row, method, compared.dataset, compared.project.seed).items():
            found.setdefault(name, {})["sample_s_per_1000"] = seconds
    artifacts.write_metrics(paths.timing("costs"), found)


def _classify(
    row: str, train: np.ndarray, test: np.ndarray, dataset: Dataset, k_max: int
) -> tuple[knn.Choice, np.ndarray, float]:
    """Choose k and weights by leave-one-out on train; return the choice and the labels (n,) that it gives to test.

    The third value is the seconds that it took to label 1,000 of them.
    """
    labels, p = np.asarray(dataset.train_labels), 1 if row == "raw_l1" else 2
    choice = knn.leave_one_out(train, labels, len(dataset.classes), k_max, p=p, label=f"{row}: choosing k")
    classifier = knn.KNeighborsClassifier(choice.k, weights=choice.weights, p=p).fit(train, labels)
    started = time.perf_counter()
    predicted = classifier.predict(test)
    return choice, predicted, (time.perf_counter() - started) * 1000.0 / len(test)


def _distances(compared: Comparison) -> dict[str, dict[str, float]]:
    """Write how well the order of neighbours is kept, by their number; return how well distances are kept, by row.

    The test images are the same for each row.
    """
    n_test = len(compared.dataset.test_images)
    generator = seeding.numpy_generator(compared.project.seed, "evaluate", "distances")
    chosen = np.sort(generator.permutation(n_test)[:_N_DISTANCES])
    parts = distances.groups(len(chosen), generator)
    counts = np.unique(np.geomspace(1, len(chosen) - 2, _N_SIZES).round().astype(int))
    names = compared.representations()
    raw = distances.Space.of(_representation("raw", "test", compared)[chosen])
    scores: dict[str, dict[str, float]] = {}
    tables = [pd.DataFrame(columns=["row", "k", "log2_k", "q_nx", "r_nx"])]
    for row in progress.bar([row for row in names if row != "raw"], desc="distances", unit="row"):
        space = distances.Space.of(_representation(row, "test", compared)[chosen])
        common = distances.common_neighbors(raw, space)
        found = {
            "auc_r_nx": distances.of_points(distances.areas(common), parts),
            "spearman": distances.of_pairs(distances.spearman, raw, space, parts),
            "stress": distances.of_pairs(distances.stress, raw, space, parts),
        }
        scores[row] = {}
        for name, each in found.items():
            scores[row] |= {name: each.value, f"{name}_lo": each.low, f"{name}_hi": each.high}
        curve = {name: of(common)[counts - 1] for name, of in (("q_nx", distances.q_nx), ("r_nx", distances.r_nx))}
        tables.append(pd.DataFrame({"row": row, "k": counts, "log2_k": np.log2(counts), **curve}))
    artifacts.write_table(_FOLDER / "coranking.csv", pd.concat(tables[1:] or tables))
    return scores


def _neighborhoods(compared: Comparison) -> dict[str, np.ndarray]:
    """Write how well each representation keeps neighbourhoods of the test images; return it for the middle size.

    The arrays are "<row>.<score>", with a value for each test image, (n_test,).
    """
    spaces = {row: _representation(row, "test", compared) for row in compared.representations()}
    counts = [k for k in _NEIGHBORHOODS if 2 * k < len(compared.dataset.test_images)]
    near = {
        row: nearest(space, space, max(counts), exclude_self=True, label=f"{row}: neighbourhoods").indices
        for row, space in spaces.items()
    }
    embedded = [row for row in spaces if row != "raw"]
    there = neighborhoods.ranks(spaces["raw"], [near[row] for row in embedded], "raw: ranks")
    lines = []
    middle: dict[str, np.ndarray] = {}
    for row, ranked in zip(embedded, there, strict=True):
        (back,) = neighborhoods.ranks(spaces[row], [near["raw"]], f"{row}: ranks")
        for k in counts:
            trust, continuity = (neighborhoods.kept_shares(each, k, len(ranked)) for each in (ranked, back))
            same = (ranked[:, :k] <= k).mean(axis=1)
            lines.append((row, k, trust.mean(), continuity.mean(), same.mean()))
            if k == counts[min(1, len(counts) - 1)]:
                middle |= {f"{row}.trustworthiness": trust, f"{row}.continuity": continuity, f"{row}.q_nx": same}
    table = pd.DataFrame(lines, columns=["row", "k", "trustworthiness", "continuity", "q_nx"])
    artifacts.write_table(_FOLDER / "neighborhoods.csv", table)
    return middle


def _representation(row: str, split: str, compared: Comparison) -> np.ndarray:
    if row not in compared.methods:  # the pixels themselves
        return compared.dataset.train_pixels if split == "train" else compared.dataset.test_pixels
    method = compared.methods[row]
    n_compared = method.n_compared(compared.project.latent_dim)
    kept = artifacts.read_array(paths.embedding(row, split))
    if n_compared is None or n_compared <= kept.shape[1]:
        return kept[:, :n_compared]
    images = compared.dataset.train_images if split == "train" else compared.dataset.test_images
    found: np.ndarray = method.encode(images, n_compared)
    return found


def _reconstructions(compared: Comparison) -> dict[str, np.ndarray]:
    """Return the test images as rebuilt by each row that can, (n, c, h, w) in about [0, 1]."""
    able = compared.able(Represents, Decodes)
    return {row: method.decode(_representation(row, "test", compared)) for row, method in able.items()}


def _compare_generators(judged: Mapping[str, SampleScores]) -> dict[str, dict[str, Any]]:
    rows = {row: dict(each.scores) for row, each in judged.items()}
    judges = {row: each.judge for row, each in judged.items()}
    _write_comparison("generators", rows, {"classifier": judges})
    grid = np.stack([each.shown[:_N_SHOWN] for each in judged.values()])
    artifacts.write_figure(
        _FOLDER / "samples.png", figures.image_grid(grid, list(judged)), palette=figures.is_grey(grid)
    )
    for row in [row for row in judged if not row.startswith("real") and not row.endswith("_guided")]:
        shown = judged[row].shown
        whole_lines = shown[: min(len(shown) // _N_SHOWN, _N_LINES) * _N_SHOWN]
        lines = whole_lines.reshape(-1, _N_SHOWN, *shown.shape[1:])
        figure = figures.image_grid(lines, title=f"{row}: samples, not selected")
        artifacts.write_figure(_FOLDER / "samples" / f"{row}.png", figure, palette=figures.is_grey(shown))
    figure = _intervals(rows, "frechet", "Fréchet distance to held-out real images, 95% interval")
    artifacts.write_figure(_FOLDER / "frechet.png", figure)
    return rows


def _compare_likelihoods(judged: Mapping[str, SampleScores]) -> None:
    """Write the parts of the bound of each row that has one, and what each latent of the VAEs carries."""
    bounded = {row: each for row, each in judged.items() if each.bound}
    names = {row: each.likelihood for row, each in bounded.items()}
    rows = {row: each.bound for row, each in bounded.items()}
    _write_comparison("likelihoods", rows, {"likelihood": names})
    lines = [
        (row, rank, kl) for row, each in bounded.items() for rank, kl in enumerate(each.kl_per_latent.tolist(), start=1)
    ]
    artifacts.write_table(_FOLDER / "kl_per_latent.csv", pd.DataFrame(lines, columns=["row", "rank", "kl_nats"]))


def _compare_inpainting(compared: Comparison) -> None:
    """Write how well each model fills in the lower half of test images, and how well the mean train image does.

    A VAE is given the image with that mean filled in.
    """
    dataset = compared.dataset
    drawn = {row: artifacts.read_array(paths.inpainted(row)) for row in compared.rows.diffusion}
    n = min([len(dataset.test_images), _N_FILLED] if not drawn else [images.shape[1] for images in drawn.values()])
    originals = dataset.test_images[:n] / LEVELS
    half = slice(originals.shape[2] // 2, None)
    filled = originals.copy()
    filled[..., half, :] = (dataset.train_images.mean(axis=0, dtype=np.float64) / LEVELS)[:, half]
    fillings = {"mean": filled[None]}
    for row, method in compared.able(Completes).items():
        fillings[row] = method.complete(filled)[None]
    fillings |= {row: images[:, :n] / LEVELS for row, images in drawn.items()}
    lines = []
    for row, images in fillings.items():
        below, truth = images[..., half, :], originals[..., half, :]
        errors, mean_errors = np.square(below - truth), np.square(below.mean(axis=0) - truth)
        lines.append((row, n, errors.mean(), mean_errors.mean(), below.std(axis=0).mean()))
    columns = ["row", "n", "mse", "mse_of_mean", "diversity"]
    artifacts.write_table(_FOLDER / "inpainting.csv", pd.DataFrame(lines, columns=columns))


def _intervals(rows: Mapping[str, Mapping[str, Any]], score: str, name: str) -> Figure:
    values, lows, highs = (np.array([rows[row][f"{score}{end}"] for row in rows]) for end in ("", "_lo", "_hi"))
    return figures.dots_with_intervals(list(rows), values, lows, highs, name)


def _write_comparison(
    name: str,
    rows: Mapping[str, Mapping[str, Any]],
    words: Mapping[str, Mapping[str, str]],
) -> None:
    """Write a comparison for machines (JSON: numbers only, CSV) and for people (Markdown), columns in order."""
    artifacts.write_metrics(_FOLDER / f"{name}.json", rows)
    found = pd.DataFrame.from_dict(dict(rows), orient="index")
    found = found[list(tables.ordered(dict.fromkeys(map(str, found)), columns.names(columns.COMPARISONS[name])))]
    table = found.assign(**{k: pd.Series(v) for k, v in words.items()})
    table = table.rename_axis("row").reset_index()
    artifacts.write_table(_FOLDER / f"{name}.csv", table)
    # From the file, so that the same digits are rounded wherever this table is shown.
    artifacts.write_text(_FOLDER / f"{name}.md", tables.markdown(artifacts.read_table(_FOLDER / f"{name}.csv")))


if __name__ == "__main__":
    main()

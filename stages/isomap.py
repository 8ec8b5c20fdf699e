"""Fit Isomap to the train images, embed all images, search its two parameters, and unroll the S-curve."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from latentbench import figures, seeding, threads
from latentbench.core import artifacts
from latentbench.data.dataset import LEVELS, Dataset
from latentbench.evaluation.seeds import t_interval
from latentbench.neighbors import cells, knn
from latentbench.neighbors.search import Neighbors, nearest
from latentbench.params.project import Project
from latentbench.params.reduction import IsomapParams
from latentbench.reduction import geodesics, s_curve
from latentbench.reduction.isomap import Isomap
from stages import lifecycle, paths, sizes

_K_MAX = 20  # of the classifier that judges the candidates
_N_RECALLED = 1000  # train images whose true neighbours are found, to check an approximate search


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    folder = paths.METRICS / row
    with lifecycle.stage("isomap", row) as view:
        project, dataset = view.section(Project), Dataset(paths.PROCESSED)
        threads.use(project.threads)
        params = _fitting(row, view.section(IsomapParams, row), len(dataset.train_images))
        train, labels = dataset.train_pixels, np.asarray(dataset.train_labels)
        table = []
        started = time.perf_counter()
        generator = seeding.numpy_generator(project.seed, row, "cells")
        graphs, near = _graphs(train, params, generator)
        for_graphs = time.perf_counter() - started
        recall = None
        if params.neighbors == "cells" and near is not None:
            recall = cells.recall(train, near, _N_RECALLED, generator)
        for n_neighbors, graph in graphs.items():
            with _room(row) as room:
                started = time.perf_counter()
                isomap = _build(row, params, n_neighbors, project.seed, room).fit_graph(train, graph)
                seconds = for_graphs + time.perf_counter() - started
                candidates = {params.n_components, *params.search.n_components} if dataset.labelled else set()
                for n_components in sorted(candidates):
                    choice = _judge(isomap.embedding_[:, :n_components], labels, len(dataset.classes))
                    table.append((n_neighbors, n_components, choice.k, choice.weights, choice.accuracy))
                if n_neighbors == params.n_neighbors:
                    _keep(row, isomap, dataset, params, recall)
                    artifacts.write_json(paths.timing(f"fit@{row}"), {"seconds": round(seconds, 3)})
        names = ["n_neighbors", "n_components", "k", "weights", "leave_one_out"]
        artifacts.write_table(folder / "search.csv", pd.DataFrame(table, columns=names))
        _unroll(folder, params.n_sheets, seeding.numpy_generator(project.seed, row, "s_curve"))


def _fitting(row: str, params: IsomapParams, n: int) -> IsomapParams:
    """Return the params with no more landmarks, neighbours and components than n images allow."""
    reason, search, changes = f"for {n} train images", params.search, {}
    if params.n_landmarks is not None:
        changes["n_landmarks"] = sizes.at_most(f"{row}.n_landmarks", params.n_landmarks, n, reason)
    if params.n_neighbors is not None:
        changes["n_neighbors"] = sizes.at_most(f"{row}.n_neighbors", params.n_neighbors, n - 1, reason)
    most = (changes.get("n_landmarks") or n) - 1
    changes["n_components"] = sizes.at_most(f"{row}.n_components", params.n_components, most, reason)
    among = {
        "n_neighbors": [sizes.at_most(f"{row}.search.n_neighbors", each, n - 1, reason) for each in search.n_neighbors],
        "n_components": [
            sizes.at_most(f"{row}.search.n_components", each, most, reason) for each in search.n_components
        ],
    }
    return params.model_copy(update={**changes, "search": search.model_copy(update=among)})


@contextmanager
def _room(row: str) -> Iterator[Path]:
    """Make an empty folder, always the same, so that the next run removes what a killed one left: up to 7 GiB."""
    room = paths.PROCESSED.parent / f".{row}.tmp"
    if room.exists():
        shutil.rmtree(room)
    room.mkdir(parents=True)
    try:
        yield room
    finally:
        shutil.rmtree(room)


def _graphs(
    train: np.ndarray, params: IsomapParams, generator: np.random.Generator
) -> tuple[dict[int | None, csr_array], Neighbors | None]:
    """Return the neighbour graph of each candidate, all from one search, and what it found; None for one by radius."""
    if params.radius is not None:
        return {None: geodesics.graph_by_radius(train, params.radius, params.p, 1 / LEVELS)}, None
    assert params.n_neighbors is not None  # the params allow exactly one of the two
    counts = sorted({params.n_neighbors, *params.search.n_neighbors})
    if params.neighbors == "exact":
        near = nearest(train, train, counts[-1], p=params.p, exclude_self=True, label="isomap: graph")
    else:
        near = cells.nearest_in_cells(train, counts[-1], params.n_probes, generator, label="isomap: graph")
    return {count: geodesics.graph_by_count(near, count, 1 / LEVELS) for count in counts}, near


def _build(row: str, params: IsomapParams, n_neighbors: int | None, seed: int, room: Path) -> Isomap:
    return Isomap(
        n_neighbors=n_neighbors,
        radius=params.radius,
        n_components=params.most_components,
        p=params.p,
        n_landmarks=params.n_landmarks,
        memory_map=room / "geodesics.npy" if params.on_disk else None,
        random_state=seeding.derive(seed, row, "landmarks") % 2**32,
        unit=1 / LEVELS,
    )


def _judge(embedding: np.ndarray, labels: np.ndarray, n_classes: int) -> knn.Choice:
    k_max = min(_K_MAX, len(embedding) - 1)
    name = f"isomap: {embedding.shape[1]} components"
    return knn.leave_one_out(embedding, labels, n_classes, k_max, n_asked=knn.ENOUGH, label=name)


def _keep(row: str, isomap: Isomap, dataset: Dataset, params: IsomapParams, recall: float | None) -> None:
    """Write the embedding for the comparison, what is needed to place other images in it, and how good it is."""
    folder, n = paths.METRICS / row, params.n_components
    train, test = isomap.embedding_[:, :n], isomap.transform(dataset.test_pixels)[:, :n]
    artifacts.write_array(paths.embedding(row, "train"), train.astype(np.float32))
    artifacts.write_array(paths.embedding(row, "test"), test.astype(np.float32))
    arrays = {
        "eigenvalues": isomap.scaling_.eigenvalues[:n],
        "triangulation": isomap.scaling_.triangulation[:n],
        "mean_squares": isomap.scaling_.mean_squares,
        "landmarks": isomap.landmarks_,
    }
    description = {"method": "isomap", "n_neighbors": params.n_neighbors, "radius": params.radius, "p": params.p}
    artifacts.write_model(paths.model(row), arrays, description)
    scores = {
        "n_landmarks": len(isomap.landmarks_),
        "graph_parts": isomap.n_parts_,
        "residual_variance": isomap.residual_variance(n),
    }
    if recall is not None:
        scores["neighbors_recall"] = recall
    artifacts.write_metrics(folder / "metrics.json", scores)
    figure = figures.scatter(
        train[:, :2] if n > 1 else np.c_[train, train],
        dataset.train_labels,
        dataset.classes,
        ("component 1", f"component {min(2, n)}"),
        f"Isomap of {len(train)} train images",
    )
    artifacts.write_figure(folder / "scatter.png", figure, palette=True)


def _unroll(folder: Path, n_sheets: int, generator: np.random.Generator) -> None:
    sheets = [list(s_curve.trials(generator)) for _ in range(n_sheets)]
    lines = []
    for trials in zip(*sheets, strict=True):  # the same condition on each sheet
        scores = {
            "isomap": [trial.correlation(trial.isomap) for trial in trials],
            "pca": [trial.correlation(trial.pca) for trial in trials],
            "isomap_residual": [trial.residual(trial.isomap) for trial in trials],
            "pca_residual": [trial.residual(trial.pca) for trial in trials],
        }
        line: dict[str, str | float] = {"claim": trials[0].claim, "value": trials[0].value, "n": len(trials)}
        for name, values in scores.items():
            mean, low, high = t_interval(values)
            # Both lie between 0 and 1, which Student's t does not take into account.
            line |= {name: mean, f"{name}_lo": max(low, 0.0), f"{name}_hi": min(high, 1.0)}
        lines.append(line)
    artifacts.write_table(folder / "s_curve.csv", pd.DataFrame(lines))
    drawn = []
    for trial in sheets[0]:
        drawn += [
            (f"{trial.claim} {trial.value:g}", trial.points[:, [0, 2]], trial.along),
            (f"Isomap, correlation {trial.correlation(trial.isomap):.3f}", trial.isomap, trial.along),
            (f"PCA, correlation {trial.correlation(trial.pca):.3f}", trial.pca, trial.along),
        ]
    artifacts.write_figure(folder / "s_curve.png", figures.panels(drawn, n_columns=6), palette=True)


if __name__ == "__main__":
    main()

"""Fit Isomap with landmarks to the train images and embed all images."""

import numpy as np

from latentbench import artifacts, figures, seeding, threads
from latentbench.data.dataset import Dataset
from latentbench.params.project import Project
from latentbench.params.reduction import IsomapParams
from latentbench.reduction import isomap
from stages import entry, paths


def main() -> None:
    """Run the stage."""
    with entry.stage("isomap") as view:
        project, params = view.section(Project), view.section(IsomapParams, "isomap")
        threads.use(project.threads)
        dataset = Dataset(paths.PROCESSED)
        train = dataset.train_images.reshape(len(dataset.train_images), -1) / np.float32(255)
        test = dataset.test_images.reshape(len(dataset.test_images), -1) / np.float32(255)
        fitted = isomap.fit(
            train,
            params.n_neighbors,
            params.n_components,
            params.n_landmarks,
            seeding.numpy_generator(project.seed, "isomap", "landmarks"),
        )
        embedded = fitted.transform(test, train, params.n_neighbors)
        artifacts.write_array(paths.embedding("isomap", "train"), fitted.embedding)
        artifacts.write_array(paths.embedding("isomap", "test"), embedded)
        artifacts.write_model(
            paths.model("isomap"),
            {
                "eigenvalues": fitted.eigenvalues,
                "triangulation": fitted.triangulation,
                "mean_squares": fitted.mean_squares,
            },
            {"n_neighbors": params.n_neighbors, "n_landmarks": params.n_landmarks},
        )
        folder = paths.METRICS / "isomap"
        artifacts.write_metrics(
            folder / "metrics.json",
            {"residual_variance": fitted.residual_variance, "graph_parts": fitted.n_parts},
        )
        figure = figures.scatter(
            fitted.embedding[:, :2] if params.n_components > 1 else np.c_[fitted.embedding, fitted.embedding],
            dataset.train_labels,
            dataset.classes,
            ("component 1", f"component {min(2, params.n_components)}"),
            f"Isomap of {len(train)} train images",
        )
        artifacts.write_figure(folder / "scatter.png", figure)


if __name__ == "__main__":
    main()

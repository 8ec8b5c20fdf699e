"""Fit PCA to the train images: components, scores, explained variance, reconstructions by number of components."""

import numpy as np
import pandas as pd

from latentbench import artifacts, figures, threads
from latentbench.data.dataset import Dataset
from latentbench.evaluation import reconstruction
from latentbench.params.project import Project
from latentbench.params.reduction import PCAParams
from latentbench.reduction import pca
from stages import entry, paths

_N_SHOWN = 10


def main() -> None:
    """Run the stage."""
    with entry.stage("pca") as view:
        threads.use(view.section(Project).threads)
        params = view.section(PCAParams, "pca")
        dataset = Dataset(paths.PROCESSED)
        mean, scale = dataset.scaler if params.standardize else (np.float32(0), np.float32(1))
        n_test, height, width = dataset.test_images.shape

        def points(images: np.ndarray) -> np.ndarray:
            return (images.reshape(len(images), -1) / np.float32(255) - mean) / scale

        train, test = points(dataset.train_images), points(dataset.test_images)
        fitted = pca.fit(train, params.n_components)
        scores = fitted.transform(test)
        artifacts.write_array(paths.embedding("pca", "train"), fitted.transform(train))
        artifacts.write_array(paths.embedding("pca", "test"), scores)
        # Kept so that scores times components give pixels, whether or not they were standardised.
        artifacts.write_model(
            paths.model("pca"),
            {"mean": fitted.mean * scale + mean, "components": fitted.components * scale},
            {"standardize": params.standardize},
        )

        def reconstruct(n_components: int) -> np.ndarray:
            pixels = fitted.inverse_transform(scores[:, :n_components]) * scale + mean
            return pixels.reshape(n_test, height, width)

        folder = paths.METRICS / "pca"
        shares = fitted.variance_shares()
        enough = fitted.components_for(params.variance_share)
        artifacts.write_table(
            folder / "variance.csv",
            pd.DataFrame(
                {"component": np.arange(1, len(shares) + 1), "share": shares, "cumulative": np.cumsum(shares)}
            ),
        )
        doublings = [2**i for i in range(params.n_components.bit_length())]
        counts = sorted({*doublings, params.n_components, *params.reconstructions})
        errors = [reconstruction.mean_squared_error(dataset.test_images, reconstruct(n)) for n in counts]
        artifacts.write_table(folder / "reconstruction.csv", pd.DataFrame({"components": counts, "mse": errors}))
        artifacts.write_metrics(
            folder / "metrics.json",
            {"components_for_variance_share": enough, "mse": errors[counts.index(params.n_components)]},
        )
        marks = {f"{params.variance_share:.0%} of the variance": enough}
        artifacts.write_figure(folder / "variance.png", figures.cumulative_variance(shares, marks))
        n_drawn = min(20, params.n_components) // _N_SHOWN * _N_SHOWN or params.n_components
        drawn = fitted.components[:n_drawn].reshape(-1, min(_N_SHOWN, n_drawn), height, width)
        artifacts.write_figure(
            folder / "components.png",
            figures.image_grid(drawn, title=f"the first {n_drawn} components", signed=True),
        )
        rows = [dataset.test_images[:_N_SHOWN] / 255.0]
        rows += [reconstruct(n)[:_N_SHOWN] for n in params.reconstructions]
        names = ["original", *(f"{n} components" for n in params.reconstructions)]
        artifacts.write_figure(folder / "reconstructions.png", figures.image_grid(np.stack(rows).clip(0, 1), names))


if __name__ == "__main__":
    main()

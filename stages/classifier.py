"""Train the supervised reference network; without labels, find principal components that stand in for its features."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from latentbench import inference, seeding, training
from latentbench.core import artifacts, progress
from latentbench.networks.classifier import Classifier
from latentbench.params.classifier import ClassifierParams
from stages import paths, trainings

_N_COMPONENTS = 64  # that stand in for the features of a network


def main() -> None:
    """Run the stage."""
    with trainings.stage("classifier") as run:
        params = run.view.section(ClassifierParams, "classifier")
        if run.dataset.labelled:
            _train(run, params)
        else:
            _find_components(run)
        features = "classifier" if run.dataset.labelled else "pca"
        artifacts.write_json(paths.model("auto") / "model.json", {"features": features})


def _train(run: trainings.Run, params: ClassifierParams) -> None:
    images, labels = run.dataset.train_images, run.dataset.train_labels.astype(np.int64)
    shape: dict[str, Any] = {
        "image_shape": list(images.shape[1:]),
        "n_classes": len(run.dataset.classes),
    }
    torch.manual_seed(seeding.derive(params.seed, "classifier", "weights"))
    network = Classifier(**shape)

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        pixels, truth = batch.tensors
        logits = network(inference.to_unit(pixels))
        wrong = (logits.argmax(dim=1) != truth).float()
        return {"loss": functional.cross_entropy(logits, truth), "error": wrong.mean()}

    trainings.train_and_save(
        run,
        "classifier",
        network,
        loss,
        [images, labels],
        trainings.plan(run, params.training),
        seeding.derive(params.seed, "classifier", "training"),
        {"network": shape, "seed": params.seed},
    )


def _find_components(run: trainings.Run) -> None:
    """Write the first principal components of the images that networks train on, and empty training metrics."""
    import pandas as pd

    from latentbench.reduction.pca import PCA
    from stages import principal

    trainings.leave_to_main(run)
    progress.note("the images have no labels: their principal components stand in for a classifier's features")
    pixels, index = run.dataset.train_pixels, run.dataset.fit_index
    pca = PCA(min(_N_COMPONENTS, len(index) - 1, pixels.shape[1]))
    found = principal.fit(pca, principal.of_images(pixels, index))
    arrays = {"mean": found.mean_.astype("float32"), "components": found.components_.astype("float32")}
    artifacts.write_model(paths.model("classifier"), arrays, {"features": "pca"})
    folder = paths.METRICS / "classifier"
    artifacts.write_table(folder / "loss.csv", pd.DataFrame(columns=["epoch", "train_loss", "validation_loss"]))
    artifacts.write_metrics(folder / "metrics.json", {})


if __name__ == "__main__":
    main()

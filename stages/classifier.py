"""Train the supervised reference network."""

import torch
from torch import Tensor
from torch.nn import functional

from latentbench import inference, seeding, training
from latentbench.networks.classifier import Classifier
from latentbench.params.classifier import ClassifierParams
from stages import trainings


def main() -> None:
    """Run the stage."""
    with trainings.stage("classifier") as run:
        params = run.view.section(ClassifierParams, "classifier")
        images, labels = torch.tensor(run.dataset.train_images), torch.tensor(run.dataset.train_labels).long()
        shape = {
            "height": images.shape[1],
            "width": images.shape[2],
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
            training.Plan(**params.training.values()),
            seeding.derive(params.seed, "classifier", "training"),
            {"network": shape, "seed": params.seed},
        )


if __name__ == "__main__":
    main()

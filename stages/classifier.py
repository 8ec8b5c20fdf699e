"""Train the supervised reference network."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from latentbench import seeding, threads, training
from latentbench.data.dataset import Dataset
from latentbench.networks.classifier import Classifier
from latentbench.params.classifier import ClassifierParams
from latentbench.params.project import Project
from stages import entry, fitting, paths


def main() -> None:
    """Run the stage."""
    with entry.stage("classifier") as view:
        threads.use(view.section(Project).threads)
        params = view.section(ClassifierParams, "classifier")
        dataset = Dataset(paths.PROCESSED)
        images, labels = torch.tensor(dataset.train_images), torch.tensor(dataset.train_labels).long()
        shape = {
            "height": images.shape[1],
            "width": images.shape[2],
            "n_classes": len(dataset.classes),
        }
        torch.manual_seed(seeding.derive(params.seed, "classifier", "weights"))
        network = Classifier(**shape)

        def loss(batch: Sequence[Tensor], _: torch.Generator) -> dict[str, Tensor]:
            logits = network(training.to_unit(batch[0]))
            wrong = (logits.argmax(dim=1) != batch[1]).float()
            return {"loss": functional.cross_entropy(logits, batch[1]), "error": wrong.mean()}

        fitting.fit_and_keep(
            "classifier",
            network,
            loss,
            [images, labels],
            dataset,
            training.Plan(**params.training.values()),
            seeding.derive(params.seed, "classifier", "training"),
            {"network": shape, "seed": params.seed},
        )


if __name__ == "__main__":
    main()

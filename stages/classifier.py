"""Train the supervised reference network."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from latentbench import artifacts, seeding, threads, training
from latentbench.data.dataset import Dataset
from latentbench.networks import weights
from latentbench.networks.classifier import Classifier
from latentbench.params.classifier import ClassifierParams
from latentbench.params.project import Project
from stages import entry, paths


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

        plan = training.Plan(**params.training.values())
        summary = training.follow(
            training.fit(
                network,
                loss,
                [images[dataset.fit_index], labels[dataset.fit_index]],
                [images[dataset.validation_index], labels[dataset.validation_index]],
                plan,
                seeding.derive(params.seed, "classifier", "training"),
            ),
            plan,
            paths.METRICS / "classifier" / "loss.csv",
            "classifier",
        )
        description = {"network": shape, "training": dataclasses.asdict(plan), "seed": params.seed}
        artifacts.write_model(paths.model("classifier"), weights.to_arrays(network), description)
        artifacts.write_metrics(paths.METRICS / "classifier" / "metrics.json", summary)


if __name__ == "__main__":
    main()

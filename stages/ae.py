"""Train one autoencoder and embed all images with it."""

import argparse
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from latentbench import seeding, threads, training
from latentbench.data.dataset import Dataset
from latentbench.networks import autoencoders
from latentbench.params.autoencoders import Preset
from latentbench.params.project import Project
from stages import entry, fitting, paths


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=get_args(autoencoders.Architecture))
    architecture = parser.parse_args().architecture
    row = f"ae_{architecture}"
    with entry.stage("ae", arch=architecture) as view:
        project, params = view.section(Project), view.section(Preset, f"ae.{architecture}")
        threads.use(project.threads)
        dataset = Dataset(paths.PROCESSED)
        images = torch.tensor(dataset.train_images)
        shape = {
            "architecture": architecture,
            "height": images.shape[1],
            "width": images.shape[2],
            "latent_dim": project.latent_dim,
        }
        torch.manual_seed(seeding.derive(project.seed, row, "weights"))
        network = autoencoders.build(**shape)

        def loss(batch: Sequence[Tensor], _: torch.Generator) -> dict[str, Tensor]:
            originals = training.to_unit(batch[0])
            return {"loss": functional.mse_loss(network(originals), originals)}

        fitting.fit_and_keep(
            row,
            network,
            loss,
            [images],
            dataset,
            training.Plan(**params.training.values()),
            seeding.derive(project.seed, row, "training"),
            {"network": shape, "seed": project.seed},
        )
        fitting.embed(row, network.encode, dataset)


if __name__ == "__main__":
    main()

"""Train one autoencoder and embed all images with it."""

import argparse
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from latentbench import inference, seeding, training
from latentbench.networks import autoencoders
from latentbench.params.autoencoders import Preset
from stages import exporting, fitting


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=get_args(autoencoders.Architecture))
    architecture = parser.parse_args().architecture
    row = f"ae_{architecture}"
    with fitting.stage("ae", arch=architecture) as run:
        params, seed = run.view.section(Preset, f"ae.{architecture}"), run.project.seed
        images = torch.tensor(run.dataset.train_images)
        shape = {
            "architecture": architecture,
            "height": images.shape[1],
            "width": images.shape[2],
            "latent_dim": run.project.latent_dim,
        }
        torch.manual_seed(seeding.derive(seed, row, "weights"))
        network = autoencoders.build(**shape)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            return {"loss": functional.mse_loss(network(originals).float(), originals)}

        fitting.fit_and_keep(
            run,
            row,
            network,
            loss,
            [images],
            training.Plan(**params.training.values()),
            seeding.derive(seed, row, "training"),
            {"network": shape, "seed": seed},
        )
        fitting.embed(run, row, network.encode)
        exporting.export_coder(run, row, network)


if __name__ == "__main__":
    main()

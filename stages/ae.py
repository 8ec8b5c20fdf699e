"""Train one autoencoder and embed all images with it."""

import torch
from torch import Tensor

from latentbench import inference, seeding, training
from latentbench.core import artifacts
from latentbench.networks.autoencoders import base
from latentbench.params.autoencoders import AutoencoderParams
from stages import exporting, lifecycle, paths, trainings


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    with trainings.stage("ae", row) as run:
        params, seed = run.view.section(AutoencoderParams, row), run.project.seed
        images = run.dataset.train_images
        shape = {
            "architecture": params.architecture,
            "image_shape": list(images.shape[1:]),
            "latent_dim": params.latent_dim or run.project.latent_dim,
            **params.options,
        }
        torch.manual_seed(seeding.derive(seed, row, "weights"))
        network = base.build(**shape)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            return network.losses(inference.to_unit(batch.tensors[0]))

        trained = trainings.train_and_save(
            run,
            row,
            network,
            loss,
            [images],
            trainings.plan(run, params.training, step_scale=network.step_scale),
            seeding.derive(seed, row, "training"),
            {"method": "ae", "network": shape, "seed": seed},
        )
        trainings.save_embeddings(run, row, network.encode)
        measures = network.measure(torch.tensor(artifacts.read_array(paths.embedding(row, "train"))))
        if measures:
            artifacts.write_metrics(paths.METRICS / row / "metrics.json", trained | measures)
        exporting.export_coder(run, row, network)


if __name__ == "__main__":
    main()

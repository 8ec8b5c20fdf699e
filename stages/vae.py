"""Train one variational autoencoder, embed all images with it, and draw samples from its prior."""

import argparse
from typing import get_args

import torch
from torch import Tensor

from latentbench import artifacts, inference, seeding, training
from latentbench.networks import vaes
from latentbench.params.autoencoders import VAEPreset
from stages import exporting, fitting, paths


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=get_args(vaes.Architecture))
    architecture = parser.parse_args().architecture
    row = f"vae_{architecture}"
    with fitting.stage("vae", arch=architecture) as run:
        params, seed = run.view.section(VAEPreset, f"vae.{architecture}"), run.project.seed
        beta, warmup_epochs = params.beta, params.warmup_epochs
        images = torch.tensor(run.dataset.train_images)
        shape = {
            "architecture": architecture,
            "height": images.shape[1],
            "width": images.shape[2],
            "latent_dim": run.project.latent_dim,
            "likelihood": params.likelihood,
        }
        torch.manual_seed(seeding.derive(seed, row, "weights"))
        network = vaes.build(**shape)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            noise = batch.normal(run.project.latent_dim)
            return vaes.negative_elbo(network, originals, noise, beta * batch.ramp(warmup_epochs))

        fitting.fit_and_keep(
            run,
            row,
            network,
            loss,
            [images],
            training.Plan(**params.training.values()),
            seeding.derive(seed, row, "training"),
            {"network": shape, "seed": seed, "beta": beta, "warmup_epochs": warmup_epochs},
        )
        fitting.embed(run, row, network.encode)
        exporting.export_coder(run, row, network)
        generator = seeding.torch_generator(seed, row, "samples")
        draws = torch.randn((run.project.n_samples, run.project.latent_dim), generator=generator)
        samples = inference.apply(
            lambda batch: inference.to_pixels(network.decode(batch)), draws, device=run.compute.device
        )
        artifacts.write_array(paths.samples(row), samples.numpy())


if __name__ == "__main__":
    main()

"""Train one variational autoencoder, embed all images with it, and draw samples from its prior."""

import argparse
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from latentbench import artifacts, seeding, threads, training
from latentbench.data.dataset import Dataset
from latentbench.networks import vaes
from latentbench.params.autoencoders import Preset, VAEParams
from latentbench.params.project import Project
from stages import entry, fitting, paths


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=get_args(vaes.Architecture))
    architecture = parser.parse_args().architecture
    row = f"vae_{architecture}"
    with entry.stage("vae", arch=architecture) as view:
        project, beta = view.section(Project), view.section(VAEParams, "vae").beta
        params = view.section(Preset, f"vae.{architecture}")
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
        network = vaes.build(**shape)

        def loss(batch: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
            originals = training.to_unit(batch[0])
            mean, log_var = network.posterior(originals)
            latents = vaes.reparameterise(mean, log_var, generator)
            cross_entropy = vaes.cross_entropy(network.logits(latents), originals).mean()
            kl = vaes.kl_from_standard_normal(mean, log_var).mean()
            return {"loss": cross_entropy + beta * kl, "cross_entropy": cross_entropy, "kl": kl}

        fitting.fit_and_keep(
            row,
            network,
            loss,
            [images],
            dataset,
            training.Plan(**params.training.values()),
            seeding.derive(project.seed, row, "training"),
            {"network": shape, "seed": project.seed, "beta": beta},
        )
        fitting.embed(row, network.encode, dataset)
        generator = seeding.torch_generator(project.seed, row, "samples")
        draws = torch.randn((project.n_samples, project.latent_dim), generator=generator)
        samples = training.apply(lambda batch: training.to_pixels(network.decode(batch)), draws)
        artifacts.write_array(paths.samples(row), samples.numpy())


if __name__ == "__main__":
    main()

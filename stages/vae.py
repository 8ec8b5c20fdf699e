"""Train one variational autoencoder, embed all images with it, and draw samples from its prior."""

import torch
from torch import Tensor

from latentbench import inference, seeding, training
from latentbench.core import artifacts
from latentbench.networks import total_correlation
from latentbench.networks.vaes import base
from latentbench.params.autoencoders import VAEParams
from stages import exporting, lifecycle, paths, trainings


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    with trainings.stage("vae", row) as run:
        params, seed = run.view.section(VAEParams, row), run.project.seed
        beta, beta_warmup_share = params.beta, params.beta_warmup_share
        latent_dim = params.latent_dim or run.project.latent_dim
        images = run.dataset.train_images
        shape = {
            "architecture": params.architecture,
            "image_shape": list(images.shape[1:]),
            "latent_dim": latent_dim,
            "likelihood": params.likelihood,
            **params.options,
        }
        torch.manual_seed(seeding.derive(seed, row, "weights"))
        network = base.build(**shape)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            noise, weight = batch.normal(latent_dim), beta * batch.ramp(beta_warmup_share)
            if params.total_correlation == 1.0:  # then its estimate would not be used
                return base.negative_elbo(network, originals, noise, weight)
            return total_correlation.negative_elbo(network, originals, noise, weight, params.total_correlation)

        described = {"method": "vae", "network": shape, "seed": seed}
        described |= {"beta": beta, "beta_warmup_share": beta_warmup_share}
        if params.total_correlation != 1.0:
            described["total_correlation"] = params.total_correlation
        trainings.train_and_save(
            run,
            row,
            network,
            loss,
            [images],
            trainings.plan(run, params.training, step_scale=network.step_scale),
            seeding.derive(seed, row, "training"),
            described,
        )
        trainings.save_embeddings(run, row, network.encode)
        exporting.export_coder(run, row, network)
        generator = seeding.torch_generator(seed, row, "samples")
        draws = torch.randn((run.project.n_samples, latent_dim), generator=generator)
        samples = inference.apply(
            lambda batch: inference.to_pixels(network.sample(batch, generator)), draws, device=run.compute.device
        )
        artifacts.write_array(paths.samples(row), samples.numpy())


if __name__ == "__main__":
    main()

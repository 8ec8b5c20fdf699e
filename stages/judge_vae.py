"""Judge what one variational autoencoder draws, and how likely it finds the test images."""

import argparse
from typing import get_args

import torch

from latentbench import artifacts, inference, seeding
from latentbench.evaluation import likelihood
from latentbench.networks import vaes
from latentbench.networks.vaes import VAE
from stages import judging, models, paths
from stages.judging import Bound, Session


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=get_args(vaes.Architecture))
    architecture = parser.parse_args().architecture
    row = f"vae_{architecture}"
    with judging.stage("judge_vae", {"arch": architecture}) as session:
        bound = _bound(session, row, session.params.importance_samples)
        drawn = artifacts.read_array(paths.samples(row))
        n = session.n(len(drawn))
        judge = session.judge(n)
        session.keep(row, judge, drawn[:n], judge.judge(row, drawn[:n]), calls=1, bound=bound)


def _bound(session: Session, row: str, n_importance: int) -> Bound:
    """Return the parts of the bound on the test images, and a tighter one by so many importance samples.

    Binary cross-entropy on grey pixels bounds no likelihood.
    """
    network = models.load_coder(row)
    assert isinstance(network, VAE)
    images = inference.to_unit(torch.tensor(session.dataset.test_images))
    few = images[: session.params.likelihood_images]
    generator = seeding.torch_generator(session.project.seed, "evaluate", "likelihood", row)
    parts = likelihood.parts(network, images, generator)
    told = {
        "n": len(images),
        "reconstruction_nats": parts.reconstruction.mean().item(),
        "kl_nats": parts.kl.sum(dim=1).mean().item(),
        "active_units": parts.active_units(),
    }
    kl_per_latent = parts.kl.mean(dim=0).sort(descending=True).values.numpy()
    if not likelihood.is_proper(network.likelihood, images):
        return Bound(told, network.likelihood.name, None, kl_per_latent)
    tighter = likelihood.importance_bounds(network, few, n_importance, generator, label=f"{row}: importance samples")
    nats = {
        "bits_per_dim": -parts.bounds(),
        "bits_per_dim_importance": -tighter,
        "importance_gain": tighter - parts.bounds()[: len(few)],  # on the same images
    }
    bits = {name: likelihood.bits_per_dim(values, images[0].numel()) for name, values in nats.items()}
    told |= {"elbo_nats": parts.bounds().mean().item(), "n_importance": len(few)}
    for name, values in bits.items():
        mean = likelihood.mean_with_interval(values)
        told |= {name: mean.value, f"{name}_lo": mean.low, f"{name}_hi": mean.high}
    return Bound(told, network.likelihood.name, bits["bits_per_dim"].numpy(), kl_per_latent)


if __name__ == "__main__":
    main()

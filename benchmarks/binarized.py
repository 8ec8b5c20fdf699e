"""A VAE of black and white images against published likelihoods; `make benchmark-binarized` runs it.

The protocol is that of the Exemplar VAE (Norouzi et al. 2020, arXiv 2004.04795). The first 50,000 train images are for
training and are binarised again at each step: each pixel becomes white with a probability equal to its brightness. The
last 10,000 are for validation and the test images for the result; these are binarised once. The VAE has 40 latents and
two gated dense layers of 300 units on either side. The weight of the KL divergence rises from 0 to 1 over the first
epochs. The result is the mean negative log-likelihood of the test images in nats, bounded from above with 5,000
importance samples each.

The paper's code differs: it bounds the variance of the posterior, and trains with normalised gradients for up to 2,000
epochs, the first 100 with a rising weight, until 50 have brought no improvement. Ours trains for fewer epochs, with
Muon and a learning rate that falls to zero. Validation and test images are binarised with other draws.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from latentbench import inference, memory, plugins, seeding, threads, training
from latentbench.core import artifacts, progress
from latentbench.evaluation import likelihood
from latentbench.networks.vaes import base as vaes

RAW = Path("data/raw")
PUBLISHED = {"VAE": 228.70, "VampPrior": 227.35, "Exemplar VAE": 226.75}
_N_VALIDATION = 10_000
_WIDTH, _GATED = 300, "gated"


class GatedVAE(vaes.VAE):
    """Two gated dense layers on either side: a linear map times the sigmoid of another (Dauphin et al. 2017, eq. 1)."""

    def __init__(self, image_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(image_shape, latent_dim, "bernoulli")
        n_pixels = math.prod(image_shape)
        self.trunk = nn.Sequential(nn.Flatten(), *_gated(n_pixels), *_gated(_WIDTH))
        self.to_mean, self.to_log_var = nn.Linear(_WIDTH, latent_dim), nn.Linear(_WIDTH, latent_dim)
        output = nn.Sequential(nn.Linear(_WIDTH, n_pixels), nn.Unflatten(1, tuple(image_shape)))
        self.decoder = nn.Sequential(*_gated(latent_dim), *_gated(_WIDTH), output)


def _gated(fan_in: int) -> list[nn.Module]:
    return [nn.Linear(fan_in, 2 * _WIDTH), nn.GLU(dim=1)]


def read_grey(split: str, n: int | None = None) -> Tensor:
    """Return the first n images of "train" or "test", or all, (n, 1, 28, 28) uint8."""
    return torch.tensor(artifacts.read_array(RAW / f"{split}_images.npy")[:n])


def binarize(images: Tensor, uniform: Tensor) -> Tensor:
    """Turn grey images (n, c, h, w) uint8 into black and white ones, float32, by uniform noise in [0, 1)."""
    return (uniform < inference.to_unit(images)).float()


def fixed_binarization(images: Tensor, seed: int, name: str) -> Tensor:
    """Binarise images once; the result is uint8 of 0 and 255, which binarising again does not change."""
    uniform = torch.rand(images.shape, generator=seeding.torch_generator(seed, "binarized", name))
    return inference.to_pixels(binarize(images, uniform))


def loss_of(network: vaes.VAE, warm_up_share: float) -> training.Loss:
    """Return the negative evidence lower bound, with a lower weight of the KL divergence early in the training."""

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        grey = batch.tensors[0]
        images = binarize(grey, batch.uniform(*grey.shape[1:]))
        return vaes.negative_elbo(network, images, batch.normal(network.latent_dim), batch.ramp(warm_up_share))

    return loss


def train(network: vaes.VAE, options: argparse.Namespace) -> None:
    """Train on the published split, printing a line for each epoch."""
    grey = read_grey("train", options.train_images)
    n_validation = min(_N_VALIDATION, len(grey) // 6)
    validation = fixed_binarization(grey[-n_validation:], options.seed, "validation")
    plan = training.Plan(
        epochs=options.epochs,
        batch_size=250,
        learning_rate=options.learning_rate,
        schedule="cosine",
        optimizer="muon",
    )
    run = training.fit(
        network,
        loss_of(network, options.warm_up / options.epochs),
        [grey[:-n_validation]],
        [validation],
        plan,
        seeding.derive(options.seed, "binarized", "training"),
    )
    for event in run:
        if isinstance(event, training.Epoch):
            mark = ", the best so far" if event.best else ""
            progress.note(f"epoch {event.epoch}: {event.validation['loss']:.2f} nats in validation{mark}")


def main() -> None:
    """Train, then print the likelihood beside the published ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Callable[..., object] = parser.add_argument
    architectures = [_GATED, *plugins.names("latentbench.networks.vaes")]
    add("--architecture", choices=architectures, default=_GATED, help=f"default: {_GATED}, as published")
    add("--epochs", type=int, default=100, help="default: 100")
    add("--warm-up", type=int, default=10, help="epochs over which the weight of the KL rises; default: 10")
    add("--learning-rate", type=float, default=1e-2, help="at its highest; default: 0.01")
    add("--latent-dim", type=int, default=40, help="default: 40")
    add("--samples", type=int, default=5000, help="importance samples per image; default: 5000")
    add("--images", type=int, default=10_000, help="test images, the first ones; default: all 10,000")
    add("--train-images", type=int, default=60_000, help="for trials; a sixth is for validation; default: all 60,000")
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    memory.keep_freed()
    threads.use(None)
    torch.manual_seed(seeding.derive(options.seed, "binarized", "weights"))
    shape = (1, 28, 28)
    if options.architecture == _GATED:
        network: vaes.VAE = GatedVAE(shape, options.latent_dim)
    else:
        network = vaes.build(options.architecture, shape, options.latent_dim, "bernoulli")
    train(network, options)
    test = inference.to_unit(fixed_binarization(read_grey("test", options.images), options.seed, "test"))
    generator = seeding.torch_generator(options.seed, "binarized", "importance samples")
    nats = -likelihood.importance_bounds(network, test, options.samples, generator)
    print(
        f"{options.architecture} VAE, {options.latent_dim} latents: {nats.mean():.2f} nats, "
        f"standard error {nats.std() / math.sqrt(len(nats)):.2f} over {len(nats)} test images, "
        f"{options.samples} samples each"
    )
    for name, published in PUBLISHED.items():
        print(f"published, 40 latents, 5000 samples each: {published:.2f} nats, {name}")


if __name__ == "__main__":
    main()

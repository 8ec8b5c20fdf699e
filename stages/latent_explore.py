"""Look into the latent space of one autoencoder or VAE: scatter, draws from the prior, ways between images."""

import argparse
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from latentbench import artifacts, figures, inference, seeding, threads
from latentbench.data.dataset import Dataset
from latentbench.evaluation.samples import CONFIDENT
from latentbench.networks.autoencoders import Autoencoder
from latentbench.networks.vaes import VAE
from latentbench.params.latent_explore import LatentExploreParams
from latentbench.params.project import Project
from stages import entry, models, paths

_GRID = 10
_N_WAYS = 8


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", help="a row of the comparison, such as ae_dense or vae_conv")
    row = parser.parse_args().row
    with entry.stage("latent_explore", {"row": row}) as view:
        project = view.section(Project)
        params = view.section(LatentExploreParams, "latent_explore")
        threads.use(project.threads)
        dataset = Dataset(paths.PROCESSED)
        network, classifier = models.load_coder(row), models.load_classifier()
        latents = torch.tensor(artifacts.read_array(paths.embedding(row, "train")))
        generator = seeding.torch_generator(project.seed, "latent_explore", row)
        folder = paths.METRICS / "latent_explore" / row

        chosen = params.dimensions or sorted(latents.var(dim=0).argsort(descending=True)[:2].tolist())
        first, second = chosen * 2 if len(chosen) == 1 else chosen  # a latent space may have a single dimension
        figure = figures.scatter(
            latents[:, [first, second]].numpy(),
            dataset.train_labels,
            dataset.classes,
            (f"latent {first}", f"latent {second}"),
            f"{row}: {len(latents)} train images",
        )
        artifacts.write_figure(folder / "scatter.png", figure, palette=True)

        draws = _prior_draws(network, latents, params.n_prior_samples, generator)
        images = inference.apply(network.decode, draws)
        shown = images[: _GRID * _GRID].unflatten(0, (_GRID, _GRID)).numpy()
        prior = "N(0, I)" if isinstance(network, VAE) else "a Gaussian fitted to the train latents"
        figure = figures.image_grid(shown, title=f"{row}: decoded draws from {prior}")
        artifacts.write_figure(folder / "prior.png", figure, palette=True)
        probabilities = inference.apply(lambda batch: classifier(batch).softmax(dim=1), images)

        ways, names = _ways(network, dataset, row, params.interpolation_steps)
        n_ways, n_steps, height, width = ways.shape
        title = f"{row}: straight lines between the latents of test images"
        artifacts.write_figure(
            folder / "interpolation.png", figures.image_grid(ways.numpy(), names, title), palette=True
        )
        along = classifier(ways.reshape(-1, height, width)).softmax(dim=1).detach()
        confidence = along.max(dim=1).values.reshape(n_ways, n_steps)
        artifacts.write_metrics(
            folder / "metrics.json",
            {
                "draws_confident_share": (probabilities.max(dim=1).values > CONFIDENT).float().mean().item(),
                "interpolation_confidence": confidence[:, 1:-1].mean().item(),
            },
        )


def _prior_draws(network: Autoencoder | VAE, latents: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw latents: from the prior that a VAE was trained with, or a Gaussian fitted to an autoencoder's latents."""
    normal = torch.randn((n, latents.shape[1]), generator=generator)
    if isinstance(network, VAE):
        return normal
    covariance = torch.atleast_2d(latents.double().T.cov())
    variances, vectors = torch.linalg.eigh(covariance)
    root = vectors * variances.clamp(min=0).sqrt()
    return torch.addmm(latents.double().mean(dim=0), normal.double(), root.T).float()


def _ways(network: Autoencoder | VAE, dataset: Dataset, row: str, n_steps: int) -> tuple[Tensor, list[str]]:
    """Decode straight lines from the first test image of each class to that of the next class."""
    latents = torch.tensor(artifacts.read_array(paths.embedding(row, "test")))
    present = np.unique(dataset.test_labels)[: _N_WAYS + 1]
    firsts = [int(np.flatnonzero(dataset.test_labels == label)[0]) for label in present]
    names = [dataset.classes[label] for label in present]
    steps = torch.linspace(0.0, 1.0, n_steps)[:, None]
    lines = [(1 - steps) * latents[a] + steps * latents[b] for a, b in pairwise(firsts)]
    decoded = inference.apply(network.decode, torch.cat(lines)).unflatten(0, (len(lines), n_steps))
    return decoded, [f"{a} to {b}" for a, b in pairwise(names)]


if __name__ == "__main__":
    main()

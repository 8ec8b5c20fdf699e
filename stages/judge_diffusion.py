"""Judge what one diffusion model draws, and how likely it finds the test images where it is one of pixels."""

import argparse

import numpy as np
import torch

from latentbench import artifacts, inference, seeding
from latentbench.diffusion import bounds, models, samplers
from latentbench.diffusion.models import DiffusionModel
from latentbench.diffusion.spaces import PixelSpace
from latentbench.evaluation import likelihood
from stages import judging, paths
from stages.judging import Bound, Session

_N_LEVELS = 1000  # steps of the chain that bounds the likelihood


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=("diffusion", "diffusion_latent"))
    row = parser.parse_args().row
    with judging.stage("judge_diffusion", {"row": row}) as session:
        model, description = models.load(paths.model(row))
        bound = _bound(session, row, model, session.params.bound_draws)
        drawn = artifacts.read_array(paths.samples(row))
        n = session.n(len(drawn))
        judge = session.judge(n)
        calls = samplers.n_calls(description["sampling"]["sampler"], description["sampling"]["calls"])
        session.keep(row, judge, drawn[:n], judge.judge(row, drawn[:n]), calls, bound)
        guided = artifacts.read_array(paths.samples(f"{row}_guided"))
        if len(guided):
            labels = np.arange(n) % len(session.dataset.classes)
            judged = judge.judge(f"{row}_guided", guided[:n], labels)
            calls_per_step = 1 if description["guidance"] == 1.0 else 2
            session.keep(f"{row}/guided", judge, guided[:n], judged, calls * calls_per_step)


def _bound(session: Session, row: str, model: DiffusionModel, n_draws: int) -> Bound | None:
    """Return the bound of a model on pixels, in the same parts as a VAE's; one on latents bounds no likelihood."""
    if not isinstance(model.space, PixelSpace):
        return None
    dataset = session.dataset
    images = inference.to_unit(torch.tensor(dataset.test_images))
    generator = seeding.torch_generator(session.project.seed, "evaluate", "likelihood", row)
    levels = model.schedule.path(_N_LEVELS, "log")[-2::-1]
    fitted_on = model.encode(torch.tensor(dataset.train_images[dataset.validation_index]))
    nats = bounds.fit_pixels(model.denoise(), fitted_on, levels[0], generator)
    found = bounds.bound(model.denoise(), model.space.encode(images), levels, nats, n_draws, generator)
    bits = likelihood.bits_per_dim(found.total(), images[0].numel())
    mean = likelihood.mean_with_interval(bits)
    told = {
        "n": len(images),
        "reconstruction_nats": found.reconstruction.mean().item(),
        "kl_nats": (found.prior + found.denoising).mean().item(),
        "elbo_nats": -found.total().mean().item(),
        "bits_per_dim": mean.value,
        "bits_per_dim_lo": mean.low,
        "bits_per_dim_hi": mean.high,
    }
    return Bound(told, "discretized_logistic", bits.numpy())


if __name__ == "__main__":
    main()

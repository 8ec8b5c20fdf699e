"""Train one diffusion model, on pixels or on the latents of an autoencoder, and draw samples from it."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from latentbench import inference, seeding
from latentbench.core import artifacts
from latentbench.diffusion import models, process
from latentbench.diffusion.models import DiffusionModel, Sampling
from latentbench.diffusion.spaces import LATENT_DEVIATION, LatentSpace, NoisyCoder, PixelSpace
from latentbench.networks import texture, weights
from latentbench.params.base import ParamsError, View
from latentbench.params.diffusion import Coder, LatentDiffusionParams, PixelDiffusionParams
from latentbench.params.training import Training
from latentbench.training import Batch
from stages import exporting, lifecycle, paths, trainings
from stages.trainings import Run


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    with trainings.stage("diffusion", row) as run:
        params = _params(run.view, row)
        process, guidance = params.process, params.guidance
        if guidance and not run.dataset.labelled:
            raise ParamsError(f"{row}.guidance: the images have no labels to guide by: set it to null")
        images, labels = run.dataset.train_images, run.dataset.train_labels.astype(np.int64)
        built: dict[str, Any] = {
            "image_shape": list(images.shape[1:]),
            "schedule": {"name": process.schedule, "n_steps": process.n_steps},
            "prediction": process.prediction,
            "n_classes": len(run.dataset.classes) if guidance else None,
        }
        size = getattr(params, run.project.diffusion_preset)
        if params.space == "pixels":
            fitted_on = torch.tensor(images[run.dataset.fit_index])
            built["data_deviation"] = PixelSpace().encode(inference.to_unit(fitted_on)).std().item()
        else:
            built["coder"] = {"latent_dim": size.coder.latent_dim}
            built["data_deviation"] = LATENT_DEVIATION
        built["network"], autoguidance = size.network(), params.autoguidance
        if autoguidance:
            built["guide"] = size.guide()
        torch.manual_seed(seeding.derive(run.project.seed, row, "weights"))
        model = models.build(**built)

        data = images
        if isinstance(model.space, LatentSpace):
            _train_coder(run, row, model.space, images, size.coder)
            data = inference.apply(model.encode, torch.tensor(images), device=run.compute.device).numpy()

        def loss(batch: Batch) -> dict[str, Tensor]:
            x0, level, eps = _noised(model, batch)
            condition = None
            if guidance:
                truth = batch.tensors[1]
                condition = torch.where(batch.uniform() < guidance.dropped_share, len(run.dataset.classes), truth)
            return {"loss": model.denoiser.loss(x0, level, eps, process.weighting, condition)}

        if autoguidance:
            _train_guide(run, row, model, data, params, size.training, autoguidance.share)
        plan = trainings.plan(run, size.training, process.ema_decay)
        seed = seeding.derive(run.project.seed, row, "training")
        table = paths.METRICS / row / "loss.csv"
        summary = trainings.train(run, row, model.denoiser, loss, [data, labels], plan, seed, table)
        trainings.leave_to_main(run)
        sampling = {
            **params.sampling.values(),
            "precision": run.compute.precision,
            "autoguidance": autoguidance.scale if autoguidance else 1.0,
        }
        described = {
            "method": "diffusion",
            "network": built,
            "classes": list(run.dataset.classes),
            "sampling": sampling,
            "guidance": guidance.scale if guidance else None,
            "seed": run.project.seed,
            "training": trainings.described(run, plan),
        }
        artifacts.write_model(paths.model(row), weights.to_arrays(model), described)
        artifacts.write_metrics(paths.METRICS / row / "metrics.json", summary)
        _export(run, row, model, sampling["autoguidance"])
        _draw(run, row, model, Sampling(**sampling), guidance.scale if guidance else None)


def _params(view: View, row: str) -> PixelDiffusionParams | LatentDiffusionParams:
    if view.content()[f"{row}.space"] == "latents":
        return view.section(LatentDiffusionParams, row)
    return view.section(PixelDiffusionParams, row)


def _train_coder(run: Run, row: str, space: LatentSpace, images: np.ndarray, params: Coder) -> None:
    """Train the autoencoder of a latent space and standardise its latents."""
    noisy = NoisyCoder(space.coder, params.noise)

    def loss(batch: Batch) -> dict[str, Tensor]:
        originals = inference.to_unit(batch.tensors[0])
        decoded = noisy(originals, batch.normal(space.coder.latent_dim))
        error, smoothed = functional.mse_loss(decoded, originals), texture.loss(decoded, originals)
        return {"loss": error + params.texture * smoothed, "mse": error, "texture": smoothed}

    plan = trainings.plan(run, params.training, step_scale=space.coder.step_scale)
    seed = seeding.derive(run.project.seed, row, "coder")
    table = paths.model(row) / "coder_loss.csv"
    trainings.train(run, f"{row}: coder", noisy, loss, [images], plan, seed, table, "coder")
    space.to(run.compute.device).fit(torch.tensor(images[run.dataset.fit_index]))


def _noised(model: DiffusionModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the data of a batch, and levels and noise for it."""
    given = batch.tensors[0]
    x0 = given if given.is_floating_point() else model.encode(given)
    return x0, model.schedule.trained_at(batch.uniform()), batch.normal(*model.shape)


def _train_guide(
    run: Run,
    row: str,
    model: DiffusionModel,
    data: np.ndarray,
    params: PixelDiffusionParams | LatentDiffusionParams,
    recipe: Training,
    share: float,
) -> None:
    """Train the guide of a model as the model itself, for a share of the images and without classes."""
    guide, process = model.guide, params.process
    assert guide is not None

    def loss(batch: Batch) -> dict[str, Tensor]:
        return {"loss": guide.loss(*_noised(model, batch), process.weighting)}

    shorter = recipe.model_copy(update={"images": max(1, round(recipe.images * share))})
    plan = trainings.plan(run, shorter, process.ema_decay)
    seed = seeding.derive(run.project.seed, row, "guide")
    trainings.train(run, f"{row}: guide", guide, loss, [data], plan, seed, paths.model(row) / "guide_loss.csv", "guide")


def _export(run: Run, row: str, model: DiffusionModel, autoguidance: float) -> None:
    """Write the estimator of x_0 as `denoiser.onnx`, and the decoder from latents to images as `decoder.onnx`."""
    on_cpu = copy.deepcopy(model).cpu().eval()
    chosen = run.dataset.validation_index[: exporting.N_CHECKED]
    data = inference.apply(on_cpu.encode, torch.tensor(run.dataset.train_images[chosen]))
    low, high = on_cpu.schedule.ends()
    # Beyond this, float32 holds next to nothing of an image, and an estimate through the noise not even that.
    highest = 1.0 if on_cpu.denoiser.prediction == "eps" else 1000.0
    level = torch.logspace(math.log10(low), math.log10(min(high, highest)), len(data))
    generator = seeding.torch_generator(run.project.seed, row, "export")
    noisy = process.noised(data, level, torch.randn(data.shape, generator=generator))
    inputs = {"noisy": noisy, "level": level}
    if on_cpu.n_classes is not None:
        inputs["labels"] = torch.tensor(run.dataset.train_labels[chosen]).long()
    exporting.write(run, row, "denoiser", models.Estimator(on_cpu, autoguidance), inputs, "clean")
    if isinstance(on_cpu.space, LatentSpace):
        exporting.write(run, row, "decoder", models.SpaceDecoder(on_cpu), {"latents": data}, "images")


def _draw(run: Run, row: str, model: DiffusionModel, sampling: Sampling, guidance: float | None) -> None:
    """Write samples of any class, and as many that cycle through the classes if the network is conditioned on them."""
    model.to(run.compute.device)
    n, root = run.project.n_samples, run.project.seed
    drawn = model.draw(seeding.derive(root, row, "samples"), range(n), sampling, label=f"{row}: samples")
    artifacts.write_array(paths.samples(row), drawn.numpy())
    run.checkpoint.check_ancestors()
    if guidance is not None:
        labels = torch.arange(n) % len(run.dataset.classes)
        seed, label = seeding.derive(root, row, "guided samples"), f"{row}: guided samples"
        guided = model.draw(seed, range(n), sampling, labels, guidance, label)
        run.checkpoint.check_ancestors()
        artifacts.write_array(paths.guided_samples(row), guided.numpy())


if __name__ == "__main__":
    main()

"""Train the diffusion model on pixels and draw samples from it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from latentbench import artifacts, inference, progress, seeding, training
from latentbench.diffusion import process, samplers
from latentbench.networks.denoisers import UNet
from latentbench.params.diffusion import DiffusionParams
from stages import fitting, paths

_SAMPLING_BATCH = 250
_N_SHOWN = 10  # samples whose way from noise is kept, and steps of it


def main() -> None:
    """Run the stage."""
    with fitting.stage("diffusion") as run:
        project, params = run.project, run.view.section(DiffusionParams, "diffusion")
        images = torch.tensor(run.dataset.train_images)
        shape = {"height": images.shape[1], "width": images.shape[2], "channels": params.channels}
        torch.manual_seed(seeding.derive(project.seed, "diffusion", "weights"))
        network = UNet(**shape)
        forward = process.make_process(params.schedule, params.n_steps)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            x0 = 2.0 * inference.to_unit(batch.tensors[0]) - 1.0
            t, eps = batch.integers(forward.n_steps), batch.normal(*x0.shape[1:])
            output = network(forward.noised(x0, t, eps), t)
            target = forward.target(params.prediction, x0, t, eps)
            return {"loss": functional.mse_loss(output, target)}

        fitting.fit_and_keep(
            run,
            "diffusion",
            network,
            loss,
            [images],
            training.Plan(**params.training.values(), ema_decay=params.ema_decay),
            seeding.derive(project.seed, "diffusion", "training"),
            {
                "network": shape,
                "process": {"schedule": params.schedule, "n_steps": params.n_steps},
                "prediction": params.prediction,
                "seed": project.seed,
            },
        )

        drawn, way = [], []
        seed = seeding.derive(project.seed, "diffusion", "samples")
        kept_steps = set(np.linspace(0, params.sampling_steps - 1, _N_SHOWN).round().astype(int).tolist())
        for start in progress.bar(
            range(0, project.n_samples, _SAMPLING_BATCH), desc="diffusion: samples", unit="batch"
        ):
            indices = range(start, min(start + _SAMPLING_BATCH, project.n_samples))
            generators = [seeding.torch_generator(seed, index) for index in indices]
            estimates = samplers.ddim(
                network,
                forward,
                params.prediction,
                samplers.noise(generators, shape["height"], shape["width"]).to(run.compute.device),
                params.sampling_steps,
                params.eta,
                generators,
            )
            for step, estimate in enumerate(estimates):
                pixels = inference.to_pixels((estimate + 1.0) / 2.0).cpu()
                if start == 0 and step in kept_steps:
                    way.append(pixels[:_N_SHOWN])
            drawn.append(pixels)
            run.checkpoint.check_ancestors()
        artifacts.write_array(paths.samples("diffusion"), torch.cat(drawn).numpy())
        artifacts.write_array(paths.samples("diffusion_steps"), torch.stack(way).numpy())


if __name__ == "__main__":
    main()

"""Fit densities to the train latents of an autoencoder or VAE, and draw images by each (Ghosh et al. 2020, section 4).

The latents of a VAE are the means of its posteriors, as there.
"""

import time
from dataclasses import asdict

import numpy as np
import pandas as pd

from latentbench import plugins, seeding, threads
from latentbench.core import artifacts
from latentbench.data.dataset import Dataset
from latentbench.densities.base import Options
from latentbench.params.densities import DensitiesParams
from latentbench.params.project import Project
from stages import decoding, densities, fitted, lifecycle, paths, sizes

_COLUMNS = ("density", "components", "steps", "train_nats", "validation_nats")


def main() -> None:
    """Run the stage."""
    stage, row = lifecycle.stage_and_row(__doc__)
    with lifecycle.stage(stage, row) as view:
        project, params = view.section(Project), view.section(DensitiesParams, "densities")
        threads.use(project.threads)
        latents = artifacts.read_array(paths.embedding(row, "train"))
        held_out = np.zeros(len(latents), dtype=bool)
        held_out[Dataset(paths.PROCESSED).validation_index] = True
        options = Options(_components(params, int(np.count_nonzero(~held_out)), latents.shape[1]))
        method, lines, seconds = fitted.load(row), [], {}
        for name in params.compared:
            started = time.perf_counter()
            generator = seeding.numpy_generator(project.seed, row, "density", name)
            density, candidates = plugins.load("latentbench.densities", name).Density.fit(
                latents[~held_out], latents[held_out], options, generator, f"{row}: {name}"
            )
            seconds[name] = round(time.perf_counter() - started, 3)
            lines += [{"density": name, **asdict(candidate)} for candidate in candidates]
            decoding.write(row, name, density)
            drawn = decoding.Decoded(method, density).draw(
                project.n_samples, seeding.derive(project.seed, row, "density", name, "samples")
            )
            artifacts.write_array(densities.samples(row, name), drawn)
        densities.write_list(densities.folder(row), params.compared)
        artifacts.write_json(paths.timing(f"densities@{row}"), seconds)
        artifacts.write_table(paths.METRICS / row / "densities.csv", pd.DataFrame(lines, columns=list(_COLUMNS)))


def _components(params: DensitiesParams, n: int, dim: int) -> list[int]:
    """Return the numbers of components to choose from: a covariance needs more latents than it has dimensions."""
    most, reason = max(1, n // (dim + 1)), f"for {n} latents of {dim} numbers"
    return list(
        dict.fromkeys(sizes.at_most("densities.components", count, most, reason) for count in params.components)
    )


if __name__ == "__main__":
    main()

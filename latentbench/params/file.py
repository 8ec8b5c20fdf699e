"""The whole of params.yaml. `python -m latentbench.params.file params.yaml` says what is wrong with one.

No stage imports this module: it knows every section, so a change of any would rerun every stage.
"""

import argparse
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import model_validator

from latentbench.params.autoencoders import AutoencoderParams, VAEParams
from latentbench.params.base import ParamsError, validate
from latentbench.params.classifier import ClassifierParams
from latentbench.params.data import Data
from latentbench.params.diffusion import DiffusionParams, LatentDiffusionParams
from latentbench.params.diffusion_explore import DiffusionExploreParams
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.latent_explore import LatentExploreParams
from latentbench.params.project import Project
from latentbench.params.reduction import IsomapParams, PCAParams


class Params(Project):
    """All of params.yaml."""

    data: Data
    classifier: ClassifierParams
    pca: PCAParams
    isomap: IsomapParams
    ae: AutoencoderParams
    vae: VAEParams
    latent_explore: LatentExploreParams
    diffusion: DiffusionParams
    diffusion_latent: LatentDiffusionParams
    diffusion_explore: DiffusionExploreParams
    evaluate: EvaluateParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.latent_dim > self.pca.n_components:
            raise ValueError(
                f"latent_dim ({self.latent_dim}) must be at most pca.n_components "
                f"({self.pca.n_components}): PCA is compared at latent_dim components"
            )
        beyond = [d for d in self.latent_explore.dimensions or [] if d >= self.latent_dim]
        if beyond:
            raise ValueError(f"latent_explore.dimensions {beyond} must be below latent_dim ({self.latent_dim})")
        named = [*(self.latent_explore.interpolations or []), *(self.latent_explore.arithmetic or [])]
        unknown = sorted({name for names in named for name in names} - set(self.data.classes))
        if unknown:
            raise ValueError(f"latent_explore names classes that data.classes does not have: {', '.join(unknown)}")
        if self.isomap.n_landmarks is not None and self.isomap.most_components >= self.isomap.n_landmarks:
            raise ValueError(
                f"isomap.n_components ({self.isomap.n_components}) and isomap.search.n_components "
                f"{self.isomap.search.n_components} must be below isomap.n_landmarks ({self.isomap.n_landmarks})"
            )
        for key in ("diffusion", "diffusion_latent"):
            self._check_calls(key)
        self._check_sizes()
        return self

    def _check_calls(self, key: str) -> None:
        """Refuse more sampling steps, evenly in time, than a process of discrete steps has."""
        section: DiffusionParams | LatentDiffusionParams = getattr(self, key)
        if section.process.schedule not in ("linear", "cosine") or section.sampling.spacing != "time":
            return
        n_steps = section.process.n_steps
        most = max(*self.diffusion_explore.calls, self.diffusion_explore.inpaint_calls)
        for name, calls in (
            (f"{key}.sampling.calls", section.sampling.calls),
            ("diffusion_explore.calls or inpaint_calls", most),
        ):
            if calls > n_steps:
                raise ValueError(
                    f"{name} ({calls}) must be at most {key}.process.n_steps ({n_steps}), or take another spacing"
                )

    def _check_sizes(self) -> None:
        """Refuse what the given sizes make impossible; what depends on the data is found where it is used."""
        limits = []
        if self.data.train_size is not None:
            size = f"data.train_size ({self.data.train_size})"
            below = self.data.train_size - 1
            limits += [
                ("pca.n_components", self.pca.n_components, below, f"below {size}"),
                ("isomap.n_neighbors or its search", self.isomap.most_neighbors, below, f"below {size}"),
                ("isomap.n_landmarks", self.isomap.n_landmarks or 0, below + 1, f"at most {size}"),
                ("latent_explore.map_neighbors", self.latent_explore.map_neighbors, below + 1, f"at most {size}"),
                ("evaluate.k_max", self.evaluate.k_max, below, f"below {size}"),
            ]
        for key, images in (("n_samples", self.n_samples), ("data.test_size", self.data.test_size)):
            if images is not None:
                limits.append(
                    ("evaluate.n_groups", self.evaluate.n_groups, images // 2, f"at most half of {key} ({images})")
                )
        problems = [f"{key} ({value}) must be {rule}" for key, value, limit, rule in limits if value > limit]
        if problems:
            raise ValueError("\n".join(problems))


class _Loader(yaml.SafeLoader):
    """Reads YAML, and refuses a key that stands twice in a section, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in first:
                    raise yaml.constructor.ConstructorError(
                        f"{key.value} stands here", first[key.value], "and again", key.start_mark
                    )
                first[key.value] = key.start_mark
        return super().construct_mapping(node, deep=deep)


def load(path: Path) -> Params:
    """Read and check a params file.

    Raises:
        ParamsError: it is no YAML, has a key twice, or something in it is unknown, of the wrong type, impossible or
            contradictory.
    """
    try:
        content = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ParamsError(f"cannot be read: {error}") from error
    return validate(Params, content)


def main() -> None:
    """Check one params file; exit with 1 and a line for each mistake when it has any."""
    parser = argparse.ArgumentParser(description="Check a params file.")
    parser.add_argument("path", type=Path, nargs="?", default=Path("params.yaml"))
    path = parser.parse_args().path
    try:
        load(path)
    except ParamsError as error:
        sys.exit("\n".join(f"{path}: {line}" for line in str(error).splitlines()))


if __name__ == "__main__":
    main()

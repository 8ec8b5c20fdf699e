"""The whole of params.yaml. `python -m latentbench.params.file params.yaml` says what is wrong with one.

No stage imports this module: it knows every section, so a change of any would rerun every stage.
"""

import argparse
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import create_model, model_validator

from latentbench import plugins
from latentbench.params.autoencoders import AutoencoderParams, VAEParams
from latentbench.params.base import ParamsError, Section, validate
from latentbench.params.classifier import ClassifierParams
from latentbench.params.data import Data
from latentbench.params.diffusion import LatentDiffusionParams, PixelDiffusionParams
from latentbench.params.diffusion_explore import DiffusionExploreParams
from latentbench.params.evaluate import EvaluateParams
from latentbench.params.latent_explore import LatentExploreParams
from latentbench.params.project import Project
from latentbench.params.reduction import IsomapParams, PCAParams
from latentbench.params.rows import Rows

_RECIPES: dict[str, type[Section]] = {
    "pca": PCAParams,
    "isomap": IsomapParams,
    "ae": AutoencoderParams,
    "vae": VAEParams,
    "diffusion": PixelDiffusionParams,
}
_FORMATS = "latentbench.data.formats"
_SAMPLERS = "latentbench.diffusion.samplers"
_ARCHITECTURES = {"ae": "latentbench.networks.autoencoders", "vae": "latentbench.networks.vaes"}


class Params(Project):
    """All of params.yaml but the sections of the rows, which `model_of` adds."""

    rows: Rows
    data: Data
    classifier: ClassifierParams
    latent_explore: LatentExploreParams
    diffusion_explore: DiffusionExploreParams
    evaluate: EvaluateParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        _check_choice("data.format", self.data.format, _FORMATS)
        for family, package in _ARCHITECTURES.items():
            for row in getattr(self.rows, family):
                _check_choice(f"{row}.architecture", getattr(self, row).architecture, package)
        for row in self.rows.diffusion:
            _check_choice(f"{row}.sampling.sampler", getattr(self, row).sampling.sampler, _SAMPLERS)
            self._check_calls(row)
        self._check_dimensions()
        self._check_classes()
        self._check_features()
        self._check_sizes()
        return self

    def _check_dimensions(self) -> None:
        for row in self.rows.coders():
            size = getattr(self, row).latent_dim or self.latent_dim
            beyond = [d for d in self.latent_explore.dimensions or [] if d >= size]
            if beyond:
                raise ValueError(f"latent_explore.dimensions {beyond} must be below latent_dim ({size}), of {row}")
        for row in self.rows.isomap:
            isomap = getattr(self, row)
            if isomap.n_landmarks is not None and isomap.most_components >= isomap.n_landmarks:
                raise ValueError(
                    f"{row}.n_components ({isomap.n_components}) and {row}.search.n_components "
                    f"{isomap.search.n_components} must be below {row}.n_landmarks ({isomap.n_landmarks})"
                )

    def _check_classes(self) -> None:
        named = [*(self.latent_explore.interpolations or []), *(self.latent_explore.arithmetic or [])]
        unknown = sorted({name for names in named for name in names} - set(self.data.classes))
        if unknown:
            raise ValueError(f"latent_explore names classes that data.classes does not have: {', '.join(unknown)}")

    def _check_features(self) -> None:
        if self.evaluate.features not in ("classifier", *self.rows.pca):
            raise ValueError(
                f"evaluate.features ({self.evaluate.features}) must be classifier or a row of rows.pca "
                f"({', '.join(self.rows.pca) or 'which has none'})"
            )

    def _check_calls(self, row: str) -> None:
        """Refuse more sampling steps, evenly in time, than a process of discrete steps has."""
        section: PixelDiffusionParams | LatentDiffusionParams = getattr(self, row)
        if section.process.schedule not in ("linear", "cosine") or section.sampling.spacing != "time":
            return
        n_steps = section.process.n_steps
        most = max(*self.diffusion_explore.calls, self.diffusion_explore.inpaint_calls)
        for name, calls in (
            (f"{row}.sampling.calls", section.sampling.calls),
            ("diffusion_explore.calls or inpaint_calls", most),
        ):
            if calls > n_steps:
                raise ValueError(
                    f"{name} ({calls}) must be at most {row}.process.n_steps ({n_steps}), or take another spacing"
                )

    def _check_sizes(self) -> None:
        """Refuse what the given sizes make impossible; what depends on the data is found where it is used."""
        limits = []
        if self.data.train_size is not None:
            size = f"data.train_size ({self.data.train_size})"
            below = self.data.train_size - 1
            limits += [
                (f"{row}.n_components", getattr(self, row).n_components, below, f"below {size}")
                for row in self.rows.pca
            ]
            for row in self.rows.isomap:
                isomap = getattr(self, row)
                limits += [
                    (f"{row}.n_neighbors or its search", isomap.most_neighbors, below, f"below {size}"),
                    (f"{row}.n_landmarks", isomap.n_landmarks or 0, below + 1, f"at most {size}"),
                ]
            limits += [
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


def _check_choice(key: str, name: str, package: str) -> None:
    if name not in plugins.names(package):
        folder = package.replace(".", "/")
        raise ValueError(f"{key}: there is no {name!r} in {folder}; there are {', '.join(plugins.names(package))}")


def model_of(content: Mapping[str, Any]) -> type[Params]:
    """Return the model of a params file with this content: a section for each row that it lists.

    Raises:
        ParamsError: the rows themselves are wrong, or one is named like another section.
    """
    assert isinstance(content, Mapping)
    rows = validate(Rows, content["rows"], "rows")
    taken = sorted(set(rows.all()) & set(Params.model_fields))
    if taken:
        raise ParamsError(f"rows: a row must have another name than {', '.join(taken)}, which params.yaml has already")
    fields: dict[str, Any] = {
        row: (_recipe(family, content.get(row)), ...) for family in _RECIPES for row in getattr(rows, family)
    }
    return create_model("Params", __base__=Params, **fields)


def _recipe(family: str, section: object) -> type[Section]:
    if family == "diffusion" and isinstance(section, Mapping) and section.get("space") == "latents":
        return LatentDiffusionParams
    return _RECIPES[family]


def check(content: object) -> Params:
    """Return the content of a params file as its model; the recipes of rows that it does not list are left out.

    Raises:
        ParamsError: something in it is unknown, of the wrong type, impossible or contradictory.
    """
    if not isinstance(content, Mapping):
        return validate(Params, content)
    model = model_of(content) if "rows" in content else Params
    kept = {key: value for key, value in content.items() if key in model.model_fields or not isinstance(value, Mapping)}
    return validate(model, kept)


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
    return check(content)


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

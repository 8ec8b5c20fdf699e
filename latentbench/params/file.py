"""The whole of params.yaml. `python -m latentbench.params.file params.yaml` reports what is wrong with it.

No stage imports this module: it knows every section, so a change to any of them would rerun every stage.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import create_model, model_validator

from latentbench import plugins
from latentbench.params import dataset, reductions
from latentbench.params.autoencoders import AutoencoderParams, VAEParams
from latentbench.params.base import ParamsError, Section, read, validate
from latentbench.params.classifier import ClassifierParams
from latentbench.params.data import Data
from latentbench.params.densities import DensitiesParams
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
    "reductions": reductions.Reduction,
    "ae": AutoencoderParams,
    "vae": VAEParams,
    "diffusion": PixelDiffusionParams,
}
_RAW = Path("data/raw/dataset.json")  # what the stage download recorded about the files that it read
_SAMPLERS, _DENSITIES = "latentbench.diffusion.samplers", "latentbench.densities"
_ARCHITECTURES = {"ae": "latentbench.networks.autoencoders", "vae": "latentbench.networks.vaes"}


class Params(Project):
    """All of params.yaml except the sections of the rows, which `model_of` adds."""

    rows: Rows
    data: Data
    classifier: ClassifierParams
    densities: DensitiesParams
    latent_explore: LatentExploreParams
    diffusion_explore: DiffusionExploreParams
    evaluate: EvaluateParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        for family, package in _ARCHITECTURES.items():
            for row in getattr(self.rows, family):
                _check_choice(f"{row}.architecture", getattr(self, row).architecture, package)
        for row in self.rows.diffusion:
            _check_choice(f"{row}.sampling.sampler", getattr(self, row).sampling.sampler, _SAMPLERS)
            self._check_calls(row)
        for name in self.densities.compared:
            _check_choice("densities.compared", name, _DENSITIES)
        self._check_dimensions()
        self._check_classes()
        self._check_features()
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
        known = dataset.load(self.data.dataset).classes if named else None
        unknown = sorted({name for names in named for name in names} - set(known or []))
        if unknown and known is not None:  # otherwise the files name the classes, and the stage checks them
            raise ValueError(
                f"latent_explore names classes that {dataset.FOLDER}/{self.data.dataset}.yaml does not have: "
                f"{', '.join(unknown)}"
            )

    def _check_features(self) -> None:
        if self.evaluate.features not in ("auto", "classifier", *self.rows.pca):
            raise ValueError(
                f"evaluate.features ({self.evaluate.features}) must be auto, classifier or a row of rows.pca "
                f"({', '.join(self.rows.pca) or 'which is empty'})"
            )

    def _check_calls(self, row: str) -> None:
        """Refuse more sampling steps, evenly spaced in time, than a process of discrete steps has."""
        section: PixelDiffusionParams | LatentDiffusionParams = getattr(self, row)
        if section.process.schedule not in ("linear", "cosine") or section.sampling.spacing != "time":
            return
        n_steps = section.process.n_steps
        explored = self.diffusion_explore
        most = max(*explored.calls, explored.inpaint_calls, explored.inversion_steps)
        for name, calls in (
            (f"{row}.sampling.calls", section.sampling.calls),
            ("diffusion_explore.calls, inversion_steps or inpaint_calls", most),
        ):
            if calls > n_steps:
                raise ValueError(
                    f"{name} ({calls}) must be at most {row}.process.n_steps ({n_steps}), or choose another spacing"
                )


def _check_choice(key: str, name: str, package: str) -> None:
    if name not in plugins.names(package):
        folder = package.replace(".", "/")
        raise ValueError(f"{key}: there is no {name!r} in {folder}; choose one of {', '.join(plugins.names(package))}")


def model_of(content: Mapping[str, Any]) -> type[Params]:
    """Return the model of a params file with this content: a section for each row that it lists.

    Raises:
        ParamsError: the rows themselves are wrong, or one has the name of another section.
    """
    assert isinstance(content, Mapping)
    rows = validate(Rows, content["rows"], "rows")
    taken = sorted(set(rows.all()) & set(Params.model_fields))
    if taken:
        raise ParamsError(f"rows: a row must not be named {', '.join(taken)}: params.yaml already uses that name")
    fields: dict[str, Any] = {
        row: (_recipe(family, content.get(row)), ...) for family in _RECIPES for row in getattr(rows, family)
    }
    return create_model("Params", __base__=Params, **fields)


def _recipe(family: str, section: object) -> type[Section]:
    if family == "diffusion" and isinstance(section, Mapping) and section.get("space") == "latents":
        return LatentDiffusionParams
    if family == "reductions":
        return reductions.model_of(section)
    return _RECIPES[family]


def check(content: object) -> Params:
    """Return the content of a params file as its model; the recipes of rows that it does not list are ignored.

    Raises:
        ParamsError: something in it is unknown, of the wrong type, impossible or contradictory.
    """
    if not isinstance(content, Mapping):
        return validate(Params, content)
    model = model_of(content) if "rows" in content else Params
    kept = {key: value for key, value in content.items() if key in model.model_fields or not isinstance(value, Mapping)}
    return validate(model, kept)


def load(path: Path) -> Params:
    """Read and check a params file.

    Raises:
        ParamsError: it is not YAML, has a key twice, or something in it is unknown, of the wrong type, impossible or
            contradictory.
    """
    try:
        content = read(path)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ParamsError(f"cannot be read: {error}") from error
    return check(content)


def check_source(params: Params) -> None:
    """Make sure that the dataset is described, and that the user's own files are still those that `download` read.

    Both relative to the working directory.

    Raises:
        ParamsError: its description is wrong, or a file in the folder that they came from is new, gone or changed.
    """
    described = dataset.load(params.data.dataset)
    if not _RAW.is_file() or os.environ.get("DVC_STAGE") == "download":
        return
    raw = json.loads(_RAW.read_text(encoding="utf-8"))
    if "folder" not in raw or raw["folder"] not in [source.folder for source in described.sources]:
        return
    if dataset.fingerprint(described, Path(raw["folder"])) != raw["fingerprint"]:
        raise ParamsError(
            f"data.dataset: files in {raw['folder']} have changed since they were read: "
            "read them again with 'dvc repro --force download'"
        )


def main() -> None:
    """Check one params file; exit with 1 and a line for each mistake if there are any."""
    parser = argparse.ArgumentParser(description="Check a params file.")
    parser.add_argument("path", type=Path, nargs="?", default=Path("params.yaml"))
    path = parser.parse_args().path
    try:
        check_source(load(path))
    except ParamsError as error:
        sys.exit("\n".join(f"{path}: {line}" for line in str(error).splitlines()))


if __name__ == "__main__":
    main()

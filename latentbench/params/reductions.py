"""The sections of `rows.reductions`: each has a method that is fitted in one go, and its params."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from latentbench.params.base import Section

Components = Annotated[int, Field(ge=1, le=4096)]


class Reduction(Section):
    """What all of them share.

    If the method is none of these, the other params are not checked: they cannot be known.
    """

    model_config = ConfigDict(extra="ignore")

    method: Literal["kernel_pca", "patches", "random_projection", "supervised", "tsne", "umap"]
    n_components: Components


class RandomProjection(Reduction):
    """`latentbench.methods.random_projection`."""

    model_config = ConfigDict(extra="forbid")


class Supervised(Reduction):
    """`latentbench.methods.supervised`."""

    model_config = ConfigDict(extra="forbid")


class KernelPCA(Reduction):
    """`latentbench.methods.kernel_pca`."""

    model_config = ConfigDict(extra="forbid")

    n_landmarks: Annotated[int, Field(ge=2, le=10_000)]
    bandwidth: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _landmarks_span_components(self) -> "KernelPCA":
        if self.n_components > self.n_landmarks:
            raise ValueError(f"n_components ({self.n_components}) must be at most n_landmarks ({self.n_landmarks})")
        return self


class Patches(Reduction):
    """`latentbench.methods.patches`."""

    model_config = ConfigDict(extra="forbid")

    n_filters: Annotated[int, Field(ge=1, le=1024)]
    patch_size: Annotated[int, Field(ge=3, le=15)]
    n_cells: Annotated[int, Field(ge=1, le=32)]

    @model_validator(mode="after")
    def _patches_have_a_middle(self) -> "Patches":
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size must be odd: a patch has a pixel in its middle; not {self.patch_size}")
        return self


class UMAP(Reduction):
    """`latentbench.methods.umap`."""

    model_config = ConfigDict(extra="forbid")

    n_neighbors: Annotated[int, Field(ge=2, le=200)]
    min_dist: Annotated[float, Field(ge=0)]
    spread: Annotated[float, Field(gt=0)]
    n_epochs: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _neighbours_have_room(self) -> "UMAP":
        if self.min_dist >= self.spread:
            raise ValueError(f"min_dist ({self.min_dist}) must be below spread ({self.spread})")
        return self


class TSNE(Reduction):
    """`latentbench.methods.tsne`."""

    model_config = ConfigDict(extra="forbid")

    n_components: Annotated[int, Field(ge=1, le=2)]
    perplexity: Annotated[float, Field(ge=2)]
    n_iter: Annotated[int, Field(ge=1)]


MODELS: dict[object, type[Reduction]] = {
    "kernel_pca": KernelPCA,
    "patches": Patches,
    "random_projection": RandomProjection,
    "supervised": Supervised,
    "tsne": TSNE,
    "umap": UMAP,
}


def model_of(section: object) -> type[Reduction]:
    """Return the model of a row's section, by the method that it names; `Reduction` if it names none."""
    method = section.get("method") if isinstance(section, Mapping) else None
    return MODELS.get(method, Reduction) if isinstance(method, str) else Reduction

"""The `pca` and `isomap` sections."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section

Components = Annotated[int, Field(ge=1)]


class PCAParams(Section):
    """The `pca` section."""

    n_components: Components | None
    standardize: bool
    rule: Literal["variance", "knn"]
    variance_share: Annotated[float, Field(gt=0, le=1)]
    reconstructions: Annotated[list[Components], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _enough_components(self) -> Self:
        if self.n_components and max(self.reconstructions) > self.n_components:
            raise ValueError(
                f"reconstructions {self.reconstructions} must be at most n_components ({self.n_components})"
            )
        return self


class IsomapSearch(Section):
    """Candidates besides the embedding that is kept."""

    n_neighbors: list[Annotated[int, Field(ge=1)]]
    n_components: list[Components]


class IsomapParams(Section):
    """The `isomap` section."""

    n_neighbors: Annotated[int, Field(ge=1)] | None
    radius: Annotated[float, Field(gt=0)] | None
    p: Annotated[int, Field(ge=1, le=2)]  # with Literal[1, 2], true would be allowed
    n_components: Components
    n_landmarks: Annotated[int, Field(ge=2)] | None
    neighbors: Literal["exact", "cells"]
    n_probes: Annotated[int, Field(ge=1)]
    on_disk: bool
    n_sheets: Annotated[int, Field(ge=2, le=100)]
    search: IsomapSearch

    @model_validator(mode="after")
    def _one_neighborhood(self) -> Self:
        if (self.n_neighbors is None) == (self.radius is None):
            raise ValueError(
                f"one of n_neighbors ({self.n_neighbors}) and radius ({self.radius}) must be set, the other null"
            )
        if self.neighbors == "cells" and (self.n_neighbors is None or self.p != 2):
            raise ValueError("neighbors: cells finds n_neighbors by Euclidean distance: radius must be null, and p 2")
        return self

    @property
    def most_components(self) -> int:
        """The most components that any candidate has."""
        return max(self.n_components, *self.search.n_components, 0)

    @property
    def most_neighbors(self) -> int:
        """The most neighbours that any candidate has; 0 for neighbourhoods by radius."""
        return max(self.n_neighbors, *self.search.n_neighbors, 0) if self.n_neighbors else 0

"""The `pca` and `isomap` sections."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section

Components = Annotated[int, Field(ge=1)]


class PCAParams(Section):
    """The `pca` section."""

    n_components: Components
    standardize: bool
    variance_share: Annotated[float, Field(gt=0, le=1)]
    reconstructions: Annotated[list[Components], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _enough_components(self) -> Self:
        if max(self.reconstructions) > self.n_components:
            raise ValueError(
                f"reconstructions {self.reconstructions} must be at most n_components ({self.n_components})"
            )
        return self


class IsomapParams(Section):
    """The `isomap` section."""

    n_neighbors: Annotated[int, Field(ge=1)]
    n_components: Components
    n_landmarks: Annotated[int, Field(ge=2)]

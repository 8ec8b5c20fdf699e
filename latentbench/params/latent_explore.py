"""The `latent_explore` section."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section

Dimension = Annotated[int, Field(ge=0)]


class LatentExploreParams(Section):
    """The `latent_explore` section."""

    dimensions: Annotated[list[Dimension], Field(min_length=2, max_length=2)] | None
    map_points: Annotated[int, Field(ge=100)]
    map_neighbors: Annotated[int, Field(ge=2, le=200)]
    interpolation_steps: Annotated[int, Field(ge=3, le=30)]
    interpolations: (
        Annotated[
            list[Annotated[list[str], Field(min_length=2, max_length=2)]],
            Field(min_length=1, max_length=8),
        ]
        | None
    )
    arithmetic: (
        Annotated[
            list[Annotated[list[str], Field(min_length=3, max_length=3)]],
            Field(min_length=1, max_length=8),
        ]
        | None
    )
    n_prior_samples: Annotated[int, Field(ge=100)]

    @model_validator(mode="after")
    def _map_has_neighbors(self) -> Self:
        if self.map_neighbors > self.map_points:
            raise ValueError(f"map_neighbors ({self.map_neighbors}) must be at most map_points ({self.map_points})")
        return self

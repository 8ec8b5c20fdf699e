"""The `latent_explore` section."""

from typing import Annotated

from pydantic import Field

from latentbench.params.base import Section

Dimension = Annotated[int, Field(ge=0)]


class LatentExploreParams(Section):
    """The `latent_explore` section."""

    dimensions: Annotated[list[Dimension], Field(min_length=2, max_length=2)] | None
    interpolation_steps: Annotated[int, Field(ge=3, le=30)]
    n_prior_samples: Annotated[int, Field(ge=100)]

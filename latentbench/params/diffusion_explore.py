"""The `diffusion_explore` section."""

from typing import Annotated

from pydantic import Field

from latentbench.params.base import Section

_Share = Annotated[float, Field(gt=0, le=1)]


class DiffusionExploreParams(Section):
    """The `diffusion_explore` section."""

    n_compared: Annotated[int, Field(ge=50)]
    calls: Annotated[list[Annotated[int, Field(ge=3)]], Field(min_length=1)]
    n_edited: Annotated[int, Field(ge=10)]
    inversion_steps: Annotated[int, Field(ge=2)]
    inpaint_calls: Annotated[int, Field(ge=3)]
    inpaint_repeats: Annotated[int, Field(ge=1)]
    inpaint_draws: Annotated[int, Field(ge=2)]
    strengths: Annotated[list[_Share], Field(min_length=1)]

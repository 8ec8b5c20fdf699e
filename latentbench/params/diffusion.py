"""The `diffusion` section."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section
from latentbench.params.training import Training


class DiffusionParams(Section):
    """The `diffusion` section."""

    schedule: Literal["linear", "cosine"]
    n_steps: Annotated[int, Field(ge=21, le=100_000)]
    prediction: Literal["eps", "x0", "v"]
    channels: Annotated[int, Field(ge=8, multiple_of=8)]
    sampling_steps: Annotated[int, Field(ge=2)]
    eta: Annotated[float, Field(ge=0, le=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    training: Training

    @model_validator(mode="after")
    def _calls_within_steps(self) -> Self:
        if self.sampling_steps > self.n_steps:
            raise ValueError(f"sampling_steps ({self.sampling_steps}) must be at most n_steps ({self.n_steps})")
        return self

"""The params at the top level of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from latentbench.params.base import Section

LatentDim = Annotated[int, Field(ge=1, le=4096)]


class Project(Section):
    """Scalars that several stages share; each stage declares those it reads."""

    latent_dim: LatentDim
    n_samples: Annotated[int, Field(ge=100, le=1_000_000)]
    seed: Annotated[int, Field(ge=0)]
    budget: Annotated[float, Field(gt=0, le=1000)]
    threads: Annotated[int, Field(ge=1)]
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool
    diffusion_preset: Literal["small", "large"]

    @field_validator("threads", mode="before")
    @classmethod
    def _not_the_machines(cls, threads: object) -> object:
        if threads is None:
            raise ValueError("it must be a valid integer, not None: results must depend on it, not on the machine")
        return threads

"""The sections of diffusion models."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section
from latentbench.params.training import Training


class Process(Section):
    """What the network learns; `latentbench.diffusion` explains each choice."""

    schedule: Literal["linear", "cosine", "karras", "flow"]
    n_steps: Annotated[int, Field(ge=21, le=100_000)]
    prediction: Literal["eps", "x0", "v", "karras", "flow"]
    weighting: Literal["output", "eps", "min_snr"]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Sampling(Section):
    """How samples are drawn; `latentbench.diffusion.models.Sampling` explains each param."""

    sampler: str
    calls: Annotated[int, Field(ge=3)]
    spacing: Literal["time", "log", "rho"]
    eta: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _eta_is_of_ddim(self) -> Self:
        if self.eta and self.sampler != "ddim":
            raise ValueError(f"eta ({self.eta:g}) must be 0 for the sampler {self.sampler}: only ddim uses it")
        return self


class Guidance(Section):
    """Whether the network is trained with classes, and how strongly samples follow them."""

    scale: Annotated[float, Field(ge=0)]
    dropped_share: Annotated[float, Field(gt=0, lt=1)]


class Autoguidance(Section):
    """How far samples keep away from those of a guide: a network half as wide, trained for a share of the images."""

    scale: Annotated[float, Field(ge=1)]
    share: Annotated[float, Field(gt=0, le=1)]


class PixelSize(Section):
    """A network on pixels, and its training."""

    channels: Annotated[int, Field(ge=8, multiple_of=8)]
    training: Training

    def network(self) -> dict[str, int]:
        """Return what the network is built with."""
        return {"channels": self.channels}

    def guide(self) -> dict[str, int]:
        """Return what the network of the guide is built with."""
        return {"channels": max(8, self.channels // 16 * 8)}


class Coder(Section):
    """The autoencoder of a latent space, and its training."""

    latent_dim: Annotated[int, Field(ge=1)]
    noise: Annotated[float, Field(ge=0)]
    texture: Annotated[float, Field(ge=0)]
    training: Training


class LatentSize(Section):
    """A network on latents, and its training."""

    coder: Coder
    width: Annotated[int, Field(ge=8, multiple_of=4)]
    n_blocks: Annotated[int, Field(ge=1)]
    training: Training

    def network(self) -> dict[str, int]:
        """Return what the network is built with."""
        return {"width": self.width, "n_blocks": self.n_blocks}

    def guide(self) -> dict[str, int]:
        """Return what the network of the guide is built with."""
        return {"width": max(8, self.width // 8 * 4), "n_blocks": self.n_blocks}


class DiffusionParams(Section):
    """What the sections of all diffusion models share: each row of `rows.diffusion` has one, named after the row."""

    space: Literal["pixels", "latents"]
    process: Process
    sampling: Sampling
    autoguidance: Autoguidance | None
    guidance: Guidance | None


class PixelDiffusionParams(DiffusionParams):
    """A diffusion model on pixels."""

    small: PixelSize
    large: PixelSize


class LatentDiffusionParams(DiffusionParams):
    """A diffusion model on the latents of its own autoencoder."""

    small: LatentSize
    large: LatentSize

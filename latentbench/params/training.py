"""The `training` section that every network has."""

from typing import Annotated, Literal

from pydantic import Field

from latentbench.params.base import Section


class Training(Section):
    """How one network is trained; `latentbench.training.Plan` explains each param.

    Its length is in images seen, not in passes over the data, so it is the same for few images as for many.
    """

    images: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: Literal["muon", "adamw"]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    schedule: Literal["constant", "cosine"]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    patience: Annotated[int, Field(ge=1)] | None
    min_delta: Annotated[float, Field(ge=0)]

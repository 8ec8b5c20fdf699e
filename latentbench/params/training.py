"""The `training` section that every network has."""

from typing import Annotated, Literal

from pydantic import Field

from latentbench.params.base import Section


class Training(Section):
    """How one network is trained; `latentbench.training.Plan` says what each means."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    schedule: Literal["constant", "cosine"]
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    patience: Annotated[int, Field(ge=1)] | None
    min_delta: Annotated[float, Field(ge=0)]

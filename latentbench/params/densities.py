"""The `densities` section."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section


class DensitiesParams(Section):
    """The `densities` section: which densities are fitted to latents after training, and drawn from."""

    compared: list[str]
    components: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_stands_once(self) -> Self:
        for name in ("compared", "components"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise ValueError(f"list each of {name} only once, not as in {given}")
        return self

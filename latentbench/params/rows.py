"""The `rows` section: what is compared."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section

Row = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

_TAKEN = ("raw", "raw_l1", "real", "real_validation", "mean", "classifier")  # rows and names that always exist


class Rows(Section):
    """The rows of the comparison by the stage that makes them, in the order of tables; a list may be empty.

    The raw pixels and real images are always compared as well.
    """

    pca: list[Row]
    isomap: list[Row]
    reductions: list[Row]
    ae: list[Row]
    vae: list[Row]
    diffusion: list[Row]

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        names = self.all()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"list each row only once, not {', '.join(twice)} twice")
        taken = [name for name in names if name in _TAKEN or name.endswith("_guided")]
        if taken:
            raise ValueError(f"a row must not be named {', '.join(taken)}: the comparison itself uses that name")
        return self

    def all(self) -> list[str]:
        """Return every row, in the order of tables."""
        return [*self.pca, *self.isomap, *self.reductions, *self.coders(), *self.diffusion]

    def coders(self) -> list[str]:
        """Return the rows whose latent spaces are explored."""
        return [*self.ae, *self.vae]

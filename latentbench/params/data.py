"""The `data` section: where the images come from and which of them are used."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from latentbench.params.base import Section


class Source(Section):
    """One place to take the four files from: exactly one of the three."""

    folder: str | None = None
    http: Annotated[str, Field(pattern=r"^https?://")] | None = None
    debian: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")] | None = None

    @field_validator("http", mode="before")
    @classmethod
    def _no_secrets(cls, address: object) -> object:
        """Refuse them before any other rule would tell the address."""
        if isinstance(address, str) and ("@" in address or "?" in address):
            raise ValueError("it must hold no name, password or query: params.yaml is in git, and addresses are logged")
        return address

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ("folder", "http", "debian") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a source has exactly one of folder, http, debian, not {' and '.join(given) or 'none'}")
        if self.folder is not None and not Path(self.folder).is_absolute():
            raise ValueError(f"folder must be an absolute path (experiments run in other folders), not {self.folder!r}")
        return self


class File(Section):
    """What one of the four files is called in a source, and what its uncompressed content must hash to."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Files(Section):
    """The four files of a dataset."""

    train_images: File
    train_labels: File
    t10k_images: File
    t10k_labels: File


class Data(Section):
    """The `data` section."""

    sources: Annotated[list[Source], Field(min_length=1)]
    format: str
    files: Files
    classes: Annotated[list[str], Field(min_length=2, max_length=256)]
    train_size: Annotated[int, Field(ge=100)] | None
    test_size: Annotated[int, Field(gt=100)] | None  # twice the largest neighbourhood that evaluate looks at
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _distinct_classes(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {self.classes} must differ from each other")
        return self

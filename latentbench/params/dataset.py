"""A dataset's own file, `datasets/<name>.yaml`: what it is, where it is, and how its files are read."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from latentbench.params.base import ParamsError, Section, validate

FOLDER = Path("datasets")
SMALLEST, LARGEST = 8, 128  # pixels of a side of an image

Side = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
Level = Annotated[int, Field(ge=0, le=255)]


class Source(Section):
    """One place to take the files from: exactly one of the five."""

    folder: str | None = None
    http: Annotated[str, Field(pattern=r"^https?://")] | None = None
    debian: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")] | None = None
    python: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    hub: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)+(@[\w./-]+)?$")] | None = None

    @field_validator("http", mode="before")
    @classmethod
    def _no_secrets(cls, address: object) -> object:
        """Refuse secrets before any other rule could show the address."""
        if isinstance(address, str) and ("@" in address or "?" in address):
            raise ValueError(
                "it must not contain a user name, password or query: the file is in git, and addresses are logged"
            )
        return address

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        kinds = list(type(self).model_fields)
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a source must have exactly one of {', '.join(kinds)}, not {' and '.join(given) or 'none'}"
            )
        if self.folder is not None and not Path(self.folder).is_absolute():
            raise ValueError(f"folder must be an absolute path (experiments run in other folders), not {self.folder!r}")
        return self


class File(Section):
    """One file of a dataset.

    Attributes:
        name: its name in a source, where it may also end in `.gz`.
        member: which file inside it to use, if it is a zip or tar archive.
        sha256: of its content, uncompressed if the file is gzipped.
        md5: of the file as published.
    """

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    member: Annotated[str, Field(min_length=1)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None


class Description(Section):
    """A dataset.

    Attributes:
        title: for people.
        licence, citation, home: what its publisher says about it.
        format: of the files: a module in latentbench/data/formats.
        sources: the first one that works is taken.
        files: by role, as the format defines it: `train_images`, for example. Empty for a folder of pictures.
        classes: names of the labels 0, 1, ...; None if the files name them, or if there are no labels.
        channels: 1 for grey, 3 for colour; None to keep what the files have.
        size: height and width; None to keep what the files have.
        fit: how to bring a picture of another shape to `size`.
        background: what shows where a picture is transparent, or was padded: a grey level, or red, green and blue.
        options: other options of the format.
    """

    title: Annotated[str, Field(min_length=1)]
    licence: str | None = None
    citation: str | None = None
    home: str | None = None
    format: str
    sources: Annotated[list[Source], Field(min_length=1)]
    files: dict[str, File] = Field(default_factory=dict)
    classes: Annotated[list[str], Field(min_length=2, max_length=1000)] | None = None
    channels: Literal[1, 3] | None = None
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    fit: Literal["crop", "pad", "stretch"] = "crop"
    background: Level | Annotated[list[Level], Field(min_length=3, max_length=3)] = 0
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _distinct_classes(self) -> Self:
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {self.classes} must differ from each other")
        return self


def fingerprint(description: Description, folder: Path) -> str | None:
    """Return a hash of names, sizes and times, which shows whether the files of a source folder have changed.

    None if every file has a checksum, which shows more.
    """
    if not description.files:
        watched = sorted(path for path in folder.rglob("*") if path.is_file())
    elif all(file.sha256 or file.md5 for file in description.files.values()):
        return None
    else:
        names = {name for file in description.files.values() for name in (file.name, f"{file.name}.gz")}
        watched = sorted(folder / name for name in names if (folder / name).is_file())
    digest = hashlib.sha256()
    for path in watched:
        known = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{known.st_size}\0{known.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def names() -> list[str]:
    """Return the names of the available datasets, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Description:
    """Read and check the file of a dataset, relative to the working directory.

    Raises:
        ParamsError: there is no such file, it is not YAML, or something in it is wrong.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ParamsError(
            f"data.dataset: there is no {path}; available: {', '.join(names()) or 'none'} "
            "('make dataset' writes the file for your own folder)"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ParamsError(f"{path} cannot be read: {error}") from error
    try:
        return validate(Description, content)
    except ParamsError as error:
        raise ParamsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None

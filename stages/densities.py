"""Where the densities of latents lie, and what rows of the table of generators they make."""

from pathlib import Path

from latentbench.core import artifacts

_FOLDER = Path("data/densities")
_LIST = "densities.json"
CALLS = 1  # of the decoder, for an image


def name(row: str, density: str) -> str:
    """Return the name of the row that a density of the latents of another makes, such as "ae_dense+mixture"."""
    return f"{row}+{density}"


def folder(row: str) -> Path:
    """Folder of the densities of the latents of a row: a folder for each, and a list of them."""
    return _FOLDER / row


def samples(row: str, density: str) -> Path:
    """Images decoded from draws of a density, (n, c, h, w) uint8."""
    return folder(row) / density / "samples.npy"


def write_list(path: Path, densities: list[str]) -> None:
    """Keep in a folder of a row which densities it holds, in order; it may be none."""
    artifacts.write_json(path / _LIST, {"densities": densities})


def read_list(path: Path) -> list[str]:
    """Read it back.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    return list(artifacts.read_json(path / _LIST)["densities"])

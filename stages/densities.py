"""Where the densities of latents are kept, and which rows of the table of generators they make."""

from pathlib import Path

from latentbench.core import artifacts

_FOLDER = Path("data/densities")
_LIST = "densities.json"
CALLS = 1  # of the decoder, per image


def name(row: str, density: str) -> str:
    """Return the name of the row for a density of another row's latents, such as "ae_dense+mixture"."""
    return f"{row}+{density}"


def folder(row: str) -> Path:
    """Folder of the densities of the latents of a row: a folder for each, and a list of them."""
    return _FOLDER / row


def samples(row: str, density: str) -> Path:
    """Images decoded from draws of a density, (n, c, h, w) uint8."""
    return folder(row) / density / "samples.npy"


def write_list(path: Path, densities: list[str]) -> None:
    """Save in a row's folder which densities it holds, in order; there may be none."""
    artifacts.write_json(path / _LIST, {"densities": densities})


def read_list(path: Path) -> list[str]:
    """Read it back.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    return list(artifacts.read_json(path / _LIST)["densities"])

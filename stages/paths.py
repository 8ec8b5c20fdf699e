"""Where the stages keep their files."""

from pathlib import Path

RAW = Path("data/raw")
PROCESSED = Path("data/processed")
METRICS = Path("metrics")
OUTCOMES = Path("data/outcomes")  # the outcomes of each test image in the comparison of representations
TARGET = Path("data/target")  # the test images that samples are compared with, as their judges see them
EXPLORER, EXPLORER_LIBRARIES = Path("data/explorer"), Path("data/explorer_libraries")


def model(row: str) -> Path:
    """Folder of the fitted model of a row of the comparison."""
    return Path("data/models") / row


def embedding(row: str, split: str) -> Path:
    """The representation of the "train" or "test" images by a row, (n, dims) float32."""
    return Path("data/embeddings") / row / f"{split}.npy"


def samples(row: str) -> Path:
    """Images that a row generated, (n, c, h, w) uint8."""
    return Path("data/samples") / row / "any.npy"


def guided_samples(row: str) -> Path:
    """Likewise, images that cycle through the classes; only for a row that was trained with guidance."""
    return Path("data/samples") / row / "guided.npy"


def inpainted(row: str) -> Path:
    """Fillings of test images whose lower half was removed, (draws, n, c, h, w) uint8."""
    return Path("data/inpainted") / f"{row}.npy"


def judged(row: str) -> Path:
    """Folder of the judgements of a row's images."""
    return Path("data/judged") / row


def maps(row: str) -> Path:
    """Folder of the maps of a row's latents: what they are made of, and the positions of "train" and "test" images."""
    return Path("data/maps") / row


def timing(name: str) -> Path:
    """What a stage cost."""
    return Path("data/timing") / f"{name}.json"

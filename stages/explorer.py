"""Join what every preset wrote into one page that any static server can serve: the latent explorer."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from latentbench.core import artifacts
from latentbench.data import background
from latentbench.data.dataset import Dataset
from latentbench.diffusion import models as diffusion_models
from latentbench.diffusion.models import Sampling
from latentbench.params.rows import Rows
from stages import leftovers, lifecycle, paths

_PAGE = Path("explorer")
_MOST_CALLS = 50  # of a denoiser per sample: people wait for it


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("explorer") as view:
        leftovers.remove()
        rows = view.section(Rows, "rows")
        dataset = Dataset(paths.PROCESSED)
        _copy_page()
        _write_images(dataset)
        description = {
            "dataset": {
                **dict(zip(("channels", "height", "width"), dataset.train_images.shape[1:], strict=True)),
                "background": background.brightness(dataset.train_images),
                "classes": list(dataset.classes),
                "n_train": len(dataset.train_images),
                "n_test": len(dataset.test_images),
            },
            "models": [_write_model(row) for row in rows.coders()],
            "diffusion": [_write_diffusion(row) for row in rows.diffusion],
        }
        artifacts.write_json(paths.EXPLORER / "data/explorer.json", description)


def _copy_page() -> None:
    for path in sorted(_PAGE.rglob("*")):
        place = path.relative_to(_PAGE)
        if path.is_file() and place.parts[0] != "libraries":  # those are the sources of the libraries
            artifacts.write_bytes(paths.EXPLORER / place, artifacts.read_bytes(path))
    for path in sorted(paths.EXPLORER_LIBRARIES.iterdir()):
        artifacts.write_bytes(paths.EXPLORER / "libraries" / path.name, artifacts.read_bytes(path))


def _write_images(dataset: Dataset) -> None:
    for split, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, dataset.test_labels),
    ):
        packed = gzip.compress(np.ascontiguousarray(images).tobytes(), compresslevel=6, mtime=0)
        artifacts.write_bytes(paths.EXPLORER / "data/images" / f"{split}.bin.gz", packed)
        artifacts.write_bytes(paths.EXPLORER / "data/labels" / f"{split}.bin", np.ascontiguousarray(labels).tobytes())


def _write_model(row: str) -> dict[str, Any]:
    """Write what the page needs of an autoencoder or VAE; return its description for the page."""
    folder = paths.EXPLORER / "data/models" / row
    for part in ("encoder.onnx", "decoder.onnx"):
        artifacts.write_bytes(folder / part, artifacts.read_bytes(paths.model(row) / part))
    placed = [artifacts.read_array(paths.maps(row) / f"{split}.npy") for split in ("train", "test")]
    maps = np.concatenate(placed).transpose(1, 0, 2)  # (n_maps, n_train + n_test, 2)
    artifacts.write_bytes(folder / "maps.bin", _floats(maps))
    arrays, description = artifacts.read_model(paths.maps(row))
    latents = artifacts.read_array(paths.embedding(row, "train"))
    artifacts.write_bytes(folder / "anchors.bin", _floats(latents[arrays["fitted_index"]]))
    facts = {"latents": {"dimensions": arrays["dimensions"].tolist()}, "neighbors": {}}
    if "components" in arrays:
        facts["pca"] = {"components": [_rounded(line) for line in arrays["components"]]}
    return {
        "row": row,
        "family": artifacts.read_model(paths.model(row))[1]["method"],
        "latent_dim": latents.shape[1],
        "maps": [{"name": name, **facts[name]} for name in description["maps"]],
        "mean": _rounded(arrays["mean"]),
        "deviation": _rounded(arrays["deviation"]),
        "order": arrays["order"].tolist(),
        "importance": _rounded(arrays["importance"]),
        "ordered_by": description["ordered_by"],
        "anchor_index": arrays["fitted_index"].tolist(),
    }


def _write_diffusion(row: str) -> dict[str, Any]:
    """Write what the page needs of a diffusion model; return its description for the page.

    The page samples with DPM-Solver++(2M), whatever the pipeline sampled with.
    """
    folder = paths.EXPLORER / "data/diffusion" / row
    for part in sorted(paths.model(row).glob("*.onnx")):
        artifacts.write_bytes(folder / part.name, artifacts.read_bytes(part))
    model, description = diffusion_models.load(paths.model(row))
    trained = description["sampling"]
    sampling = Sampling("dpm_solver", min(trained["calls"], _MOST_CALLS), trained["spacing"])
    return {
        "row": row,
        "shape": list(model.shape),
        "limits": None if model.space.limits is None else list(model.space.limits),
        "levels": model.path(sampling),
        "classes_known": model.n_classes is not None,
        "guidance": description["guidance"],
    }


def _floats(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


def _rounded(values: np.ndarray) -> list[float]:
    """Return numbers rounded to the digits of float32."""
    return [float(f"{value:.8g}") for value in values]


if __name__ == "__main__":
    main()

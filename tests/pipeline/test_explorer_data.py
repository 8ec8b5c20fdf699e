"""What the explorer's page is given is what the stages before it wrote."""

import gzip
import math

import numpy as np
import pytest

from latentbench.core import artifacts
from tests.pipeline.workspace import SMALL, Workspace

CODERS = [*SMALL["rows.ae"], *SMALL["rows.vae"]]


def floats(content: bytes, *shape: int) -> np.ndarray:
    return np.frombuffer(content, dtype="<f4").reshape(shape)


def test_images_and_labels_are_those_of_the_dataset(finished: Workspace) -> None:
    data, processed = finished.folder / "data/explorer/data", finished.folder / "data/processed"
    facts = artifacts.read_json(data / "explorer.json")["dataset"]
    assert (facts["n_train"], facts["n_test"]) == (SMALL["data.train_size"], SMALL["data.test_size"])
    assert facts["background"] == 0  # the clothes are on black
    for split in ("train", "test"):
        images = artifacts.read_array(processed / f"{split}_images.npy")
        assert gzip.decompress((data / "images" / f"{split}.bin.gz").read_bytes()) == images.tobytes()
        labels = artifacts.read_array(processed / f"{split}_labels.npy")
        assert (data / "labels" / f"{split}.bin").read_bytes() == labels.tobytes()


def test_maps_and_anchors_go_with_the_latents(finished: Workspace) -> None:
    data = finished.folder / "data/explorer/data"
    models = artifacts.read_json(data / "explorer.json")["models"]
    assert [model["row"] for model in models] == CODERS
    for model in models:
        latents = np.concatenate(
            [
                artifacts.read_array(finished.folder / "data/embeddings" / model["row"] / f"{split}.npy")
                for split in ("train", "test")
            ]
        )
        folder, n_latents = data / "models" / model["row"], latents.shape[1]
        assert model["latent_dim"] == n_latents
        assert sorted(model["order"]) == list(range(n_latents))
        assert model["importance"] == sorted(model["importance"], reverse=True)
        names = [each["name"] for each in model["maps"]]
        assert names == ["latents", "pca", "neighbors"]
        maps = floats((folder / "maps.bin").read_bytes(), len(names), len(latents), 2)
        np.testing.assert_array_equal(maps[0], latents[:, model["maps"][0]["dimensions"]])
        flat = (latents - np.array(model["mean"])) @ np.array(model["maps"][1]["components"]).T
        np.testing.assert_allclose(maps[1], flat, atol=1e-4 * np.abs(flat).max())
        anchors = floats((folder / "anchors.bin").read_bytes(), -1, n_latents)
        np.testing.assert_array_equal(anchors, latents[model["anchor_index"]])
        for part in ("encoder.onnx", "decoder.onnx"):
            written = finished.folder / "data/models" / model["row"] / part
            assert (folder / part).read_bytes() == written.read_bytes()


def test_denoisers_come_with_the_levels_they_are_called_at(finished: Workspace) -> None:
    data = finished.folder / "data/explorer/data"
    rows = artifacts.read_json(data / "explorer.json")["diffusion"]
    assert [row["row"] for row in rows] == ["diffusion", "diffusion_latent"]
    for row in rows:
        assert len(row["levels"]) == SMALL["diffusion.sampling.calls"] + 1
        assert row["levels"] == sorted(row["levels"], reverse=True)
        assert row["levels"][-1] == 0.0 < row["levels"][-2]
        assert (data / "diffusion" / row["row"] / "denoiser.onnx").is_file()
    pixels, latents = rows
    assert (pixels["shape"], pixels["limits"]) == ([1, 28, 28], [-1.0, 1.0])
    assert (math.prod(latents["shape"]), latents["limits"]) == (SMALL["diffusion_latent.small.coder.latent_dim"], None)
    assert latents["guidance"] == pytest.approx(2.0)
    assert (pixels["classes_known"], latents["classes_known"]) == (False, True)

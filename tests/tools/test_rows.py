"""What is told of a row by its name."""

import json
from pathlib import Path

import pytest
import yaml

from tools.lib import rows

FAMILIES = {
    "raw": "pixels",
    "raw_l1": "pixels",
    "pca": "pca",
    "isomap": "isomap",
    "ae_dense": "ae",
    "vae_residual": "vae",
    "diffusion": "diffusion",
    "diffusion_latent": "diffusion",
    "diffusion_latent_guided": "guided",
    "real": "real",
    "real_validation": "real",
    "another": "another",
}


@pytest.mark.parametrize("row", FAMILIES)
def test_a_row_has_a_family(row: str) -> None:
    assert rows.family_of(row) == FAMILIES[row]


def test_every_committed_row_is_of_a_family_that_is_known(root: Path) -> None:
    committed = {
        row
        for name in ("representations", "generators", "likelihoods")
        for row in json.loads((root / "metrics" / "evaluate" / f"{name}.json").read_text(encoding="utf-8"))
    }
    assert len(committed) > 10
    assert {rows.family_of(row) for row in committed} <= set(FAMILIES.values()) - {"another"}


def test_rows_of_a_family_keep_their_order() -> None:
    assert rows.of_family("vae", ["vae_conv", "ae_conv", "vae_a", "diffusion"]) == ["vae_conv", "vae_a"]
    assert rows.of_family("diffusion", ["diffusion_latent", "diffusion_guided"]) == ["diffusion_latent"]
    assert [row for row in FAMILIES if not rows.is_drawn(row)] == ["raw", "raw_l1", "pca"]


def test_a_row_has_its_params_and_a_param_its_row(root: Path) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    assert rows.params_of("vae_dense", params) == params["vae"]["dense"]
    assert rows.params_of("diffusion_latent", params) == params["diffusion_latent"]
    assert rows.params_of("diffusion_latent_guided", params) is rows.params_of("vae_none", params) is None
    there = ["pca", "ae_dense", "vae_dense"]
    assert rows.of_param("vae.dense.beta", there) == "vae_dense"
    assert rows.of_param("pca.n_components", there) == "pca"
    assert rows.of_param("seed", there) is rows.of_param("vae.conv.beta", there) is None

"""What the params of a run tell of its rows."""

import json
from pathlib import Path

import pytest
import yaml

from tools.lib import rows
from tools.lib.experiments import ExperimentError

PARAMS = {
    "rows": {
        "pca": ["pca", "whitened"],
        "isomap": ["isomap"],
        "ae": ["first"],
        "vae": ["second", "vae_dense"],
        "diffusion": ["diffusion", "third"],
    }
}
FAMILIES = {
    "raw": "pixels",
    "raw_l1": "pixels",
    "pca": "pca",
    "whitened": "pca",
    "isomap": "isomap",
    "first": "ae",
    "second": "vae",
    "vae_dense": "vae",
    "diffusion": "diffusion",
    "third": "diffusion",
    "third_guided": "guided",
    "first+mixture": "density",
    "vae_dense+gaussian": "density",
    "real": "real",
    "real_validation": "real",
}


@pytest.mark.parametrize("row", FAMILIES)
def test_a_row_has_the_family_that_the_params_say_whatever_its_name(row: str) -> None:
    assert rows.family_of(row, PARAMS) == FAMILIES[row]


def test_every_committed_row_is_of_a_family(root: Path) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    committed = {
        row
        for name in ("representations", "generators", "likelihoods")
        for row in json.loads((root / "metrics" / "evaluate" / f"{name}.json").read_text(encoding="utf-8"))
    }
    assert len(committed) > 10
    assert {rows.family_of(row, params) for row in committed} <= {*FAMILIES.values(), "reductions"}


def test_who_was_taught_the_classes_is_known_by_its_method() -> None:
    params = {"ceiling": {"method": "supervised"}, "umap": {"method": "umap"}, "ae_dense": {"architecture": "dense"}}
    assert [row for row in ("raw", *params) if rows.is_taught(row, params)] == ["ceiling"]


def test_rows_of_a_family_keep_their_order() -> None:
    assert rows.of_family("vae", ["vae_dense", "first", "second", "third"], PARAMS) == ["vae_dense", "second"]
    assert rows.of_family("diffusion", ["third", "third_guided"], PARAMS) == ["third"]
    assert [row for row in FAMILIES if not rows.is_drawn(row, PARAMS)] == ["raw", "raw_l1", "pca", "whitened"]


def test_a_param_has_its_row() -> None:
    there = ["pca", "ae_dense", "vae_dense"]
    assert rows.of_param("vae_dense.beta", there) == "vae_dense"
    assert rows.of_param("pca.n_components", there) == "pca"
    assert rows.of_param("seed", there) is rows.of_param("vae_conv.beta", there) is None


def test_what_no_params_list_is_told() -> None:
    with pytest.raises(ExperimentError, match="lists no row fourth"):
        rows.family_of("fourth", PARAMS)
    for row in ("fourth+mixture", "pca+mixture"):
        with pytest.raises(ExperimentError, match="lists no row"):
            rows.family_of(row, PARAMS)
    with pytest.raises(ExperimentError, match="made by an older version"):
        rows.family_of("pca", {"ae": {"dense": {}}})

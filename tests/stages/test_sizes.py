"""What a small dataset does not allow is cut to what fits, and said; what fits stays as it is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from latentbench.params.base import validate
from latentbench.params.reduction import IsomapParams, PCAParams
from stages import isomap, pca, sizes


@pytest.fixture(scope="module")
def params(root: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")))


def test_a_size_that_fits_is_kept_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes.at_most("a.key", 5, 5, "for 6 images") == 5
    assert capsys.readouterr().err == ""


def test_a_size_that_does_not_is_cut_and_the_key_and_the_reason_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes.at_most("a.key", 6, 5, "for 6 images") == 5
    assert capsys.readouterr().err == "a.key: 6 is cut to 5, the maximum for 6 images\n"


@pytest.mark.parametrize(("n", "p", "most"), [(60_000, 784, 256), (60_000, 64, 64), (160, 784, 159), (2, 784, 1)])
def test_components_are_at_most_those_that_there_are(params: dict[str, Any], n: int, p: int, most: int) -> None:
    given = validate(PCAParams, params["pca"])
    assert pca._fitting("pca", given, n, p) == (most, sorted({min(10, most), min(184, most)}))


def test_no_number_of_components_stands_for_all(params: dict[str, Any]) -> None:
    given = validate(PCAParams, params["pca"] | {"n_components": None})
    assert pca._fitting("pca", given, 60_000, 784) == (784, [10, 184])
    assert pca._fitting("pca", given, 160, 784) == (159, [10, 159])


def test_landmarks_and_neighbours_are_at_most_the_images(params: dict[str, Any]) -> None:
    given = validate(IsomapParams, params["isomap"])
    assert isomap._fitting("isomap", given, 60_000) == given
    found = isomap._fitting("isomap", given, 8)
    assert (found.n_landmarks, found.n_neighbors, found.n_components) == (8, 5, 7)
    assert (found.search.n_neighbors, found.search.n_components) == ([5, 7], [7, 7, 7])
    by_radius = given.model_copy(update={"n_neighbors": None, "radius": 2.0, "n_landmarks": None})
    found = isomap._fitting("isomap", by_radius, 20)
    assert (found.n_landmarks, found.n_neighbors, found.n_components) == (None, None, 10)
    assert found.search.n_components == [10, 19, 19]

"""params.yaml: strict, with errors that name key, value and what is allowed; views that see what is declared."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from latentbench.params import file
from latentbench.params.autoencoders import AutoencoderParams
from latentbench.params.base import ParamsError, UndeclaredParamError, View
from latentbench.params.project import Project
from tests.params.mistakes import with_every_row, with_value

# What the tests below speak of; the rest is as in the working tree, which may hold an experiment.
PINNED = {
    "latent_dim": 64,
    "n_samples": 10_000,
    "data.train_size": None,
    "data.test_size": None,
    "pca.n_components": 256,
    "isomap.n_landmarks": 1000,
    "diffusion.process.n_steps": 1000,
}


@pytest.fixture(scope="module")
def params(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for key, value in PINNED.items():
        content = with_value(content, key, value)
    return with_every_row(content)


def leaves(section: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in section.items():
        found += leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return found


def test_the_file_is_right(params: dict[str, Any], root: Path) -> None:
    assert file.load(root / "params.yaml").data.dataset == "fashion_mnist"
    assert file.check(params).latent_dim == 64


def test_every_key_refuses_a_value_of_the_wrong_type(params: dict[str, Any]) -> None:
    keys = leaves(params)
    assert len(keys) > 50
    for key in keys:
        with pytest.raises(ParamsError) as caught:
            file.check(with_value(params, key, {"no": "value"}))
        assert key in str(caught.value), f"the error for {key} does not name it: {caught.value}"


def test_every_section_refuses_an_unknown_key_and_names_those_it_knows(params: dict[str, Any]) -> None:
    sections = {key.rpartition(".")[0] for key in leaves(params)}
    for section in sections:
        key = f"{section}.latent_dimm" if section else "latent_dimm"
        with pytest.raises(ParamsError, match="there is no such param") as caught:
            file.check(with_value(params, key, 5))
        assert key in str(caught.value)
        assert "allowed here: " in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("latent_dim", 0, "greater than or equal to 1, not 0"),
        ("latent_dim", "64", "text, not a number"),
        ("latent_dim", True, "valid integer, not True"),
        ("vae_dense.beta", -0.5, "greater than or equal to 0, not -0.5"),
        ("vae_dense.beta", float("nan"), "finite number"),
        ("ae_dense.training.learning_rate", "1e-3", "text, not a number"),
        ("diffusion.process.prediction", "noise", "'eps', 'x0', 'v', 'karras' or 'flow'"),
        ("diffusion.process.schedule", "quadratic", "'linear', 'cosine', 'karras' or 'flow'"),
        ("diffusion.sampling.eta", 0.5, "eta (0.5) must be 0 for the sampler dpm_solver"),
        ("diffusion.small.channels", 12, "multiple of 8"),
        ("diffusion_preset", "huge", "'small' or 'large'"),
        ("data.dataset", "../mine", "pattern"),
        ("data.test_share", 1.0, "less than 1"),
        ("vae_conv.beta_warmup_share", 1.0, "less than 1"),
        ("budget", 0.0, "greater than 0"),
        ("ae_dense.training.optimizer", "adam", "'muon' or 'adamw'"),
        ("vae_residual.likelihood", "gaussian", "'bernoulli', 'discretized_logistic' or 'autoregressive_logistic'"),
        ("ae_dense.training.clip_norm", 0.0, "greater than 0"),
        ("ae_dense.training.warmup_share", -1.0, "greater than or equal to 0"),
        ("device", "gpu", "'auto', 'cpu', 'cuda' or 'mps'"),
        ("precision", "float16", "'auto', 'float32' or 'bfloat16'"),
        ("evaluate.importance_samples", 0, "greater than or equal to 1"),
        ("pca.reconstructions", [300], "at most n_components (256)"),
        ("isomap.n_components", 1000, "below isomap.n_landmarks (1000)"),
        ("isomap.radius", 2.0, "one of n_neighbors (5) and radius (2.0)"),
        ("isomap.p", 3, "less than or equal to 2, not 3"),
        ("isomap.p", True, "valid integer, not True"),
        ("umap.method", "lle", "'tsne' or 'umap', not 'lle'"),
        ("umap.method", None, "'tsne' or 'umap', not None"),
        ("umap.min_dist", 1.0, "min_dist (1.0) must be below spread (1.0)"),
        ("tsne.n_components", 3, "less than or equal to 2, not 3"),
        ("kernel_pca.n_landmarks", 100, "n_components (256) must be at most n_landmarks (100)"),
        ("patches.patch_size", 4, "must be odd"),
        ("diffusion.autoguidance.scale", 0.5, "greater than or equal to 1"),
        ("latent_explore.dimensions", [0, 64], "below latent_dim (64)"),
        ("latent_explore.map_neighbors", 1, "greater than or equal to 2"),
        ("latent_explore.interpolations", [["Bag", "Sock"]], "does not have: Sock"),
        ("latent_explore.arithmetic", [["Bag", "Coat"]], "at least 3 items"),
    ],
)
def test_impossible_values_are_told(params: dict[str, Any], key: str, value: object, says: str) -> None:
    with pytest.raises(ParamsError) as caught:
        file.check(with_value(params, key, value))
    assert says in str(caught.value)
    assert key.rsplit(".", maxsplit=1)[-1] in str(caught.value) or key.split(".", maxsplit=1)[0] in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"latent_explore.map_points": 150, "latent_explore.map_neighbors": 160},
            "(160) must be at most map_points (150)",
        ),
        ({"isomap.n_landmarks": 20}, "isomap.search.n_components [10, 20, 30] must be below isomap.n_landmarks (20)"),
        (
            {"densities.compared": ["flow"]},
            "densities.compared: there is no 'flow' in latentbench/densities; choose one of",
        ),
        ({"densities.components": [5, 5]}, "list each of components only once, not as in [5, 5]"),
        (
            {"ae_dense.latent_dim": 2, "latent_explore.dimensions": [0, 5]},
            "[5] must be below latent_dim (2), of ae_dense",
        ),
    ],
)
def test_contradictions_are_told_before_any_work(params: dict[str, Any], changes: dict[str, Any], says: str) -> None:
    for key, value in changes.items():
        params = with_value(params, key, value)
    with pytest.raises(ParamsError) as caught:
        file.check(params)
    assert says in str(caught.value)


def test_all_mistakes_are_told_at_once_by_the_command(params: dict[str, Any], root: Path, tmp_path: Path) -> None:
    content = with_value(with_value(params, "latent_dim", -1), "ae_conv.training.images", "many")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "latentbench.params.file", str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 2
    assert "latent_dim" in lines[0]
    assert "ae_conv.training.images" in lines[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"latent_dim: [1", "cannot be read: while parsing"),
        (b"latent_dim: \xff", "cannot be read: 'utf-8' codec"),
        (b"seed: 0\nlatent_dim: 64\nlatent_dim: 32", "line 2, column 1.*\n.*and again here.*\n.*line 3"),
        (b"ae: {dense: {training: {epochs: 1, epochs: 2}}}", "epochs appears here"),
        (b"? [1, 2]\n: 3", "cannot be read: .*unhashable"),
        (b"a: " + b"[" * 5000, "cannot be read: .*recursion"),
        (b"!!python/object/apply:os.system [true]", "cannot be read: could not determine a constructor"),
        (b"", "params.yaml: input should be a valid dictionary.*, not None"),
        (b"- latent_dim", "params.yaml: input should be a valid dictionary"),
        (b"5: 6", "5: "),
    ],
)
def test_a_file_that_is_no_params_file_is_told(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError, match=f"(?s){says}"):
        file.load(path)


def test_a_view_shows_what_is_declared_and_nothing_else(params: dict[str, Any]) -> None:
    view = View(params, ["latent_dim", "ae_dense"])
    project, preset = view.section(Project), view.section(AutoencoderParams, "ae_dense")
    assert project.latent_dim == 64
    assert preset.training.images == params["ae_dense"]["training"]["images"]
    assert view.read == {"latent_dim", "ae_dense.training.images"}
    with pytest.raises(UndeclaredParamError, match=r"'seed' is read but not declared.*ae_dense, latent_dim"):
        _ = project.seed
    with pytest.raises(UndeclaredParamError, match=r"ae_conv\.training\.images"):
        _ = view.section(AutoencoderParams, "ae_conv").training.images
    assert view.read == {"latent_dim", "ae_dense.training.images"}


def test_a_declared_name_does_not_cover_names_that_begin_alike(params: dict[str, Any]) -> None:
    view = View(params, ["ae_dense.training.image"])
    with pytest.raises(UndeclaredParamError):
        _ = view.section(AutoencoderParams, "ae_dense").training.images


@pytest.mark.parametrize("value", ["0.00001", "1.0e-5", "1E-5"])
def test_small_numbers_can_be_set_as_dvc_writes_them(root: Path, tmp_path: Path, value: str) -> None:
    """`dvc exp run -S` writes 1e-05 for each of them, which YAML 1.1 takes for text."""
    path = tmp_path / "params.yaml"
    path.write_text((root / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    apply_overrides(str(path), [f"classifier.training.learning_rate={value}"])
    assert "learning_rate: 1e-05 " in path.read_text(encoding="utf-8")
    assert file.load(path).classifier.training.learning_rate == 1e-5

"""What the page on rows says of a new autoencoder is all that it takes, and a recipe is a row of its own."""

import re
from pathlib import Path

import pandas as pd
import yaml

from latentbench.core import artifacts
from tests.docs import pages
from tests.pipeline.workspace import SMALL, Workspace, stages_run


def example(root: Path) -> str:
    """Return the worked example of the page."""
    text = (root / "docs/how-to/add_a_row.md").read_text(encoding="utf-8")
    return text.partition("## An autoencoder\n")[2].partition("\n## ")[0]


def test_a_new_autoencoder_is_a_file_and_a_section(root: Path, finished: Workspace, tmp_path: Path) -> None:
    """And two VAEs that differ in beta are two rows, by params alone; rows that were run come from the cache."""
    workspace = finished.copy(tmp_path / "copy")
    path = re.search(r"create `([\w/.]+)`", example(root))
    assert path is not None
    code, section, command = (pages.fences(example(root), language)[0] for language in ("python", "yaml", "sh"))
    (workspace.folder / path[1]).write_text(code, encoding="utf-8")
    ((row, recipe),) = yaml.safe_load(section).items()
    assert command == "dvc exp run -S 'rows.ae=[ae_dense, ae_shallow]'\n"
    params = workspace.params()
    strong = {**params["vae_dense"], "beta": 4.0}
    recipe["training"]["images"] = 3600
    text = (workspace.folder / "params.yaml").read_text(encoding="utf-8")
    added = yaml.safe_dump({row: recipe, "vae_dense_beta4": strong}, sort_keys=False)
    (workspace.folder / "params.yaml").write_text(f"{text}\n{added}", encoding="utf-8")
    workspace.commit("a new autoencoder, and a VAE with another beta")
    lists = {"isomap": "", "reductions": "", "ae": row, "vae": "vae_dense, vae_dense_beta4", "diffusion": ""}
    given = [part for name, rows in lists.items() for part in ("-S", f"rows.{name}=[{rows}]")]
    done = workspace.run("dvc", "exp", "run", *given)
    assert sorted(stages_run(done.stdout)) == sorted(
        [
            *(f"{stage}@{row}" for stage in ("ae", "latent_space_ae", "density_ae", "judge_ae")),
            *(f"{stage}@vae_dense_beta4" for stage in ("vae", "latent_space_vae", "density_vae", "judge_vae")),
            *("latent_explore", "evaluate", "explorer"),
        ]
    )
    tables = workspace.folder / "metrics" / "evaluate"
    representations = artifacts.read_json(tables / "representations.json")
    assert set(representations) == {"raw", "pca", row, "vae_dense", "vae_dense_beta4"}
    assert representations[row]["dims"] == recipe["latent_dim"]
    assert representations["vae_dense"]["dims"] == SMALL["latent_dim"]
    likelihoods = artifacts.read_json(tables / "likelihoods.json")
    assert likelihoods["vae_dense_beta4"]["kl_nats"] < likelihoods["vae_dense"]["kl_nats"]
    assert pd.read_csv(workspace.folder / "metrics/interpolation.csv")["row"].nunique() == 3
    page = artifacts.read_json(workspace.folder / "data/explorer/data/explorer.json")
    assert [model["row"] for model in page["models"]] == [row, "vae_dense", "vae_dense_beta4"]
    costs = artifacts.read_json(workspace.folder / "data/timing/costs.json")
    assert costs[row]["transform_s_per_1000"] > 0

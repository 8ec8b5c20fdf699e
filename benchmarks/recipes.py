"""The validation loss of each network over time, by the recipes of an older commit and of params.yaml.

`make benchmark-recipes` runs it. Both recipes of a network start from the same weights and take turns, an epoch each,
so that noise of the machine affects both alike; only training and validation are timed. It writes report/recipes.csv
and recipes.png.
"""

import argparse
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from latentbench import inference, seeding, threads, training
from latentbench.core import artifacts, progress
from latentbench.data.dataset import Dataset
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.networks.vaes import base as vaes
from latentbench.training import Epoch, Loss, Plan

_BASELINE = "d4138c4"  # before Muon
_FOLDER = Path("report")
_ROWS = ("ae_dense", "ae_conv", "ae_residual", "vae_dense", "vae_conv", "vae_residual")


def plan(recipe: dict[str, Any], n_images: int) -> Plan:
    """Return a recipe as a plan, whether its commit counts in epochs or in images seen."""
    values = dict(recipe)
    if "images" in values:
        values["epochs"] = values.pop("images") / n_images
        n_steps = values["epochs"] * -(-n_images // values["batch_size"])
        values["warmup_steps"] = round(values.pop("warmup_share") * n_steps)
    return Plan(**values)


def losses(row: str, section: dict[str, Any], recipe: Plan, images: Tensor, held_out: Tensor) -> Iterator[Epoch]:
    """Yield the epochs of a training of a row's network, one after each validation."""
    family, _, architecture = row.partition("_")
    torch.manual_seed(seeding.derive(0, row, "weights"))
    shape = tuple(images.shape[1:])
    loss: Loss
    if family == "ae":
        coder = autoencoders.build(architecture, shape, 64)

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            return {"loss": functional.mse_loss(coder(originals), originals)}

        network: torch.nn.Module = coder
    else:
        vae = vaes.build(architecture, shape, 64, section["likelihood"])

        def loss(batch: training.Batch) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            return vaes.negative_elbo(vae, originals, batch.normal(64), section["beta"])

        network = vae
    for event in training.fit(network, loss, [images], [held_out], recipe, seed=0):
        if isinstance(event, Epoch):
            yield event


def compare(row: str, old: dict[str, Any], new: dict[str, Any], dataset: Dataset) -> pd.DataFrame:
    """Return the validation losses of a row's network by both recipes, a line each, with the seconds spent."""
    images = torch.tensor(dataset.train_images)
    train, held_out = images[dataset.fit_index], images[dataset.validation_index]
    runs = {
        name: losses(row, section, plan(section["training"], len(train)), train, held_out)
        for name, section in (("old", old), ("new", new))
    }
    spent = dict.fromkeys(runs, 0.0)
    lines = []
    while runs:
        for name in list(runs):
            started = time.perf_counter()
            event = next(runs[name], None)
            spent[name] += time.perf_counter() - started
            if event is None:
                del runs[name]
                continue
            lines.append((row, name, event.epoch, spent[name], event.validation["loss"]))
    return pd.DataFrame(lines, columns=["row", "recipe", "epoch", "seconds", "validation_loss"])


def draw(table: pd.DataFrame) -> Figure:
    """Return a panel for each row: the losses of both recipes over seconds."""
    rows = list(dict.fromkeys(table["row"]))
    figure = Figure(figsize=(3.2 * min(3, len(rows)), 2.6 * -(-len(rows) // 3)), layout="constrained")
    for place, row in enumerate(rows, start=1):
        axes = figure.add_subplot(-(-len(rows) // 3), min(3, len(rows)), place)
        for name, colour in (("old", "0.6"), ("new", "C0")):
            curve = table[(table["row"] == row) & (table["recipe"] == name)]
            axes.plot(curve["seconds"], curve["validation_loss"], marker=".", color=colour, label=name)
        axes.set_title(row, fontsize=9)
        axes.set_xlabel("seconds")
        last = table[table["row"] == row]["validation_loss"]
        axes.set_ylim(last.min() * 0.98, last.min() * 1.5 if row.startswith("ae") else last.min() * 1.1)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("validation loss")
    figure.axes[0].legend(frameon=False)
    return figure


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*_ROWS, []], help="default: all")
    options = parser.parse_args()
    shown = subprocess.run(["git", "show", f"{_BASELINE}:params.yaml"], stdout=subprocess.PIPE, check=True)
    before, now = yaml.safe_load(shown.stdout), yaml.safe_load(artifacts.read_bytes(Path("params.yaml")))
    threads.use(now["threads"])
    dataset, tables = Dataset(Path("data/processed")), []
    for row in options.rows or _ROWS:
        family, _, architecture = row.partition("_")
        table = compare(row, before[family][architecture], now[row], dataset)
        tables.append(table)
        best = table.groupby("recipe")["validation_loss"].min()
        ends = table.groupby("recipe")["seconds"].max()
        reached = table[(table["recipe"] == "new") & (table["validation_loss"] <= best["old"])]["seconds"]
        as_good = f"as good after {reached.min():.0f} s" if len(reached) else "never as good"
        texts = {name: f"{name} {best[name]:.5g} in {ends[name]:.0f} s" for name in ("old", "new")}
        progress.note(f"{row}: {texts['old']}; {texts['new']}, {as_good}")
        artifacts.write_table(_FOLDER / "recipes.csv", pd.concat(tables))
        artifacts.write_figure(_FOLDER / "recipes.png", draw(pd.concat(tables)))


if __name__ == "__main__":
    main()

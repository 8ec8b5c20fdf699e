"""How time and memory grow with the number of images; `make benchmark-scale N=1000000` runs it.

The stages of PCA, Isomap, the dense autoencoder and the comparison run one after another on Fashion-MNIST, and on the
given number of images: its own, and seeded copies of them, mirrored and shifted by up to 3 pixels. The copies only add
size; scores on them mean nothing. PCA keeps 64 components. Isomap uses 1,000 landmarks, searches neighbours in cells
and stores paths in a file; the autoencoder sees each image twice. Each stage reports its own seconds and memory; memory
is the peak resident size, including pages of mapped files.
"""

import argparse
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from latentbench.core import artifacts, progress
from latentbench.params import base, file
from stages import paths

FOLDER = Path("scale")
_LINKED = ("latentbench", "stages", "datasets", "dvc.yaml")
_BLOCK = 10_000
_TICK_S = 0.1  # that seconds are rounded to
_REACH = 3  # pixels by which a copy is shifted, at most
STAGES = (
    "preprocess",
    "classifier",
    "pca@pca",
    "isomap@isomap",
    "ae@ae_dense",
    "judge_real",
    "judge_pca@pca",
    "judge_ae@ae_dense",
    "evaluate",
)


def sized(n: int, threads: int | None = None) -> dict[str, Any]:
    """Return the params for n train images; None takes the threads of params.yaml."""
    params = base.parse(artifacts.read_bytes(Path("params.yaml")))
    params["rows"] |= {"reductions": [], "vae": [], "diffusion": [], "ae": ["ae_dense"]}
    params["densities"]["compared"] = []
    params["pca"] |= {"n_components": 64, "reconstructions": [10, 64]}  # scores are kept of each image
    params["isomap"] |= {"neighbors": "cells", "on_disk": True, "search": {"n_neighbors": [], "n_components": []}}
    params["ae_dense"]["training"]["images"] = 2 * n
    params["classifier"]["training"]["images"] = 60_000
    params["evaluate"]["raw_l1"] = False
    params["n_samples"] = 2000
    params["threads"] = threads or params["threads"]
    file.check(params)
    return params


def copies(images: np.ndarray, n: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield n images (block, c, h, w) uint8: the original ones, and then copies, shifted and mirrored."""
    for start in range(0, n, _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, n))
        block = np.array(images[numbers % len(images)])
        for place, number in enumerate(numbers):
            if number < len(images):
                continue
            shift = generator.integers(-_REACH, _REACH + 1, 2)
            one = block[place][..., ::-1] if generator.random() < 0.5 else block[place]
            block[place] = np.roll(one, shift, axis=(1, 2))
        yield block


def prepare(folder: Path, n: int, raw: Path, threads: int | None) -> None:
    """Make a workspace with n train images."""
    if folder.exists():
        shutil.rmtree(folder)
    there = folder / paths.RAW
    there.mkdir(parents=True)
    for name in _LINKED:
        (folder / name).symlink_to(Path(name).resolve())
    images, labels = (artifacts.read_array(raw / f"train_{kind}.npy") for kind in ("images", "labels"))
    blocks = copies(images, n, np.random.default_rng(0))
    n_blocks = -(-n // _BLOCK)
    shown = progress.bar(blocks, desc=f"{n:,} images", unit="block", total=n_blocks)
    artifacts.write_blocks(there / "train_images.npy", (n, *images.shape[1:]), np.uint8, shown)
    artifacts.write_array(there / "train_labels.npy", np.resize(labels, n))
    for name in ("test_images.npy", "test_labels.npy", "dataset.json"):
        shutil.copyfile(raw / name, there / name)
    artifacts.write_text(folder / "params.yaml", yaml.safe_dump(sized(n, threads), sort_keys=False))


def measure(folder: Path) -> dict[str, Mapping[str, float]]:
    """Run the stages; return the costs that each reports."""
    described = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    found = {}
    for stage in STAGES:
        name, _, row = stage.partition("@")
        print(f"-- {stage}", file=sys.stderr, flush=True)
        _, *command = described[name]["cmd"].replace("${item.row}", row).split()
        subprocess.run([sys.executable, *command], cwd=folder, check=True)
        found[stage] = artifacts.read_json(folder / paths.timing(stage))
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[60_000, 1_000_000], help="numbers of train images")
    parser.add_argument("--threads", type=int, help="of each stage (default: as params.yaml has it)")
    options = parser.parse_args()
    sizes = sorted(options.sizes)
    costs = {}
    for n in sizes:
        prepare(FOLDER / str(n), n, paths.RAW, options.threads)
        costs[n] = measure(FOLDER / str(n))
        recall = artifacts.read_json(FOLDER / str(n) / "metrics/isomap/metrics.json")["neighbors_recall"]
        print(f"{n:,} images: {recall:.3f} of the neighbours were found in cells", flush=True)
    print("| stage | " + " | ".join(f"{n:,} images" for n in sizes) + " | time grows as n to the |")
    print("|---" * (len(sizes) + 2) + "|")
    for stage in STAGES:
        cells = [f"{costs[n][stage]['seconds']:.0f} s, {costs[n][stage]['peak_memory_mib']:.0f} MiB" for n in sizes]
        first, last = (max(costs[n][stage]["seconds"], _TICK_S) for n in (sizes[0], sizes[-1]))
        growth = f"{math.log(last / first) / math.log(sizes[-1] / sizes[0]):.2f}" if len(sizes) > 1 else ""
        print(f"| {stage} | " + " | ".join(cells) + f" | {growth} |")


if __name__ == "__main__":
    main()

"""How fast a folder of JPEGs is read, against Pillow alone; `make benchmark-reading` runs it.

Pictures of 256 x 256 pixels are resized to 64 x 64. They are parts of the two photographs that scikit-learn ships: a
thousand different ones, linked under as many names as needed. Pillow's own rate comes from a loop over some of them in
one process, which only reads, decodes and resizes.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from latentbench import machine
from latentbench.data.formats import images
from latentbench.data.formats.base import Wanted

_SIDE, _SIZE = 256, (64, 64)
_N_DIFFERENT = 1000
_N_ALONE = 2000  # that Pillow reads by itself


def write(folder: Path, n: int) -> None:
    """Write n JPEGs in two classes."""
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    for number in range(n):
        label = number % len(photographs)
        path = folder / f"photograph_{label}" / f"{number:06}.jpg"
        path.parent.mkdir(exist_ok=True)
        if number >= _N_DIFFERENT:
            first = number % _N_DIFFERENT
            path.hardlink_to(folder / f"photograph_{first % len(photographs)}" / f"{first:06}.jpg")
            continue
        whole = photographs[label]
        row, column = (int(rng.integers(0, length - _SIDE + 1)) for length in whole.shape[:2])
        Image.fromarray(whole[row : row + _SIDE, column : column + _SIDE]).save(path, quality=90)


def alone(paths: list[Path]) -> float:
    """Return the images per second of a loop that calls Pillow and keeps nothing."""
    started = time.perf_counter()
    for path in paths:
        with Image.open(path) as opened:
            opened.draft(None, (2 * _SIZE[1], 2 * _SIZE[0]))
            np.asarray(ImageOps.fit(opened.convert("RGB"), _SIZE, Image.Resampling.LANCZOS))
    return len(paths) / (time.perf_counter() - started)


def peak_mib() -> float:
    """Return the largest peak memory of this process and its children, in MiB; mapped files count."""
    factor = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / factor


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, help="default: 100,000")
    n = parser.parse_args().images
    with tempfile.TemporaryDirectory() as room:
        folder, work = Path(room) / "pictures", Path(room) / "work"
        folder.mkdir()
        work.mkdir()
        write(folder, n)
        one = alone(sorted(folder.rglob("*.jpg"))[:_N_ALONE])
        started = time.perf_counter()
        found = images.read({"": folder}, Wanted(3, _SIZE, "crop", 0, {}, work))
        rate = n / (time.perf_counter() - started)
        result = found.splits["train"].images.nbytes / 2**20
    cores = machine.n_cores()
    print(
        f"{n} JPEGs: {rate:.0f} images per second on {cores} cores, Pillow alone {one:.0f} on one core: "
        f"{rate / (one * cores):.2f} of the rate of all cores; peak memory of a process {peak_mib():.0f} MiB, "
        f"of which the result, a memory map, is up to {result:.0f}"
    )


if __name__ == "__main__":
    main()

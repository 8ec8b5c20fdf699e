"""Cut a dataset of colour patches from photographs: each photograph is a class, and its rightmost fifth is for testing.

`python -m benchmarks.patches PHOTOGRAPHS FOLDER --side 32` writes FOLDER/{train,test}/<photograph>/<number>.png, which
`make dataset NAME=patches FROM=FOLDER` describes. No pixel is in both parts.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from latentbench.core import progress

_TEST_SHARE = 0.2  # of the width of each photograph


def cut(
    photograph: np.ndarray, side: int, n_train: int, n_test: int, generator: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Return square patches of a photograph (height, width, 3), at random places of each part.

    Raises:
        ValueError: a part is smaller than a patch.
    """
    height, width = photograph.shape[:2]
    edge = round(width * (1 - _TEST_SHARE))
    if min(height, width - edge, edge) < side:
        raise ValueError(f"patches of {side} pixels do not fit in {_TEST_SHARE:.0%} of {height} x {width}")
    patches = {}
    for part, n, first, last in (("train", n_train, 0, edge - side), ("test", n_test, edge, width - side)):
        tops, lefts = generator.integers(0, height - side + 1, n), generator.integers(first, last + 1, n)
        patches[part] = [
            photograph[top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)
        ]
    return patches


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="a folder of pictures")
    parser.add_argument("folder", type=Path, help="where the patches go")
    parser.add_argument("--side", type=int, default=32, help="pixels of a side (default: 32)")
    parser.add_argument("--train", type=int, default=500, help="train patches per photograph (default: 500)")
    parser.add_argument("--test", type=int, default=100, help="test patches per photograph (default: 100)")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    for path in progress.bar(sorted(options.photographs.iterdir()), desc="photographs", unit="photograph"):
        photograph = np.asarray(Image.open(path).convert("RGB"))
        for part, patches in cut(photograph, options.side, options.train, options.test, generator).items():
            place = options.folder / part / path.stem
            place.mkdir(parents=True)
            for number, patch in enumerate(patches):
                Image.fromarray(patch).save(place / f"{number:04}.png")


if __name__ == "__main__":
    main()

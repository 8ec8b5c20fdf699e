"""Draw images from a trained diffusion model, without the pipeline: `python -m latentbench.sample --help`."""

import argparse
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image

from latentbench import devices
from latentbench.core import artifacts, progress
from latentbench.core.errors import InputError, LatentbenchError
from latentbench.diffusion import models, schedules
from latentbench.diffusion.models import DiffusionModel, Sampling
from latentbench.diffusion.samplers import base as samplers
from latentbench.mosaics import mosaic

_GAP = 2  # white pixels between images
_WHITE = 255


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    try:
        images = draw(options)
        write(options.out, images)
    except LatentbenchError as error:
        sys.exit(f"sample: {error}")
    progress.note(f"written: {options.out}, {len(images)} images")


def draw(options: argparse.Namespace) -> np.ndarray:
    """Return the requested images, (n, c, h, w) uint8.

    Raises:
        ArtifactError: there is no model at `options.model`, or it is damaged.
        InputError: the model is of another kind, the requested class does not exist or the model was trained without
            classes, or an option contradicts the others.
        WeightsError: the weights do not match the description beside them.
    """
    model, description = models.load(options.model)
    trained = description["sampling"]
    sampling = Sampling(
        sampler=options.sampler or trained["sampler"],
        calls=options.calls or trained["calls"],
        spacing=options.spacing or trained["spacing"],
        eta=options.eta if options.eta is not None else trained["eta"] if options.sampler is None else 0.0,
        autoguidance=trained.get("autoguidance", 1.0) if options.autoguidance is None else options.autoguidance,
    )
    model.path(sampling)  # fails early if the options are impossible
    if options.guidance is not None and options.label is None:
        raise InputError("--guidance needs a --class to follow")
    # A model trained with classes has its own scale; the others do not use one.
    guidance = options.guidance if options.guidance is not None else description["guidance"]
    if guidance is None:
        guidance = 1.0
    label = None if options.label is None else _label(options.label, description["classes"], model)
    model.to(devices.use(options.device))
    labels = None if label is None else torch.full((options.number,), label)
    drawn = model.draw(options.seed, range(options.number), sampling, labels, guidance, "samples")
    return drawn.numpy()


def write(path: Path, images: np.ndarray) -> None:
    """Write images (n, c, h, w) uint8 as an array (.npy) or as a picture of all of them (.png)."""
    if path.suffix == ".npy":
        artifacts.write_array(path, images)
        return
    buffer = io.BytesIO()
    sheet = grid(images)
    Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).save(buffer, format="png")
    artifacts.write_bytes(path, buffer.getvalue())


def grid(images: np.ndarray) -> np.ndarray:
    """Lay out images (n, c, h, w) uint8 in a square with white gaps, (rows, columns, channels) uint8."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    whole = np.full((rows * columns, *images.shape[1:]), _WHITE, dtype=np.uint8)
    whole[: len(images)] = images
    return mosaic(whole.reshape(rows, columns, *images.shape[1:]), _GAP, _WHITE)


def _label(wanted: str, classes: Sequence[str], model: DiffusionModel) -> int:
    if model.n_classes is None:
        raise InputError("this model was trained without classes: train one with the param 'guidance' of its section")
    if wanted in classes:
        return list(classes).index(wanted)
    if wanted.isdecimal() and int(wanted) < len(classes):
        return int(wanted)
    raise InputError(
        f"there is no class {wanted!r}; choose a number from 0 to {len(classes) - 1} or a name: {', '.join(classes)}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m latentbench.sample", description=__doc__)
    parser.add_argument("out", type=_out, help="what to write: .png for a picture of all images, .npy for an array")
    parser.add_argument("-n", "--number", type=_positive, default=64, help="how many images (default: 64)")
    parser.add_argument(
        "--model", type=Path, default=Path("data/models/diffusion_latent"), help="folder (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="image i of a seed is the same for any number (default: 0)")
    parser.add_argument("--class", dest="label", help="class name or number, if the model was trained with classes")
    parser.add_argument(
        "--autoguidance",
        type=float,
        help="how far to keep away from the guide, 1 for not at all (default: the model's own)",
    )
    parser.add_argument("--guidance", type=float, help="how strongly to follow the class (default: the model's own)")
    parser.add_argument("--sampler", choices=samplers.names(), help="default: the model's own")
    parser.add_argument("--calls", type=_positive, help="network calls for each image (default: the model's own)")
    parser.add_argument("--spacing", choices=get_args(schedules.Spacing), help="default: the model's own")
    parser.add_argument("--eta", type=float, help="share of fresh noise, for ddim only (default: the model's own)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _out(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".npy"):
        raise argparse.ArgumentTypeError(f"must end in .png or .npy, not {text!r}")
    return path


if __name__ == "__main__":
    main()

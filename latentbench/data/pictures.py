"""Decodes pictures into images of one shape: of any mode that Pillow reads, upright, on a background, resized."""

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from latentbench.core import progress
from latentbench.data.formats.base import FormatError

# Pictures with more pixels are refused: a small file may unpack to any number.
MOST_PIXELS = 100_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
_TASK = 64  # pictures given to a process at a time
_WHITE = 255

P = TypeVar("P", bound=Path | bytes)


def decoded(
    picture: Path | bytes,
    channels: int | None,
    size: tuple[int, int] | None,
    fit: str = "crop",
    background: int | tuple[int, int, int] = 0,
) -> np.ndarray:
    """Return the first frame of a picture as (channels, height, width) uint8.

    Its EXIF orientation is applied; where it is transparent, the background shows. 16-bit grey is scaled to 8 bits.
    Colour becomes grey by ITU-R 601-2 luma. Resizing uses a Lanczos filter, which averages when it shrinks.

    Args:
        picture: a file, or its content.
        channels: 1 or 3; None to keep its own.
        size: height and width; None to keep its own.
        fit: what to do if its shape differs from `size`: "crop" cuts off the excess, evenly at both ends; "pad" adds
            background on both sides; "stretch" distorts it.
        background: a grey level, or red, green and blue.

    Raises:
        FormatError: it is not a picture, is damaged, or has more than 100 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module="PIL")  # about flaws that it works around
            with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=_FORMATS) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise FormatError(f"oversized: {opened.width} x {opened.height} pixels")
                if size is not None and opened.format == "JPEG":
                    opened.draft(None, (2 * size[1], 2 * size[0]))  # decoded at a fraction of its size
                image = _flat(ImageOps.exif_transpose(opened), background)
    except FormatError:
        raise
    except Exception as error:  # Pillow's readers raise a dozen kinds of errors
        raise FormatError(f"this is not a complete picture: {type(error).__name__}: {error}") from error
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        image = _fitted(image, size, fit, background)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def resized(
    images: np.ndarray, channels: int, size: tuple[int, int], fit: str, background: int | tuple[int, int, int]
) -> Iterator[np.ndarray]:
    """Yield images (n, channels, height, width) uint8 one by one, as `decoded` does a picture of the same pixels."""
    for image in images:
        opened = Image.fromarray(np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)))
        pixels = np.asarray(_fitted(opened.convert("L" if channels == 1 else "RGB"), size, fit, background))
        yield pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode_all(
    pictures: Sequence[P],
    decode: Callable[[P], np.ndarray],
    whole: np.ndarray,
    label: str,
    processes: int,
) -> None:
    """Decode pictures into `whole` (n, channels, height, width), several at a time, with a progress bar.

    Args:
        pictures: files or their contents.
        decode: `decoded` with everything but the picture bound; pickled for other processes.
        whole: an array, or a memory map, to fill.
        label: of the bar.
        processes: how many to use.

    Raises:
        FormatError: one of them is not a picture; the message names its file, if it has one.
    """
    with progress.counter(total=len(pictures), desc=label, unit="image", unit_scale=True) as bar:
        for start, block in _blocks(pictures, partial(_decode_some, decode), processes):
            whole[start : start + len(block)] = block
            bar.update(len(block))


def shapes(paths: Iterable[Path]) -> Iterator[tuple[int, int, int]]:
    """Yield the channels, height and width of each picture, according to its header, turned upright."""
    for path in paths:
        try:
            with Image.open(path, formats=_FORMATS) as opened:
                width, height = opened.size
                if opened.getexif().get(0x0112, 1) >= 5:  # the orientations that swap the two
                    width, height = height, width
                grey = opened.mode in ("1", "L", "LA", "I", "F") or opened.mode.startswith("I;16")
                yield 1 if grey else 3, height, width
        except Exception as error:  # as above
            raise FormatError(f"{path}: this is not a picture: {type(error).__name__}: {error}") from error


def _blocks(
    pictures: Sequence[P], work: Callable[[Sequence[P]], np.ndarray], processes: int
) -> Iterator[tuple[int, np.ndarray]]:
    starts = range(0, len(pictures), _TASK)
    some = [pictures[start : start + _TASK] for start in starts]
    if processes == 1 or len(some) == 1:
        yield from zip(starts, map(work, some), strict=True)
        return
    with ProcessPoolExecutor(processes) as pool:
        # A few tasks ahead of the reader, so that finished blocks do not pile up in memory.
        waiting = [pool.submit(work, each) for each in some[: 4 * processes]]
        left = iter(some[4 * processes :])
        for start in starts:
            block = waiting.pop(0).result()
            following = next(left, None)
            if following is not None:
                waiting.append(pool.submit(work, following))
            yield start, block


def _decode_some(decode: Callable[[P], np.ndarray], pictures: Sequence[P]) -> np.ndarray:
    found = []
    for picture in pictures:
        try:
            found.append(decode(picture))
        except FormatError as error:
            raise FormatError(f"{picture}: {error}" if isinstance(picture, Path) else str(error)) from None
    return np.stack(found)


def _flat(image: Image.Image, background: int | tuple[int, int, int]) -> Image.Image:
    """Return a picture of any mode as grey or colour, without transparency."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        high = 65535.0 if values.max(initial=0) > _WHITE else 255.0
        return Image.fromarray(np.rint(values.clip(0, high) * (_WHITE / high)).astype(np.uint8))
    if image.has_transparency_data:
        grey = image.mode in ("LA", "La")
        over = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*_colour(background), _WHITE))
        flat = Image.alpha_composite(ground, over)
        return flat.convert("L" if grey and _is_grey(background) else "RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _fitted(image: Image.Image, size: tuple[int, int], fit: str, background: int | tuple[int, int, int]) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    if fit == "stretch":
        return image.resize((width, height), Image.Resampling.LANCZOS)
    if fit == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    red, green, blue = _colour(background)
    ground: int | tuple[int, int, int] = (red, green, blue) if image.mode == "RGB" else _luma(red, green, blue)
    return ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color=ground)


def _colour(background: int | tuple[int, int, int]) -> tuple[int, int, int]:
    return (background, background, background) if isinstance(background, int) else background


def _is_grey(background: int | tuple[int, int, int]) -> bool:
    return len(set(_colour(background))) == 1


def _luma(red: int, green: int, blue: int) -> int:
    return round(0.299 * red + 0.587 * green + 0.114 * blue)

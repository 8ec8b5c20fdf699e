"""How stages read and write what they exchange: files appear whole or not at all, and equal content has equal bytes.

Arrays are `.npy` (memory-mapped when read) or safetensors, tables CSV, numbers JSON, figures PNG. Nothing is pickled.
"""

import fcntl
import glob
import hashlib
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from latentbench.core.errors import LatentbenchError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_DPI = 100
_CHUNK = 2**24
_MOST_ARRAY_HEADER = 10_000  # NumPy's own limit, which it enforces only after reading one
_MOST_TEXT = 2**20  # bytes of JSON, which may take thirty times as much memory when parsed
# What NumPy raises for an invalid header, or one of something other than plain numbers.
_NO_ARRAY = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    SyntaxError,
    TokenError,
)
# What safetensors raises, and NumPy for types it does not have.
_NO_WEIGHTS = (OSError, safetensors.SafetensorError, TypeError, AttributeError)
_UMASK = os.umask(0o077)
os.umask(_UMASK)  # there is no other way to query it


class ArtifactError(LatentbenchError):
    """A file is missing, does not hold what was expected, or cannot be written."""


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that takes its place when the block ends, and is removed if it fails.

    What a process left behind when it was killed while writing the same file is removed as well.

    Raises:
        ArtifactError: it cannot be written, for example because the disk is full or the folder is read-only.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        file, temporary = _open_beside(path)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_UMASK)  # like any other new file: it was created for its owner only
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)  # it may be in place already, or its folder gone
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error}") from error


def _open_beside(path: Path) -> tuple[IO[bytes], Path]:
    """Open a new file that is locked while it is open, which distinguishes it from those of dead processes."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # nobody swept it away before it was locked
                return os.fdopen(descriptor, "wb"), Path(name)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove the temporary files of processes that died while writing `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        try:
            descriptor = os.open(left, os.O_RDWR)
        except OSError:  # meanwhile finished or swept by another process, or not ours
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink(missing_ok=True)
        except BlockingIOError:  # it belongs to a live process
            pass
        finally:
            os.close(descriptor)


def zeros(shape: tuple[int, ...], path: Path | None = None, dtype: Any = np.float32) -> np.ndarray:
    """Return an array of zeros, by default float32, in memory or in a new `.npy` file that changes with it.

    Its disk space is allocated at once: if it ran out later, the system would kill whoever writes to the array.

    Raises:
        ArtifactError: there is not enough space for it.
    """
    if path is None:
        return np.zeros(shape, dtype=dtype)
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        array: np.ndarray = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with path.open("r+b") as file:
            if sys.platform == "darwin":  # lacks posix_fallocate
                file.seek(path.stat().st_size - array.nbytes)
                for start in range(0, array.nbytes, _CHUNK):
                    file.write(bytes(min(_CHUNK, array.nbytes - start)))
            else:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ArtifactError(f"cannot allocate {n_bytes / 2**30:.2g} GiB in {path}: {error}") from error
    return array


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write bytes that are already encoded."""
    with atomic(path) as file:
        file.write(content)


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        ArtifactError: it is missing, or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error}") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; the file may be larger than memory.

    Raises:
        ArtifactError: it is missing, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error}") from error


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as `.npy`, a block at a time: it may be larger than memory.

    Raises:
        ValueError: it holds objects.
    """
    array = np.asarray(array)
    rows = np.atleast_1d(array)
    step = max(1, _CHUNK // max(1, rows[:1].nbytes))
    blocks = (rows[start : start + step] for start in range(0, len(rows), step))
    write_blocks(path, array.shape, array.dtype, blocks)


def write_blocks(path: Path, shape: tuple[int, ...], dtype: Any, blocks: Iterable[np.ndarray]) -> None:
    """Write one array as `.npy` from blocks of its rows, as they come: the whole array need never be in memory.

    Args:
        path: of the file.
        shape, dtype: of the whole array.
        blocks: of rows, in order.

    Raises:
        ValueError: it holds objects, or the blocks do not add up to it.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError(f"{path}: an array of objects cannot be written")
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    expected, written = math.prod(shape) * kind.itemsize, 0
    with atomic(path) as file:
        # NumPy would write to a file through C's own buffers, and not notice if the disk is full at the end.
        file.write(buffer.getvalue())
        for block in blocks:
            written += file.write(np.ascontiguousarray(block, dtype=kind).tobytes())
        if written != expected:
            raise ValueError(f"{path}: got {written} bytes for an array of {expected}")


def read_array(path: Path) -> np.ndarray:
    """Memory-map one `.npy` array, read-only.

    Raises:
        ArtifactError: it is missing, is not an array of plain numbers, or has another length than its header declares.
    """
    try:
        _check_array_header(path)
        array: np.memmap = np.lib.format.open_memmap(path, mode="r")
        expected, size = array.offset + array.nbytes, path.stat().st_size
    except _NO_ARRAY as error:
        raise ArtifactError(f"cannot read the array {path}: {error}") from error
    if size != expected:
        raise ArtifactError(f"cannot read the array {path}: it has {size} bytes, but its header declares {expected}")
    return array


def _check_array_header(path: Path) -> None:
    """Refuse a header longer than any of plain numbers: NumPy allocates memory for it before parsing it.

    Raises:
        ValueError: it is longer.
    """
    with path.open("rb") as file:
        start = file.read(12)
    length = int.from_bytes(start[8:10] if start[6:7] == b"\x01" else start[8:12], "little")
    if length > _MOST_ARRAY_HEADER:
        raise ValueError(f"its header would be {length} bytes long")


def write_model(folder: Path, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """Write named arrays as `model.safetensors`, and their description as `model.json` beside it."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic(folder / "model.safetensors") as file:
        file.write(safetensors.numpy.save(contiguous))
    write_json(folder / "model.json", description)


def read_model(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read back what `write_model` wrote.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    path = folder / "model.safetensors"
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > _MOST_TEXT:  # safetensors would end the process if it ran out of memory
            raise ArtifactError(f"cannot read the weights {path}: their header would be {length} bytes long")
        arrays = safetensors.numpy.load_file(path)
    except _NO_WEIGHTS as error:
        raise ArtifactError(f"cannot read the weights {path}: {error}") from error
    return arrays, read_json(folder / "model.json")


def model_hash(folder: Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of a model's weights: the same model has the same hash.

    Raises:
        ArtifactError: the weights are missing.
    """
    return hashlib.sha256(read_bytes(folder / "model.safetensors")).hexdigest()[:12]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys.

    Raises:
        ValueError: a number in it is not finite; DVC cannot show those.
    """
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as file:
        file.write(f"{text}\n".encode())


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write metrics as JSON, floats rounded to six significant digits so that DVC's tables stay readable.

    Raises:
        ValueError: a metric is not finite.
    """
    write_json(path, {name: _rounded(value) for name, value in metrics.items()})


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return float(f"{value:.6g}")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: it is missing, is not a JSON object, or is over 1 MiB.
    """
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise ArtifactError(f"cannot read {path}: it has more than {_MOST_TEXT} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} does not hold a JSON object")
    return content


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV, floats to six significant digits."""
    with atomic(path) as file:
        file.write(table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())


def read_table(path: Path) -> "pd.DataFrame":
    """Read a CSV table.

    Raises:
        ArtifactError: it is missing, or is not a CSV table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read the table {path}: {error}") from error
    return table


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8."""
    with atomic(path) as file:
        file.write(text.encode())


def write_figure(path: Path, figure: "Figure", *, palette: bool = False) -> None:
    """Write a matplotlib figure as PNG, without the version and date that matplotlib adds.

    Args:
        path: of the file.
        figure: to write.
        palette: reduce it to its 256 main colours, which halves the file where many dots have few colours.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    with atomic(path) as file:
        if palette:
            from PIL import Image

            picture = Image.open(buffer).convert("RGB")
            picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
                file, format="png", optimize=True
            )
        else:
            file.write(buffer.getvalue())

"""Gives readers damaged and hostile files by the thousand, in a process whose memory is limited.

`python -m tests.faults.fuzzing FOLDER N SEED TARGET...` prints what came of N mutated files for each target, and of the
target's own hostile ones, as JSON. Nothing but the project's own error may come of any; what is accepted must be right.
"""

import bz2
import gzip
import io
import json
import re
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from PIL import Image

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from latentbench.data import sources
from latentbench.data.formats import base as formats
from latentbench.data.formats import idx
from latentbench.data.formats.base import Wanted
from latentbench.params import file as params_file
from tests.data.small import N_CLASSES, take
from tests.data.small import fetched as arrived
from tests.idx_files import idx_bytes

MIB = 2**20
MEMORY = 32 * MIB  # that reading one file may take, unless a target says otherwise
LONGEST_S = 20  # that one file may take
SHOWN = 5  # failures that are told
compress = partial(gzip.compress, mtime=0)  # equal seeds give equal files
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)
NUMBERS = (b"-1", b"0", b"1e999", b"NaN", b"99999999999", b"18446744073709551616", b"0.5", b"9" * 400, b"null", b"[]")


class TooSlowError(BaseException):
    """A reader takes too long over one file; it must not be taken for an error of the reader's own."""


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        valid: files that it accepts, which are mutated.
        hostile: files that it must refuse.
        read: reads one, given its content and a folder to work in; AssertionError where it accepted what is wrong.
        memory: bytes that it may take beyond what it has after reading the valid ones.
    """

    valid: list[bytes]
    hostile: list[bytes]
    read: Callable[[bytes, Path], object]
    memory: int = MEMORY


def mutated(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Return a damaged copy: bits, numbers, lengths and parts of it changed, more often near its start."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        n = len(data)
        near = int(rng.integers(min(n, 64) + 1)) if rng.random() < 0.5 else int(rng.integers(n + 1))
        length = int(rng.integers(1, 33))
        match rng.integers(9):
            case 0 if near < n:
                data[near] ^= 1 << int(rng.integers(8))
            case 1:
                data[near : near + length] = rng.bytes(length)
            case 2 | 3:
                width = int(rng.choice([1, 2, 4, 8]))
                value = int(rng.choice(np.array(INTERESTING, dtype=object))) % 2 ** (8 * width)
                data[near : near + width] = value.to_bytes(width, "big" if rng.random() < 0.5 else "little")
            case 4:
                del data[near:]
            case 5:
                del data[near : near + length]
            case 6:
                data[near:near] = data[near : near + length] * int(rng.integers(1, 20))
            case 7:
                other = others[int(rng.integers(len(others)))]
                start = int(rng.integers(len(other) + 1))
                data[near : near + length] = other[start : start + length]
            case 8:
                runs = list(re.finditer(rb"\d+", data[:4096]))
                if runs:
                    run = runs[int(rng.integers(len(runs)))]
                    data[run.start() : run.end()] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return bytes(data)


def small_dataset() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    return {
        "train_images": idx_bytes(rng.integers(256, size=(6, 9, 8), dtype=np.uint8)),
        "train_labels": idx_bytes(np.arange(6, dtype=np.uint8) % N_CLASSES),
        "test_images": idx_bytes(rng.integers(256, size=(4, 9, 8), dtype=np.uint8)),
        "test_labels": idx_bytes(np.arange(4, dtype=np.uint8) % N_CLASSES),
    }


def is_dataset(found: dict[str, bytes]) -> bool:
    """Tell, without the library, whether four files are a dataset in the IDX format."""
    shapes = {}
    for name, whole in found.items():
        axes = 3 if "images" in name else 1
        shape = struct.unpack(f">{axes}I", whole[4 : 4 + 4 * axes])
        pixels = whole[4 + 4 * axes :]
        if whole[:4] != bytes([0, 0, 8, axes]) or len(pixels) != np.prod(shape, dtype=object):
            return False
        if axes == 1 and max(pixels) >= N_CLASSES:
            return False
        shapes[name] = shape
    return all(shapes[f"{split}_images"][0] == shapes[f"{split}_labels"][0] > 0 for split in ("train", "test")) and (
        shapes["train_images"][1:] == shapes["test_images"][1:]
    )


def fetched(source: sources.Source, folder: Path, *, known: bool) -> None:
    """Fetch the small dataset, and check that what arrives is all of it, or nothing."""
    whole, raw = small_dataset(), folder / "raw"
    for path in raw.glob("*") if raw.exists() else ():
        path.unlink()
    try:
        take([source], whole, raw, known=known)
    except sources.SourceError:
        assert not raw.exists() or not list(raw.iterdir()), "something arrived of what was refused"
        raise
    found = arrived(raw)
    assert found.keys() == whole.keys()
    assert found == whole if known else is_dataset(found)


def download(*, known: bool) -> Callable[[bytes, Path], None]:
    """Return a reader that fetches the dataset from a folder, in which what it is given is one of the four files."""

    def read(content: bytes, folder: Path) -> None:
        place, whole = folder / "place", small_dataset()
        place.mkdir(exist_ok=True)
        whole[list(whole)[zlib.crc32(content) % len(whole)]] = content
        for name, each in whole.items():
            (place / f"{name}-ubyte").write_bytes(each)
        fetched(sources.folder_source(place), folder, known=known)

    return read


def read_idx(content: bytes, folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(content)
    assert idx_bytes(idx.load(path)) == content


def reader(name: str, roles: dict[str, str], **options: Any) -> Callable[[bytes, Path], None]:
    """Return a reader of one file of a format, or of a folder with it where a role is "".

    Args:
        name: of the format.
        roles: the name of the file by what it is for.
        options: of the format; `channels` and `size` are the description's own.
    """
    form = formats.of(name)
    channels, size = options.pop("channels", None), options.pop("size", None)

    def read(content: bytes, folder: Path) -> None:
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        (place / "files/class").mkdir(parents=True)
        (place / "room").mkdir()
        paths = {}
        for role, file in roles.items():
            path = place / "files" / file
            path.write_bytes(content)
            paths[role] = path if role else place / "files"
        found = form.read(paths, Wanted(channels, size, "crop", 0, options, place / "room"))
        for split in found.splits.values():
            n, n_channels, _, _ = split.images.shape
            assert split.images.dtype == np.uint8
            assert n > 0
            assert n_channels in (1, 3)
            assert split.labels is None or (split.labels.ndim == 1 and split.labels.min() >= 0)

    return read


def picture(form: str, mode: str = "RGB") -> bytes:
    rng, buffer = np.random.default_rng(4), io.BytesIO()
    pixels = Image.fromarray(rng.integers(256, size=(12, 9, 3), dtype=np.uint8)).convert(mode)
    pixels.save(buffer, format=form)
    return buffer.getvalue()


def huge_picture() -> bytes:
    """Return a PNG of a few bytes that announces 60,000 x 60,000 pixels."""
    whole = bytearray(picture("PNG"))
    whole[16:24] = struct.pack(">II", 60_000, 60_000)
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    return bytes(whole)


def archives() -> list[bytes]:
    """Return `.npz` files that announce, or unpack to, what they must not."""
    found = []
    for arrays_in in ({"x_train": np.zeros((2, 3), np.uint8)}, {"other": np.zeros(3, np.uint8)}, {}):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays_in)
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", npy("'|u1'", "(99999999, 99, 99)", bytes(2 * MIB)))
    return [*found, buffer.getvalue(), b"PK\x03\x04", b""]


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x_train=np.ones((3, 9, 8), np.uint8), y_train=np.arange(3))
    return buffer.getvalue()


def csv() -> list[bytes]:
    rng = np.random.default_rng(5)
    lines = [",".join(map(str, [label, *rng.integers(256, size=64)])) for label in range(4)]
    header = ",".join(["label", *(f"pixel{index}" for index in range(64))])
    return ["\n".join(lines).encode(), "\n".join([header, *lines]).encode()]


def tables_of_pixels() -> list[bytes]:
    line = b"1," + b",".join([b"7"] * 64)
    return [
        b"",
        b"\n",
        b"label\n",
        line + b",7\n",
        line.replace(b"7", b"256"),
        line.replace(b"7", b"-1"),
        line.replace(b"7", b"1.5"),
        line.replace(b"7", b"nan"),
        line.replace(b"1,", b"1000,"),
        b'"' + line * 999,
        b"9" * 9999,
    ]


def numbered_values() -> list[bytes]:
    rng = np.random.default_rng(5)
    lines = [
        " ".join([str(label), *(f"{place}:{value:.3g}" for place, value in enumerate(rng.random(64), start=1))])
        for label in range(4)
    ]
    text = "\n".join(lines).encode()
    return [text, bz2.compress(text)]


def hostile_numbers() -> list[bytes]:
    return [
        b"",
        b"\n",
        b"1 1:2\n",
        b"1 99999999999:1\n",
        b"1 0:1\n",
        b"1 -1:1\n",
        b"1 1:nan\n",
        b"1e300 1:1\n",
        b"1 1:" + b"9" * 9999,
        b"BZh",
        bz2.compress(bytes(30 * MIB)),
        numbered_values()[1][:-9],
    ]


def mat() -> bytes:
    from scipy import io as scipy_io

    buffer = io.BytesIO()
    rng = np.random.default_rng(6)
    images = rng.integers(256, size=(9, 8, 3, 4), dtype=np.uint8)
    scipy_io.savemat(buffer, {"X": images, "y": np.arange(1, 5, dtype=np.uint8)[:, None]})
    return buffer.getvalue()


def parquet(content: list[Any] | None = None, labels: list[Any] | None = None) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as writer

    content = [{"bytes": picture("PNG"), "path": None}] * 3 if content is None else content
    table = pa.table({"image": content, "label": [0, 1, 2] if labels is None else labels})
    buffer = io.BytesIO()
    writer.write_table(table, buffer)
    return buffer.getvalue()


class Mirror:
    """Answers every request on a port with the same bytes, whatever they are."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            try:
                asked = connection.recv(4096).split(b" ")[1].decode()[1:]
                connection.sendall(self.answers.get(asked, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):  # until the other has read it all
                    pass
            except OSError:
                pass  # whoever asked has had enough
            finally:
                connection.close()


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


def mirror() -> Callable[[bytes, Path], None]:
    """Return a reader that fetches from a mirror, whose answer for the first file is what it is given."""
    server = Mirror()
    sources._PAUSES_S = ()
    sources._READ_TIMEOUT_S = 2

    def read(content: bytes, folder: Path) -> None:
        server.answers = {f"{name}-ubyte": answer(whole) for name, whole in small_dataset().items()}
        server.answers |= {"train_images-ubyte": content}
        fetched(sources.http_source(server.address), folder, known=True)

    return read


def read_params(content: bytes, folder: Path) -> None:
    path = folder / "params.yaml"
    path.write_bytes(content)
    params_file.load(path)


def bombs() -> list[bytes]:
    """Return gzip files that are large without end, or seem so; as images, as labels, and as neither."""
    zeros = compress(bytes(4 * MEMORY), compresslevel=1)
    images, labels = struct.pack(">HBBIII", 0, 8, 3, 6, 5, 4), struct.pack(">HBBI", 0, 8, 1, 6)
    largest = struct.pack(">HBBIII", 0, 8, 3, 2**20, 64, 64)  # all that a header may ask for
    empty = compress(b"")
    return [
        zeros,
        *(compress(start) + zeros for start in (images, labels, largest)),
        empty * 200_000,
        compress(images) + empty * 200_000,
        compress(images + bytes(120)) + bytes(8 * MIB),
        compress(compress(images + bytes(120))),
        b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * (8 * MIB),  # a name without end
    ]


def headers() -> list[bytes]:
    """Return IDX files whose header or length is wrong."""
    sizes = (0, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
    three = [struct.pack(">HBBIII", 0, 8, 3, *shape) + bytes(120) for n in sizes for shape in ((n, 5, 4), (6, n, n))]
    one = [struct.pack(">HBBI", 0, 8, 1, n) + bytes(6) for n in sizes]
    kinds = [struct.pack(">HBBI", 0, kind, 1, 6) + bytes(6) for kind in (0, 9, 0x0B, 0x0D, 0x0E, 255)]
    lengths = [struct.pack(">HBBI", 0, 8, 1, 6) + bytes(n) for n in (0, 5, 7)]
    return [*three, *one, *kinds, *lengths, b"", b"\0", b"\x1f\x8b", b"\x1f\x8b\x08\0"]


def redirects() -> list[bytes]:
    """Return answers that are large, or lead astray."""
    bomb = compress(bytes(4 * MEMORY), compresslevel=1)
    return [
        answer(bomb, "302 Found", "Location: /train_images-ubyte", "Content-Encoding: gzip"),
        answer(bomb, "200 OK", "Content-Encoding: gzip"),
        answer(bomb, "503 Busy", "Content-Encoding: gzip"),
        answer(b"", "302 Found", "Location: file:///etc/passwd"),
        answer(b"", "302 Found", "Location: http://[::1"),
        answer(b"", "302 Found", "Location: http://" + "a" * 300 + "."),
        answer(b"", "302 Found", "Location: //:99999/"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 " + b"O" * MIB,
        b"",
    ]


def npy(descr: str, shape: object, body: bytes = bytes(24)) -> bytes:
    """Return an `.npy` file with whatever header."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


def arrays() -> list[bytes]:
    """Return files that are no array of plain numbers, or not of the length that their header says."""
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    floats = [
        npy("'<f4'", shape) for shape in ("(7,)", "(5,)", "(-6,)", "(2**99,)", "(10**30,)", "(6, 10**18)", "6", "None")
    ]
    types = [npy(descr, "(3,)") for descr in ("'|O'", "[('a', '|O')]", "'nonsense'", "None", "'|V9999999999'")]
    deep = [npy("(" * n + ")" * n, "(6,)") for n in (50, 500, 4000)]
    long = [b"\x93NUMPY" + version + b"\xff\xff\xff\xff" + bytes(50) for version in (b"\x01\0", b"\x02\0", b"\x03\0")]
    return [*floats, *types, *deep, *long, npy("__import__('os').getcwd()", "(6,)"), buffer.getvalue(), pickled(), b""]


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def read_array(content: bytes, folder: Path) -> None:
    path = folder / "array.npy"
    path.write_bytes(content)
    array = artifacts.read_array(path)
    assert isinstance(array, np.memmap)
    assert not array.dtype.hasobject
    assert array.tobytes(order="A") == content[len(content) - array.nbytes :]


def safetensors_file(header: bytes, body: bytes = bytes(24), length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def models() -> list[bytes]:
    """Return files of weights with doctored headers."""

    def entry(shape: str, begin: object, end: object, dtype: str = "F32") -> bytes:
        return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}}}'.encode()

    right = entry("[6]", 0, 24)
    wrong = [
        *(entry("[6]", *offsets) for offsets in ((0, 28), (4, 28), (-4, 20), (24, 0), (0, 2**64 - 1), ("0", "null"))),
        *(entry(shape, 0, 24) for shape in ("[7]", "[-6]", f"[{2**63}, 2]", f"[{2**32}, {2**32}]", "6", "null")),
        *(entry("[6]", 0, 24, dtype) for dtype in ("PICKLE", "O", "F64")),
        *(entry(shape, 0, 24, dtype) for shape, dtype in (("[24]", "F8_E4M3"), ("[12]", "BF16"))),  # which NumPy lacks
        right[:-1] + b',"b":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}',  # two share their bytes
        b'{"__metadata__":{"x":5},' + right[1:],
        *(b"[]", b"{}", b"", b"null", b'{"a":' * 5000),
    ]
    wrong.append(b'{"__metadata__":{' + b",".join(b'"%d":""' % n for n in range(10**6)) + b"}," + right[1:])
    lengths = [safetensors_file(right, length=n) for n in (0, 1, 10**6, 10**9, 2**63, 2**64 - 1)]
    return [*map(safetensors_file, wrong), *lengths, b"", bytes(8), bytes(7), pickled()]


def read_model(content: bytes, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(content)
    (folder / "model.json").write_text("{}")
    found, _ = artifacts.read_model(folder)
    assert sum(array.nbytes for array in found.values()) < len(content)


def valid_models() -> list[bytes]:
    tensors = {"a": np.arange(6, dtype=np.float32), "b.c": np.ones((2, 3), dtype=np.int64), "d": np.array(True)}
    return [safetensors.numpy.save(tensors), safetensors.numpy.save({"a": tensors["a"]}, {"numbers": "{}"})]


def read_json(content: bytes, folder: Path) -> None:
    path = folder / "file.json"
    path.write_bytes(content)
    assert isinstance(artifacts.read_json(path), dict)


def read_table(content: bytes, folder: Path) -> None:
    path = folder / "file.csv"
    path.write_bytes(content)
    artifacts.read_table(path)


JSON = [b'{"a": [1, 2.5, null], "b": {"c": "text"}}']
HOSTILE_JSON = [b"", b"[]", b"\xff", b'{"a":' * 99_999, b"[" * 99_999, b'{"a": ' + b"9" * 9999 + b"}", b"NaN"]
HOSTILE_JSON.append(b'{"a": [' + b"[]," * 3 * MIB + b"[]]}")
TABLES = [b"a,b\n1,2\n3,4.5\n", b'row,"x, y"\nraw,"1\n2"\n']
HOSTILE_TABLES = [b"", b"\xff\xfe\x00", b'a\n"1', b"a,b\n1,2\n1,2,3\n" * 9]


def targets() -> dict[str, Callable[[], Target]]:
    """Return what can be given hostile files, each made when it is asked for."""
    dataset = list(small_dataset().values())
    packed = [compress(whole) for whole in dataset]
    images = small_dataset()["train_images"]
    return {
        "download": lambda: Target([*dataset, *packed], [*headers(), *bombs()], download(known=True)),
        "download of unknown content": lambda: Target([*dataset, *packed], headers(), download(known=False)),
        "idx": lambda: Target(dataset, headers(), read_idx),
        "npz": lambda: Target([npz()], archives(), reader("npy", {"archive": "all.npz"}), 2 * MEMORY),
        "csv": lambda: Target(csv(), tables_of_pixels(), reader("csv", {"train": "a.csv"}, size=(8, 8)), 3 * MEMORY),
        "libsvm": lambda: Target(
            numbered_values(), hostile_numbers(), reader("libsvm", {"train": "a.txt"}, size=(8, 8)), 3 * MEMORY
        ),
        "cifar": lambda: Target(
            [bytes(range(256)) * 12 + b"\1", (bytes(range(256)) * 12 + b"\1") * 3],
            [b"", bytes(3072), b"\x80\x04" + bytes(99), pickled()],
            reader("cifar", {"train": "a.bin"}),
        ),
        "mat": lambda: Target([mat()], [b"", bytes(128), mat()[:200]], reader("mat", {"train": "a.mat"}), 3 * MEMORY),
        "parquet": lambda: Target(
            [parquet(), parquet([picture("JPEG")] * 3)],
            [
                b"",
                b"PAR1PAR1",
                parquet(labels=[0, 1, -1]),
                parquet(labels=["a", "b", "c"]),
                parquet([b"no picture"] * 3),
                parquet([1, 2, 3]),
                parquet([None] * 3),
                parquet([huge_picture()] * 3),
            ],
            reader("parquet", {"train": "a.parquet"}),
            4 * MEMORY,
        ),
        "images": lambda: Target(
            [picture("PNG"), picture("PNG", "P"), picture("JPEG"), picture("GIF"), picture("BMP"), picture("TIFF")],
            [b"", b"\x89PNG\r\n\x1a\n", huge_picture(), pickled(), b"GIF89a" + bytes(99), b"%!PS-Adobe EPSF"],
            reader("images", {"": "class/a.png"}, size=(8, 8)),
            3 * MEMORY,
        ),
        "mirror": lambda: Target([answer(images), answer(compress(images))], redirects(), mirror()),
        "array": lambda: Target([npy("'<f4'", "(6,)"), npy("'|u1'", "(2, 3, 4)")], arrays(), read_array),
        "model": lambda: Target(valid_models(), models(), read_model),
        "json": lambda: Target(JSON, HOSTILE_JSON, read_json),
        "table": lambda: Target(TABLES, HOSTILE_TABLES, read_table),
        "params": lambda: Target([Path("params.yaml").read_bytes()], [b"", b"\xff", b"{" * 9999], read_params),
    }


def address_space() -> int:
    """Return the bytes of memory that this process has asked for."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def attempt(target: Target, content: bytes, folder: Path, *, may_accept: bool = True) -> str | None:
    """Give a target one file; return what went wrong, or None where it was refused, or rightly accepted."""
    (folder / "input").write_bytes(content)  # what is left of a process that dies
    signal.alarm(LONGEST_S)
    try:
        target.read(content, folder)
    except LatentbenchError as error:
        return None if str(error) else "an error without a word"
    except (Exception, TooSlowError) as error:  # noqa: BLE001  # whatever it is, it is told
        return f"{type(error).__name__}: {error!s:.300}"
    finally:
        signal.alarm(0)
    return None if may_accept else "it was accepted"


def run(target: Target, folder: Path, n: int, seed: int) -> dict[str, Any]:
    """Give a target its hostile files and n mutated ones; return counts and failures."""

    def inputs() -> Iterator[bytes]:
        rng = np.random.default_rng(seed)
        for _ in range(n):
            content = target.valid[int(rng.integers(len(target.valid)))]
            if content[:2] == b"\x1f\x8b" and rng.random() < 0.5:  # damage what a checksum would otherwise tell
                yield compress(mutated(gzip.decompress(content), target.valid, rng))
            else:
                yield mutated(content, target.valid, rng)

    for content in target.valid:
        problem = attempt(target, content, folder)
        assert problem is None, problem
    before = address_space()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    failures, injected = [], 0
    for content, may_accept in chain(zip(target.hostile, repeat(False)), zip(inputs(), repeat(True))):
        injected += 1
        resource.setrlimit(resource.RLIMIT_AS, (before + target.memory, hard))
        problem = attempt(target, content, folder, may_accept=may_accept)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        if problem:
            failures.append(f"{problem} for {content[:60]!r} ({len(content)} bytes)")
    return {
        "injected": injected,
        "survived": injected - len(failures),
        "failures": failures[:SHOWN],
    }


def _too_slow(*_: object) -> None:
    raise TooSlowError


def main() -> None:
    """Run the targets that are named."""
    folder, n, seed, *names = sys.argv[1:]
    signal.signal(signal.SIGALRM, _too_slow)
    tempfile.tempdir = folder
    made = targets()
    results = {name: run(made[name](), Path(folder), int(n), int(seed)) for name in names}
    print(json.dumps(results))  # noqa: T201


if __name__ == "__main__":
    main()

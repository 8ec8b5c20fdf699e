"""Where the raw files come from: a folder, HTTP mirrors, a Debian package. The first source that works is taken."""

import gzip
import hashlib
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import urljoin

import requests
import urllib3

from latentbench.core import artifacts, progress
from latentbench.core.artifacts import ArtifactError
from latentbench.core.errors import LatentbenchError
from latentbench.data.formats import base as formats
from latentbench.data.formats.base import Format

_CHUNK = 1 << 20
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 10, 30
_SLOWEST_BYTES_S = 2**10  # a mirror that sends less is left
_MOST_REDIRECTS = 5
_OVERLOADED = (429, 500, 502, 503, 504)  # statuses that may be gone soon
_PAUSES_S = (1, 4)  # before an overloaded mirror is asked again
_APT_TIMEOUT_S = 300
_UNPACKING_BYTES = 2**30  # of memory: an archive may announce that it needs any amount


class SourceError(LatentbenchError):
    """A source does not have what is asked of it; the message says why."""


@dataclass(frozen=True)
class RawFile:
    """One of the four files of a dataset.

    Attributes:
        target: what it is called in the folder it is fetched into.
        name: what it is called in a source, without `.gz`.
        n_axes: 3 for images, 1 for labels.
        sha256: of its uncompressed content; None where it is not known.
    """

    target: str
    name: str
    n_axes: int
    sha256: str | None


@dataclass(frozen=True)
class Source:
    """A place to fetch from: `open_all` yields a function from a file's name to its (possibly gzipped) bytes."""

    name: str
    open_all: Callable[[], AbstractContextManager["Opener"]]


class Readable(Protocol):
    """As much of a file as is needed of a download."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


Opener = Callable[[str], Readable]


def fetch(sources: Sequence[Source], files: Sequence[RawFile], form: Format, folder: Path, n_classes: int) -> str:
    """Fetch all `files` into `folder` from the first source that has every one of them right, and return its name.

    Nothing appears in `folder` before all files of one source have been checked: gzip is undone, and header, length,
    counts, labels and, where given, the SHA-256 of the content are as they should be.

    Raises:
        SourceError: no source worked; the message has a line for each with its reason.
        ArtifactError: a file cannot be written, which is no source's fault.
    """
    reasons = []
    for source in sources:
        with _staging() as staging:
            try:
                with source.open_all() as opener:
                    for file in progress.bar(files, desc=source.name, unit="file"):
                        _fetch_file(opener, file, form, staging / file.target)
                _check_together(staging, files, form, n_classes)
            except (SourceError, formats.FormatError, OSError, EOFError, zlib.error) as error:
                progress.note(f"{source.name}: {error}")
                reasons.append(f"  {source.name}: {error}")
                continue
            for file in files:
                staged = staging / file.target
                with staged.open("rb") as content, artifacts.atomic(folder / file.target) as whole:
                    shutil.copyfileobj(content, whole, _CHUNK)
            return source.name
    raise SourceError("no source of the data worked:\n" + "\n".join(reasons))


@contextmanager
def _staging() -> Iterator[Path]:
    try:
        room = tempfile.TemporaryDirectory()
    except OSError as error:
        raise ArtifactError(f"cannot make a folder for temporary files: {error}") from error
    with room as name:
        yield Path(name)


def folder_source(folder: Path) -> Source:
    """Return the source that is a local folder with the files, gzipped or not."""

    @contextmanager
    def open_all() -> Iterator[Opener]:
        if not folder.is_dir():
            raise SourceError("there is no such folder")
        with ExitStack() as stack:
            yield lambda name: stack.enter_context(_open_one_of(list(folder.iterdir()), name))

    return Source(f"folder {folder}", open_all)


def http_source(address: str) -> Source:
    """Return the source that is an HTTP mirror with the files, gzipped or not, directly below `address`."""

    @contextmanager
    def open_all() -> Iterator[Opener]:
        with _Session() as session:

            def open_one(name: str) -> Readable:
                reasons = []
                for candidate in _names(name):
                    url = f"{address.rstrip('/')}/{candidate}"
                    answer = _ask(session, url)
                    if answer.status_code == requests.codes.ok:
                        return _HttpBody(answer)
                    answer.close()
                    reasons.append(f"{url}: HTTP status {answer.status_code}")
                raise SourceError("; ".join(reasons))

            yield open_one

    return Source(f"http {address}", open_all)


def debian_source(package: str) -> Source:
    """Return the source that is a Debian package: as installed, else fetched by apt-get and unpacked without root."""

    @contextmanager
    def open_all() -> Iterator[Opener]:
        with tempfile.TemporaryDirectory() as room, ExitStack() as stack:
            files = _installed_files(package) or _unpacked_files(package, Path(room))
            yield lambda name: stack.enter_context(_open_one_of(files, name))

    return Source(f"debian {package}", open_all)


class _Session(requests.Session):
    """A session that sends no credentials, also none that ~/.netrc has for a host, and that follows no redirect.

    requests would take the whole body of a redirect into memory, whatever it unpacks to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """Tell requests that there is nowhere to go on to."""
        return


def _ask(session: requests.Session, url: str) -> requests.Response:
    """Return the answer that a mirror gives in the end, its body unread; ask again where it is overloaded."""
    answer = _follow(session, url)
    for pause in _PAUSES_S:
        if answer.status_code not in _OVERLOADED:
            break
        answer.close()
        time.sleep(pause)
        answer = _follow(session, url)
    return answer


def _follow(session: requests.Session, url: str) -> requests.Response:
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            answer = session.get(url, stream=True, timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S))
            if not answer.is_redirect:
                return answer
            answer.close()
            url = urljoin(url, answer.headers["location"])
        # The last two are what requests lets through of answers and addresses that are no such thing.
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise _failed(url, _root_cause(error)) from error
    raise _failed(url, f"it is where more than {_MOST_REDIRECTS} redirects lead")


class _HttpBody:
    """The body of an answer as a file, its errors turned into ours. A read may give less than it is asked for."""

    def __init__(self, answer: requests.Response) -> None:
        self._raw = answer.raw
        self._url = answer.url
        self._started, self._taken = time.monotonic(), 0

    def read(self, size: int = -1) -> bytes:
        try:
            content = bytes(self._raw.read1(size, decode_content=False))
        except Exception as error:
            raise _failed(self._url, _root_cause(error)) from error
        self._taken += len(content)
        seconds = time.monotonic() - self._started
        if seconds > _READ_TIMEOUT_S + self._taken / _SLOWEST_BYTES_S:
            raise _failed(self._url, f"stalled: {self._taken} bytes in {seconds:.0f} s")
        return content


def _failed(url: str, reason: str) -> SourceError:
    """Return the error that an address failed, without what a redirect may have put into it: a password or a token."""
    shown = re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", url, flags=re.DOTALL)
    return SourceError(f"{shown}: {reason.replace(url, shown)}")


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason of a chain of network errors, which is the one a person can act on."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"


def _names(name: str) -> tuple[str, str]:
    """Return what a file may be called where it is fetched from."""
    return f"{name}.gz", name


def _open_one_of(files: Sequence[Path], name: str) -> BinaryIO:
    by_name = {path.name: path for path in files if path.is_file()}
    for candidate in _names(name):
        if candidate in by_name:
            return by_name[candidate].open("rb")
    raise SourceError(f"it has neither {name} nor {name}.gz")


def _fetch_file(opener: Opener, file: RawFile, form: Format, path: Path) -> None:
    """Write one file, uncompressed, to `path`; stop as soon as it is longer than its header announces."""
    try:
        stream = _Prefixed(opener(file.name))
        gzipped = stream.prefix == b"\x1f\x8b"
        # GzipFile asks for more of a file than reading forwards needs.
        content: Readable = gzip.GzipFile(fileobj=cast(BinaryIO, stream)) if gzipped else stream
        digest = hashlib.sha256()
        with _written(path) as write:
            start = _read_exactly(content, form.header_length(file.n_axes))
            shape, length = form.parse_header(start, file.n_axes)
            remaining = length + math.prod(shape) - len(start)
            if remaining < 0:
                raise SourceError(f"oversized: bytes follow the {math.prod(shape)} of shape {shape}")
            # The source may be endless, such as zeros after a gzip stream; gzip never makes content much longer.
            stream.limit = remaining + remaining // 100 + _CHUNK
            digest.update(start)
            write(start)
            while remaining:
                chunk = content.read(min(_CHUNK, remaining))
                if not chunk:
                    raise SourceError(f"truncated: {remaining} of {math.prod(shape)} bytes are missing")
                digest.update(chunk)
                write(chunk)
                remaining -= len(chunk)
            if content.read(1):
                raise SourceError(f"oversized: bytes follow the {math.prod(shape)} of shape {shape}")
    except (SourceError, formats.FormatError, OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{file.name}: {error}") from error
    if file.sha256 is not None and digest.hexdigest() != file.sha256:
        raise SourceError(f"{file.name}: the SHA-256 of its content is {digest.hexdigest()}, not {file.sha256}")


@contextmanager
def _written(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Open a file; what goes wrong in writing it is told apart from what goes wrong in reading another."""

    def write(content: bytes) -> None:
        left = memoryview(content)
        try:
            while left:
                left = left[file.write(left) :]  # on a disk that is nearly full, only a part of it is written
        except OSError as error:
            raise ArtifactError(f"cannot write {path}: {error}") from error

    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error}") from error
    with file:
        yield write


class _Prefixed:
    """A stream whose first two bytes can be looked at before they are read, and that ends in an error at a limit."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.limit = _CHUNK  # bytes that may still be read
        self.prefix = _read_exactly(stream, 2)
        self._unread = self.prefix

    def read(self, size: int = -1) -> bytes:
        taken = self._unread if size < 0 else self._unread[:size]
        self._unread = self._unread[len(taken) :]
        content = taken + self._stream.read(-1 if size < 0 else size - len(taken))
        self.limit -= len(content)
        if self.limit < 0:
            raise SourceError("oversized: it goes on after its last image or label")
        return content


def _read_exactly(stream: Readable, size: int) -> bytes:
    content = b""
    while len(content) < size and (chunk := stream.read(size - len(content))):
        content += chunk
    return content


def _check_together(folder: Path, files: Sequence[RawFile], form: Format, n_classes: int) -> None:
    """Check what no file alone can tell: counts that agree, images of one size, labels that have a class."""
    arrays = {file.target: formats.read(form, folder / file.target, file.n_axes) for file in files}
    sizes = {array.shape[1:] for array in arrays.values() if array.ndim > 1}
    if len(sizes) != 1:
        raise SourceError(f"train and test images differ in size: {sorted(sizes)}")
    for split in ("train", "t10k"):
        images, labels = arrays[f"{split}-images"], arrays[f"{split}-labels"]
        if len(images) != len(labels):
            raise SourceError(f"{split} has {len(images)} images but {len(labels)} labels")
        if labels.max() >= n_classes:
            raise SourceError(f"{split} has the label {labels.max()}, but data.classes names {n_classes} classes")


def _installed_files(package: str) -> list[Path]:
    """Return the files that an installed package brought; none where it is not installed."""
    if shutil.which("dpkg") is None:
        return []
    listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    return [path for path in map(Path, listing.stdout.splitlines()) if path.is_file()]


def _unpacked_files(package: str, room: Path) -> list[Path]:
    """Fetch a package with apt-get, unpack it below `room`, and return its files."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SourceError("the package is not installed, and there is no apt-get to fetch it with")
    try:
        _run(["apt-get", "download", package], room)
    except SourceError:
        if os.geteuid() != 0:
            raise
        _run(["apt-get", "update"], room)  # a fresh container has no package lists yet
        _run(["apt-get", "download", package], room)
    archives = sorted(room.glob("*.deb"))
    if len(archives) != 1:
        raise SourceError(f"apt-get download left {len(archives)} packages instead of one")
    limited = ["prlimit", f"--as={_UNPACKING_BYTES}", f"--fsize={formats.MAX_BYTES}"]
    _run([*limited, "dpkg-deb", "-x", str(archives[0]), "content"], room)
    # A link may lead out of the package.
    return [path for path in sorted((room / "content").rglob("*")) if path.is_file() and not path.is_symlink()]


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=_APT_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())[-300:]
        raise SourceError(f"{' '.join(command)} failed: {reason}") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{' '.join(command)} took over {_APT_TIMEOUT_S} s") from error

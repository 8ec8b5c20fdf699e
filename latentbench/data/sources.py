"""Where raw files come from: a folder, HTTP, a hub, a Debian or a Python package. The first that works is used."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar, cast
from urllib.parse import urljoin

import requests
import urllib3

from latentbench.core import progress
from latentbench.core.artifacts import ArtifactError
from latentbench.core.errors import LatentbenchError
from latentbench.data.formats import base as formats
from latentbench.data.formats.base import Announces, Format, FormatError

_CHUNK = 1 << 20
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 10, 30
_SLOWEST_BYTES_S = 2**10  # a slower mirror is abandoned
_MOST_REDIRECTS = 5
_OVERLOADED = (429, 500, 502, 503, 504)  # statuses that may soon pass
_PAUSES_S = (1, 4)  # before an overloaded mirror is asked again
_APT_TIMEOUT_S = 300
_UNPACKING_BYTES = 2**30  # of memory: an archive may claim to need any amount


class SourceError(LatentbenchError):
    """A source does not provide what is requested; the message says why."""


@dataclass(frozen=True)
class RawFile:
    """One of the files of a dataset.

    Attributes:
        role: what it is for, as the format defines it.
        name: its name in a source, without `.gz`.
        member: which file inside it to use, if it is a zip or tar archive.
        sha256: of its uncompressed content; None if unknown.
        md5: of the file as it is in the source; None if unknown.
    """

    role: str
    name: str
    member: str | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Source:
    """A place to fetch from.

    Attributes:
        name: of the source.
        open_all: yields a function from a file's name to its (possibly gzipped) bytes.
        folder: the folder, if it is one: some formats read everything in it.
    """

    name: str
    open_all: Callable[[], AbstractContextManager["Opener"]]
    folder: Path | None = None


class Readable(Protocol):
    """The part of a file's interface that a download needs."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


Opener = Callable[[str], Readable]


T = TypeVar("T")


def fetch(
    sources: Sequence[Source], files: Sequence[RawFile], form: Format, room: Path, read: Callable[[dict[str, Path]], T]
) -> tuple[str, T]:
    """Fetch all `files` from the first source where every one is valid; return its name and what `read` returned.

    Files are unzipped if gzipped, and checked against their checksums, if given. What `read` refuses is not valid.

    Args:
        sources: in the order in which to try them.
        files: what to fetch; empty for a format that reads a whole folder.
        form: the files' format.
        room: an empty folder for temporary files; what `read` returns may be in there.
        read: takes the path of each file by its role, or the folder under "".

    Raises:
        SourceError: no source worked; the message has a line for each with its reason.
        ArtifactError: a file cannot be written, which is not the fault of a source.
    """
    reasons = []
    for number, source in enumerate(sources):
        own = _subfolder(room, str(number))
        try:
            return source.name, read(_fetched(source, files, form, own))
        except (SourceError, FormatError, OSError, EOFError, zlib.error) as error:
            progress.note(f"{source.name}: {error}")
            reasons.append(f"  {source.name}: {error}")
            shutil.rmtree(own)
    raise SourceError("no source of the data worked:\n" + "\n".join(reasons))


def _fetched(source: Source, files: Sequence[RawFile], form: Format, room: Path) -> dict[str, Path]:
    if not files:
        if source.folder is None:
            raise SourceError("this format reads a folder: give one as the source, or name the files under 'files'")
        if not source.folder.is_dir():
            raise SourceError("there is no such folder")
        return {"": source.folder}
    found: dict[str, Path] = {}
    archives: dict[str, Path] = {}
    with source.open_all() as opener:
        for file in progress.bar(files, desc=source.name, unit="file"):
            found[file.role] = room / file.role
            try:
                if file.member is None:
                    _fetch_file(opener, file, form, found[file.role])
                    continue
                if file.name not in archives:
                    archives[file.name] = room / f"archive_{len(archives)}"
                    _fetch_archive(opener, file, archives[file.name])
                _extract(archives[file.name], file, form, found[file.role])
            except (SourceError, FormatError, OSError, EOFError, zlib.error) as error:
                raise SourceError(f"{file.name}: {error}") from error
    return found


def _subfolder(room: Path, name: str) -> Path:
    try:
        (room / name).mkdir()
    except OSError as error:
        raise ArtifactError(f"cannot make a folder for temporary files: {error}") from error
    return room / name


@contextmanager
def staging() -> Iterator[Path]:
    """Yield an empty folder for temporary files, which is removed at the end.

    Raises:
        ArtifactError: it cannot be made.
    """
    try:
        room = tempfile.TemporaryDirectory()
    except OSError as error:
        raise ArtifactError(f"cannot make a folder for temporary files: {error}") from error
    with room as name:
        yield Path(name)


def folder_source(folder: Path) -> Source:
    """Return a source for a local folder with the files, gzipped or not."""

    @contextmanager
    def open_all() -> Iterator[Opener]:
        if not folder.is_dir():
            raise SourceError("there is no such folder")
        with ExitStack() as stack:
            yield lambda name: stack.enter_context(_open_one_of(list(folder.iterdir()), name))

    return Source(f"folder {folder}", open_all, folder)


def http_source(address: str) -> Source:
    """Return a source for an HTTP mirror with the files, gzipped or not, directly below `address`."""

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
    """Return a source for a Debian package: as installed, or else fetched by apt-get and unpacked without root."""

    @contextmanager
    def open_all() -> Iterator[Opener]:
        with tempfile.TemporaryDirectory() as room, ExitStack() as stack:
            files = _installed_files(package) or _unpacked_files(package, Path(room))
            yield lambda name: stack.enter_context(_open_one_of(files, name))

    return Source(f"debian {package}", open_all)


def python_source(distribution: str) -> Source:
    """Return a source for an installed Python package, by its name in pip."""

    @contextmanager
    def open_all() -> Iterator[Opener]:
        try:
            listed = metadata.files(distribution) or []
        except metadata.PackageNotFoundError as error:
            raise SourceError(f"the package is not installed: 'pip install {distribution}'") from error
        with ExitStack() as stack:
            yield lambda name: stack.enter_context(_open_one_of([Path(str(each.locate())) for each in listed], name))

    return Source(f"python {distribution}", open_all)


def hub_source(address: str) -> Source:
    """Return a source for a dataset on the Hugging Face hub: "owner/name", then optionally "/folder", "@revision"."""
    place, _, revision = address.partition("@")
    owner, name, *folder = place.split("/")

    @contextmanager
    def open_all() -> Iterator[Opener]:
        try:
            from huggingface_hub import hf_hub_download
        except ImportError as error:
            raise SourceError("it needs the package huggingface_hub: 'pip install huggingface_hub'") from error
        with tempfile.TemporaryDirectory() as room, ExitStack() as stack:

            def open_one(file: str) -> BinaryIO:
                path = "/".join([*folder, file])
                try:
                    found = hf_hub_download(
                        f"{owner}/{name}", path, repo_type="dataset", revision=revision or None, local_dir=room
                    )
                except Exception as error:  # its own errors, its HTTP library's and the system's
                    raise SourceError(f"{path}: {_root_cause(error)}") from error
                return stack.enter_context(Path(found).open("rb"))

            yield open_one

    return Source(f"hub {address}", open_all)


class _Session(requests.Session):
    """A session that sends no credentials, not even those in ~/.netrc, and follows no redirects.

    requests would read the whole body of a redirect into memory, whatever size it unpacks to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """Tell requests that there is no redirect to follow."""
        return


def _ask(session: requests.Session, url: str) -> requests.Response:
    """Return the final response of a mirror, its body unread; ask again if it is overloaded."""
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
        # requests lets the last two through for malformed responses and addresses.
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise _failed(url, _root_cause(error)) from error
    raise _failed(url, f"more than {_MOST_REDIRECTS} redirects lead here")


class _HttpBody:
    """The body of a response as a file, its errors turned into ours. A read may return less than requested."""

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
    """Return the error for a failed address, without the password or token that a redirect may have added."""
    shown = re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", url, flags=re.DOTALL)
    return SourceError(f"{shown}: {reason.replace(url, shown)}")


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason of a chain of network errors, which is the one a person can act on."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"


def _names(name: str) -> tuple[str, str]:
    """Return the names that a file may have in a source."""
    return f"{name}.gz", name


def _open_one_of(files: Sequence[Path], name: str) -> BinaryIO:
    by_name = {path.name: path for path in files if path.is_file()}
    for candidate in _names(name):
        if candidate in by_name:
            return by_name[candidate].open("rb")
    raise SourceError(f"it has neither {name} nor {name}.gz")


def _fetch_file(opener: Opener, file: RawFile, form: Format, path: Path) -> None:
    """Write one file, uncompressed, to `path`; stop as soon as it is longer than allowed."""
    raw = _Raw(opener(file.name))
    gzipped = raw.prefix == b"\x1f\x8b"
    # GzipFile's type requires more of a file than reading forwards needs.
    content: Readable = gzip.GzipFile(fileobj=cast(BinaryIO, raw)) if gzipped else raw
    _write_checked(content, file, form, path, raw)
    if file.md5 is not None:
        raw.read_rest()
        if raw.md5.hexdigest() != file.md5:
            raise SourceError(f"its MD5 is {raw.md5.hexdigest()}, not {file.md5}")


def _write_checked(content: Readable, file: RawFile, form: Format, path: Path, raw: "_Raw | None") -> None:
    """Write content to `path`; check its SHA-256 and, if its format declares one, its length."""
    digest = hashlib.sha256()
    with _written(path) as write:
        announces = isinstance(form, Announces)
        start = _read_exactly(content, form.HEADER) if isinstance(form, Announces) else b""
        length = form.announced(start) if isinstance(form, Announces) else formats.MAX_BYTES
        remaining = length - len(start)
        if remaining < 0:
            raise SourceError(f"oversized: bytes follow the {length} that it declares")
        if raw is not None:
            # The source may be endless, such as zeros after a gzip stream; gzip never makes content much longer.
            raw.limit = remaining + remaining // 100 + _CHUNK
        digest.update(start)
        write(start)
        while remaining:
            chunk = content.read(min(_CHUNK, remaining))
            if not chunk:
                if announces:
                    raise SourceError(f"truncated: {remaining} of {length} bytes are missing")
                break
            digest.update(chunk)
            write(chunk)
            remaining -= len(chunk)
        if content.read(1):
            raise SourceError(f"oversized: bytes follow the {length} that it declares or may have")
    if file.sha256 is not None and digest.hexdigest() != file.sha256:
        raise SourceError(f"the SHA-256 of its content is {digest.hexdigest()}, not {file.sha256}")


def _fetch_archive(opener: Opener, file: RawFile, path: Path) -> None:
    raw = _Raw(opener(file.name))
    raw.limit = formats.MAX_BYTES
    with _written(path) as write:
        while chunk := raw.read(_CHUNK):
            write(chunk)
    if file.md5 is not None and raw.md5.hexdigest() != file.md5:
        raise SourceError(f"its MD5 is {raw.md5.hexdigest()}, not {file.md5}")


def _extract(archive: Path, file: RawFile, form: Format, path: Path) -> None:
    """Write one member of a zip or tar archive to `path`, unzipped if gzipped; nothing else in it is unpacked."""
    assert file.member is not None
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as whole, whole.open(file.member) as member:
                _write_member(cast(Readable, member), file, form, path)
            return
        with tarfile.open(archive) as tar:
            opened = tar.extractfile(file.member)
            if opened is None:
                raise SourceError(f"{file.member} in it is not a file")
            _write_member(cast(Readable, opened), file, form, path)
    except KeyError as error:
        raise SourceError(f"there is no {file.member} in it") from error
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"it is not a complete archive: {error}") from error


def _write_member(member: Readable, file: RawFile, form: Format, path: Path) -> None:
    raw = _Raw(member)
    raw.limit = formats.MAX_BYTES
    gzipped = raw.prefix == b"\x1f\x8b"
    content: Readable = gzip.GzipFile(fileobj=cast(BinaryIO, raw)) if gzipped else raw
    _write_checked(content, file, form, path, None)


@contextmanager
def _written(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Open a file; errors in writing it are distinguished from errors in reading another."""

    def write(content: bytes) -> None:
        left = memoryview(content)
        try:
            while left:
                left = left[file.write(left) :]  # on a nearly full disk, only part of it is written
        except OSError as error:
            raise ArtifactError(f"cannot write {path}: {error}") from error

    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error}") from error
    with file:
        yield write


class _Raw:
    """A stream whose first two bytes can be seen before they are read, and that raises an error at a limit.

    Attributes:
        prefix: those two bytes.
        limit: bytes that may still be read.
        md5: of what was read.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.limit = _CHUNK
        self.prefix = _read_exactly(stream, 2)
        self.md5 = hashlib.md5(self.prefix, usedforsecurity=False)
        self._unread = self.prefix

    def read(self, size: int = -1) -> bytes:
        taken = self._unread if size < 0 else self._unread[:size]
        self._unread = self._unread[len(taken) :]
        rest = self._stream.read(-1 if size < 0 else size - len(taken))
        self.md5.update(rest)
        content = taken + rest
        self.limit -= len(content)
        if self.limit < 0:
            raise SourceError("oversized: it goes on after its last image or label")
        return content

    def read_rest(self) -> None:
        """Read to the end: a gzip reader may not have asked for the last bytes."""
        while self.read(_CHUNK):
            pass


def _read_exactly(stream: Readable, size: int) -> bytes:
    content = b""
    while len(content) < size and (chunk := stream.read(size - len(content))):
        content += chunk
    return content


def _installed_files(package: str) -> list[Path]:
    """Return the files of an installed package; none if it is not installed."""
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

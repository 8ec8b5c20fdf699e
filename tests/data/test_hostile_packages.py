"""Packages that try to reach out of the folder they are unpacked in."""

import gzip
import io
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from latentbench.data import sources
from tests.data.small import fake_debian, fetched, take
from tests.faults.counting import Faults

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb, which is Debian's")

CANARY = b"of a package"


def archived(name: str, content: bytes) -> bytes:
    """Return a member of an ar archive."""
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def package(data: bytes, *, member: str = "data.tar.gz") -> bytes:
    """Return a Debian package with `data` as the archive of its files."""
    control = b"Package: small-images\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: x\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        add(tar, "./control", control)
    parts = (("debian-binary", b"2.0\n"), ("control.tar.gz", buffer.getvalue()), (member, data))
    return b"!<arch>\n" + b"".join(archived(name, content) for name, content in parts)


def add(
    tar: tarfile.TarFile, name: str, content: bytes = CANARY, *, kind: bytes = tarfile.REGTYPE, to: str = ""
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, to, 0o644
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    tar.addfile(info, io.BytesIO(content))


Hostility = Callable[[tarfile.TarFile, Path], None]


def climbing(tar: tarfile.TarFile, outside: Path) -> None:
    add(tar, f"./../../../../../../../..{outside}/canary")


def absolute(tar: tarfile.TarFile, outside: Path) -> None:
    add(tar, f"{outside}/canary")


def through_a_link(tar: tarfile.TarFile, outside: Path) -> None:
    add(tar, "./way", kind=tarfile.SYMTYPE, to=str(outside))
    add(tar, "./way/canary")


def through_a_climbing_link(tar: tarfile.TarFile, outside: Path) -> None:
    add(tar, "./way", kind=tarfile.SYMTYPE, to="../" * 12 + str(outside)[1:])
    add(tar, "./way/canary")


def through_a_link_over_a_folder(tar: tarfile.TarFile, outside: Path) -> None:
    add(tar, "./way", kind=tarfile.DIRTYPE)
    add(tar, "./way", kind=tarfile.SYMTYPE, to=str(outside))
    add(tar, "./way/canary")


def by_a_hard_link(tar: tarfile.TarFile, outside: Path) -> None:
    add(tar, "./way", kind=tarfile.LNKTYPE, to=str(outside / "kept"))
    add(tar, "./way")


def device(tar: tarfile.TarFile, _: Path) -> None:
    add(tar, "./train_images-ubyte", kind=tarfile.CHRTYPE)
    add(tar, "./train_labels-ubyte", kind=tarfile.FIFOTYPE)


HOSTILITIES = [
    climbing,
    absolute,
    through_a_link,
    through_a_climbing_link,
    through_a_link_over_a_folder,
    by_a_hard_link,
    device,
]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sources.Source:
    """Return the source that is the package at `package.deb`."""
    fake_debian(tmp_path, monkeypatch, f"cp {tmp_path / 'package.deb'} .")
    return sources.debian_source("small-images")


@pytest.mark.parametrize("hostility", HOSTILITIES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("complete", [True, False])
def test_nothing_is_written_or_taken_outside(
    tmp_path: Path,
    content: dict[str, bytes],
    source: sources.Source,
    faults: Faults,
    hostility: Hostility,
    complete: bool,
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"as it was")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        hostility(tar, outside)
        for name, whole in content.items() if complete else ():
            add(tar, f"./images/{name}-ubyte", whole)
    (tmp_path / "package.deb").write_bytes(package(buffer.getvalue()))
    with faults.one():
        try:
            take([source], content, tmp_path / "raw")
        except sources.SourceError:
            assert fetched(tmp_path / "raw") == {}
        else:  # tar leaves such a member out, or puts it below the folder
            assert complete
            assert fetched(tmp_path / "raw") == content
        assert fetched(outside) == {"kept": b"as it was"}


def test_a_link_to_a_file_outside_is_not_taken_for_the_data(
    tmp_path: Path, content: dict[str, bytes], source: sources.Source, faults: Faults
) -> None:
    """Though the file that it leads to would be right."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, whole in content.items():
            (tmp_path / name).write_bytes(whole)
            add(tar, f"./images/{name}-ubyte", kind=tarfile.SYMTYPE, to=str(tmp_path / name))
    (tmp_path / "package.deb").write_bytes(package(buffer.getvalue()))
    with faults.one(), pytest.raises(sources.SourceError, match="neither train_images-ubyte nor"):
        take([source], content, tmp_path / "raw")


def test_a_package_that_asks_for_memory_without_end_is_refused(
    tmp_path: Path, content: dict[str, bytes], source: sources.Source, faults: Faults
) -> None:
    # To undo what was packed with so large a dictionary takes as much memory, of the content that it is no matter.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**16}]
    packed = bytearray(lzma.compress(bytes(10_240), format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=filters))
    place = packed.index(b"\x21\x01", 12) + 2  # of the dictionary's size, in a block's header
    packed[place] = 40  # 4 GiB - 1
    size = (packed[12] + 1) * 4
    packed[12 + size - 4 : 12 + size] = zlib.crc32(packed[12 : 12 + size - 4]).to_bytes(4, "little")
    (tmp_path / "package.deb").write_bytes(package(bytes(packed), member="data.tar.xz"))
    with faults.one(), pytest.raises(sources.SourceError, match="[Mm]emory|allocate"):
        take([source], content, tmp_path / "raw")


@pytest.mark.parametrize(
    "damage",
    [b"", b"!<arch>\n", b"\0" * 100, gzip.compress(bytes(100), mtime=0)],
    ids=["nothing", "a beginning", "zeros", "no archive"],
)
def test_what_is_no_package_is_told(
    tmp_path: Path, content: dict[str, bytes], source: sources.Source, faults: Faults, damage: bytes
) -> None:
    (tmp_path / "package.deb").write_bytes(damage)
    with faults.one(), pytest.raises(sources.SourceError, match="dpkg-deb -x .* failed"):
        take([source], content, tmp_path / "raw")
    assert fetched(tmp_path / "raw") == {}

"""Files appear whole or not at all, and equal content has equal bytes."""

import ast
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from latentbench.core import artifacts


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    artifacts.write_text(path, "old")

    def fail() -> None:
        with artifacts.atomic(path) as file:
            file.write(b"half of the new")
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_what_a_killed_write_left_goes_with_the_next_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[b]*.txt"
    dead, other = tmp_path / ".a[b]*.txt.x1y2.tmp", tmp_path / ".ab.txt.x1y2.tmp"
    for each in (dead, other):
        each.write_bytes(b"half")
    with artifacts.atomic(path) as slow:  # another's, that is not done yet
        slow.write(b"first")
        artifacts.write_text(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert {each.name for each in tmp_path.iterdir()} == {path.name, other.name}


def test_a_file_that_is_swept_before_it_is_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flock, taken = tmp_path / "a.txt", fcntl.flock, []

    def swept(descriptor: int, operation: int) -> None:
        if not taken:
            taken.extend(tmp_path.glob(".a.txt.*.tmp"))
            taken[0].unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", swept)
    artifacts.write_text(path, "whole")
    assert path.read_text() == "whole"
    assert len(taken) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_content_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    artifacts.write_text(tmp_path / "a.txt", "a")
    assert done == ["file", "name", "folder"]


@pytest.mark.parametrize("lacking", [1, 100, 4000])
def test_an_array_that_lacks_its_end_is_an_error(lacking: int, tmp_path: Path) -> None:
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np
from latentbench.core import artifacts
resource.setrlimit(resource.RLIMIT_FSIZE, (40128 - {lacking}, 40128 - {lacking}))
try:
    artifacts.write_array(Path(sys.argv[1]), np.ones(5000))
except artifacts.ArtifactError as error:
    sys.exit(f"told: {{error}}")
"""
    artifacts.write_array(tmp_path / "a.npy", np.zeros(5000))
    assert (tmp_path / "a.npy").stat().st_size == 40128
    command = [sys.executable, "-c", code, str(tmp_path / "a.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("told: cannot write")
    assert not artifacts.read_array(tmp_path / "a.npy").any()
    assert len(list(tmp_path.iterdir())) == 1


def test_an_array_for_which_the_disk_has_no_room_is_refused_before_it_is_used(tmp_path: Path) -> None:
    room = artifacts.zeros((3, 4), tmp_path / "room")
    assert (tmp_path / "room").stat().st_blocks > 0
    room[1] = 1.0
    assert artifacts.zeros((3, 4)).shape == room.shape
    with pytest.raises(artifacts.ArtifactError, match=r"cannot allocate 2\.6e\+05 GiB in .*huge"):
        artifacts.zeros((2**23, 2**23), tmp_path / "huge")


def test_an_array_is_written_as_its_blocks_come(tmp_path: Path, rng: np.random.Generator) -> None:
    whole, path = rng.normal(size=(11, 3)).astype(np.float32), tmp_path / "a.npy"
    artifacts.write_blocks(path, (11, 3), np.float32, (whole[start : start + 4] for start in range(0, 11, 4)))
    assert np.array_equal(artifacts.read_array(path), whole)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="got 96 bytes for an array of 132"):
        artifacts.write_blocks(path, (11, 3), np.float32, [whole[:8]])
    assert path.read_bytes() == before, "what was there stays until all is there"
    artifacts.write_array(tmp_path / "b.npy", whole)
    assert (tmp_path / "b.npy").read_bytes() == before


def test_array_comes_back_memory_mapped_and_equal(tmp_path: Path, rng: np.random.Generator) -> None:
    array = rng.random((5, 3)).T
    artifacts.write_array(tmp_path / "a.npy", array)
    back = artifacts.read_array(tmp_path / "a.npy")
    assert isinstance(back, np.memmap)
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(77, dtype=np.int32).reshape(11, 7),
        np.arange(77, dtype=">f8").reshape(7, 11).T,
        np.arange(120, dtype=np.uint8).reshape(10, 3, 2, 2)[::-2],
        np.array([(1, 2.5), (3, 4.5), (5, 6.5)], dtype=[("a", np.uint8), ("b", np.float32)]),
        np.zeros((0, 3), dtype=np.float32),
        np.zeros((3, 0), dtype=np.float32),
        np.array(7),
    ],
    ids=["plain", "columns_first", "reversed", "fields", "no_rows", "no_columns", "number"],
)
@pytest.mark.parametrize("block", [1, 100, 2**24])
def test_an_array_has_the_bytes_that_numpy_gives_it_whatever_the_block(
    array: np.ndarray, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_CHUNK", block)
    artifacts.write_array(tmp_path / "ours.npy", array)
    np.save(tmp_path / "theirs.npy", np.asarray(array, order="C"), allow_pickle=False)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_an_array_larger_than_the_memory_is_written(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from latentbench.core import artifacts
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
large = np.broadcast_to(np.arange(1024, dtype=np.uint8), (2**17, 1024))
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
artifacts.write_array(Path(sys.argv[1]), large)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc")
    command = [sys.executable, "-c", code, str(tmp_path / "a.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.npy").stat().st_size == 2**27 + 128


@pytest.mark.parametrize("kind", [object, [("number", np.uint8), ("hidden", object)]], ids=["plain", "in_a_field"])
def test_an_array_of_objects_is_neither_written_nor_read(kind: Any, tmp_path: Path) -> None:
    objects = np.array([(1, {"code": 1})], dtype=kind)
    with pytest.raises(ValueError, match=r"a\.npy: an array of objects cannot be written"):
        artifacts.write_array(tmp_path / "a.npy", objects)
    assert not list(tmp_path.iterdir())
    np.save(tmp_path / "b.npy", objects, allow_pickle=True)
    with pytest.raises(artifacts.ArtifactError, match=r"b\.npy"):
        artifacts.read_array(tmp_path / "b.npy")


def test_model_comes_back_with_shapes_types_and_description(tmp_path: Path) -> None:
    arrays = {"matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T, "count": np.array(3)}
    artifacts.write_model(tmp_path / "m", arrays, {"network": {"latent_dim": 4}})
    back, description = artifacts.read_model(tmp_path / "m")
    assert description == {"network": {"latent_dim": 4}}
    for name, array in arrays.items():
        assert back[name].shape == array.shape
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)


def test_a_damaged_or_missing_file_is_named(tmp_path: Path) -> None:
    artifacts.write_model(tmp_path / "m", {"a": np.zeros(3)}, {})
    path = tmp_path / "m" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(artifacts.ArtifactError, match=r"model\.safetensors"):
        artifacts.read_model(tmp_path / "m")
    with pytest.raises(artifacts.ArtifactError, match=r"none\.json"):
        artifacts.read_json(tmp_path / "none.json")


def test_metrics_are_sorted_rounded_and_finite(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    artifacts.write_metrics(path, {"b": 1 / 3, "a": {"n": 12345678, "x": np.float32(0.1)}})
    assert path.read_text() == '{\n  "a": {\n    "n": 12345678,\n    "x": 0.1\n  },\n  "b": 0.333333\n}\n'
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            artifacts.write_metrics(tmp_path / "bad.json", {"a": bad})
    assert not (tmp_path / "bad.json").exists()


def test_equal_content_has_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        figure = Figure()
        figure.add_subplot().plot([1, 2, 4])
        artifacts.write_figure(tmp_path / name / "f.png", figure)
        artifacts.write_table(tmp_path / name / "t.csv", pd.DataFrame({"x": [1.0, 1 / 3]}))
        artifacts.write_model(tmp_path / name, {"z": np.ones(2), "a": np.zeros(3)}, {"k": 1, "c": 2})
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert (tmp_path / "one" / "t.csv").read_text() == "x\n1\n0.333333\n"


def test_a_figure_of_256_colours_is_the_same_picture_in_a_smaller_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().scatter(*rng.normal(size=(2, 5000)), c=rng.integers(10, size=5000), cmap="tab10", s=2)
    for name, palette in (("full", False), ("small", True), ("again", True)):
        artifacts.write_figure(tmp_path / name, figure, palette=palette)
    full, small = (np.asarray(Image.open(tmp_path / name).convert("RGB"), dtype=float) for name in ("full", "small"))
    assert small.shape == full.shape
    assert np.abs(small - full).mean() < 2
    assert (tmp_path / "small").stat().st_size < 0.7 * (tmp_path / "full").stat().st_size
    assert (tmp_path / "small").read_bytes() == (tmp_path / "again").read_bytes()


WRITERS = {
    *("write_text", "write_bytes", "tofile", "savetxt", "savez", "savez_compressed", "savefig", "save_file"),
    *(
        "to_csv",
        "to_json",
        "to_parquet",
        "to_pickle",
        "copyfile",
        "copy2",
        "copytree",
        "move",
        "dump",
        "fdopen",
        "mkstemp",
    ),
}
# What is written into a folder of temporary files is nobody's, the log of a stage is read as it grows, locks are empty,
# a worker makes its clone anew, geodesic distances lie in a file while they are needed, a picture is drawn into memory.
TEMPORARY = {
    "latentbench/data/formats/npy.py": {"open"},
    "latentbench/data/sources.py": {"open"},
    "latentbench/reduction/ways.py": {"open"},
    "stages/explorer_libraries.py": {"copy"},
    "tools/lib/fleet.py": {"open"},
    "tools/lib/output.py": {"open"},
    "tools/lib/trades.py": {"savefig"},
    "tools/lib/worker.py": {"write_text", "copyfile"},
}


def test_every_writer_is_the_atomic_one(root: Path) -> None:
    found: dict[str, set[str]] = {}
    for top in ("latentbench", "stages", "tools"):
        for path in (root / top).rglob("*.py"):
            name = path.relative_to(root).as_posix()
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and (writer := _writer(call)):
                    found.setdefault(name, set()).add(writer)
    assert found.pop("latentbench/core/artifacts.py") >= {"mkstemp", "fdopen", "open_memmap"}, (
        "the walk sees no writers"
    )
    assert found == TEMPORARY


def _writer(call: ast.Call) -> str | None:
    """Return the name of a function that is called and writes a file, but for those of `artifacts`."""
    function = call.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    of = getattr(getattr(function, "value", None), "id", "")
    if name in {"open", "memmap", "open_memmap"}:
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return name if any(set(mode) & set("wax+") and len(mode) < 4 for mode in modes) else None
    if name in WRITERS and of != "artifacts":
        return name
    return name if (of, name) in {("np", "save"), ("shutil", "copy"), ("torch", "save")} else None


def test_files_are_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    code = "import pathlib; from latentbench.core import artifacts; artifacts.write_text(pathlib.Path('{}'), 'a')"
    for umask, mode in ((0o002, 0o664), (0o077, 0o600)):
        path = tmp_path / f"{umask:o}"
        subprocess.run([sys.executable, "-c", code.format(path)], umask=umask, check=True)
        assert stat.S_IMODE(path.stat().st_mode) == mode

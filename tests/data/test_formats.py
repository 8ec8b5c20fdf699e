"""Every format gives back the very images and labels that were written in it; what is damaged is told by name."""

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import dump_svmlight_file

from latentbench import plugins
from latentbench.core import artifacts
from latentbench.data import datasets
from latentbench.data.formats.base import FormatError
from latentbench.data.sources import SourceError
from latentbench.params.base import ParamsError, validate
from latentbench.params.dataset import Description
from tests.idx_files import idx_bytes

N_TRAIN, N_TEST = 60, 30
CLASSES = [f"class {label}" for label in range(10)]


class Data:
    """Real images in grey, and in colour, with labels of all classes."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        chosen = np.concatenate([np.flatnonzero(labels == label)[: (N_TRAIN + N_TEST) // 10] for label in range(10)])
        chosen = np.random.default_rng(3).permutation(chosen)
        grey = np.array(images[chosen])
        colour = np.concatenate([grey, 255 - grey, np.roll(grey, 3, axis=3)], axis=1)
        wide = np.zeros((len(colour), 3, 32, 32), dtype=np.uint8)
        wide[:, :, 2:30, 2:30] = colour
        self.labels = labels[chosen].astype(np.int64)
        self.images = {"grey": grey, "colour": colour, "32x32": wide}

    def split(self, kind: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        parts = {"train": slice(0, N_TRAIN), "test": slice(N_TRAIN, None)}
        return {name: (self.images[kind][rows], self.labels[rows]) for name, rows in parts.items()}


@pytest.fixture(scope="module")
def data(images: np.ndarray, labels: np.ndarray) -> Data:
    return Data(images, labels)


def obtained(folder: Path, raw: Path, **description: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a dataset whose files are in a folder."""
    content = {"title": "small", "sources": [{"folder": str(folder)}], **description}
    datasets.obtain(validate(Description, content), raw)
    return {path.stem: artifacts.read_array(path) for path in raw.glob("*.npy")}


def check_same(found: dict[str, np.ndarray], expected: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    assert set(found) == {f"{split}_{kind}" for split in expected for kind in ("images", "labels")}
    for split, (images, labels) in expected.items():
        np.testing.assert_array_equal(found[f"{split}_images"], images)
        np.testing.assert_array_equal(found[f"{split}_labels"], labels)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, format="png")
    return buffer.getvalue()


def files(*roles: str, suffix: str = "") -> dict[str, dict[str, str]]:
    return {role: {"name": f"{role}{suffix}"} for role in roles}


FOUR = ("train_images", "train_labels", "test_images", "test_labels")
Writer = Callable[[Path, dict[str, tuple[np.ndarray, np.ndarray]]], dict[str, Any]]


def as_idx(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    for split, (images, labels) in parts.items():
        pixels = images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)
        (folder / f"{split}_images.gz").write_bytes(gzip.compress(idx_bytes(np.ascontiguousarray(pixels))))
        (folder / f"{split}_labels").write_bytes(idx_bytes(labels.astype(np.uint8)))
    return {"format": "idx", "files": files(*FOUR)}


def as_npy(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    for split, (images, labels) in parts.items():
        np.save(folder / f"{split}_images.npy", images.transpose(0, 2, 3, 1))
        np.save(folder / f"{split}_labels.npy", labels)
    return {"format": "npy", "files": files(*FOUR, suffix=".npy")}


def as_npz(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    arrays = {f"{kind}_{split}": each for split, pair in parts.items() for kind, each in zip("xy", pair, strict=True)}
    np.savez_compressed(
        folder / "all.npz",
        **{name: each.astype(np.float32) / (255 if "x" in name[0] else 1) for name, each in arrays.items()},
    )
    return {"format": "npy", "files": {"archive": {"name": "all.npz"}}}


def as_folders(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    for split, (images, labels) in parts.items():
        for place, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / CLASSES[label] / f"{place:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(pixels))
    return {"format": "images"}


def lines_of_numbers(name: str, suffix: str, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Return the description of a format that does not tell the shape of its images."""
    channels, *size = parts["train"][0].shape[1:]
    return {"format": name, "files": files("train", "test", suffix=suffix), "channels": channels, "size": size}


def as_csv(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    for split, (images, labels) in parts.items():
        n_pixels = images[0].size
        header = ",".join(["label", *(f"pixel{i}" for i in range(n_pixels))])
        lines = np.c_[labels, images.reshape(len(images), -1)]
        np.savetxt(folder / f"{split}.csv", lines, fmt="%d", delimiter=",", header=header, comments="")
    return lines_of_numbers("csv", ".csv", parts)


def as_libsvm(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """One file packed and one not, as sklearn writes them: values from -1 to 1, labels from 1."""
    for split, (images, labels) in parts.items():
        path = folder / f"{split}.txt"
        dump_svmlight_file(images.reshape(len(images), -1) / 127.5 - 1.0, labels + 1, str(path), zero_based=False)
        if split == "train":
            path.write_bytes(bz2.compress(path.read_bytes()))
    options = {"lowest": -1, "highest": 1, "first_label": 1}
    return {**lines_of_numbers("libsvm", ".txt", parts), "options": options}


def as_cifar(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Two files to train on, all in a tar archive, as its publisher has it."""
    with tarfile.open(folder / "binary.tar.gz", "w:gz") as tar:
        (images, labels), test = parts["train"], parts["test"]
        halves = {"train_1": (images[:25], labels[:25]), "train_2": (images[25:], labels[25:]), "test": test}
        for name, (pixels, numbers) in halves.items():
            content = np.c_[numbers.astype(np.uint8), pixels.reshape(len(pixels), -1)].tobytes()
            info = tarfile.TarInfo(f"batches/{name}.bin")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    members = {
        name: {"name": "binary.tar.gz", "member": f"batches/{name}.bin"} for name in ("train_1", "train_2", "test")
    }
    return {"format": "cifar", "files": members}


def as_mat(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    from scipy import io as scipy_io

    for split, (images, labels) in parts.items():
        numbers = np.where(labels == 0, 10, labels).astype(np.uint8)  # as SVHN counts
        scipy_io.savemat(folder / f"{split}.mat", {"X": images.transpose(2, 3, 1, 0), "y": numbers[:, None]})
    return {"format": "mat", "files": files("train", "test", suffix=".mat")}


def as_parquet(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Two shards to train on, the images as Hugging Face has them."""
    import pyarrow as pa
    from pyarrow import parquet

    (images, labels), test = parts["train"], parts["test"]
    shards = {"train_1": (images[:20], labels[:20]), "train_2": (images[20:], labels[20:]), "test": test}
    for name, (pixels, numbers) in shards.items():
        encoded = [{"bytes": png(each), "path": None} for each in pixels]
        parquet.write_table(pa.table({"image": encoded, "label": numbers}), folder / f"{name}.parquet")
    return {"format": "parquet", "files": files(*shards, suffix=".parquet")}


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (as_idx, "grey"),
        (as_idx, "colour"),
        (as_npy, "grey"),
        (as_npy, "colour"),
        (as_npz, "grey"),
        (as_npz, "colour"),
        (as_folders, "grey"),
        (as_folders, "colour"),
        (as_csv, "grey"),
        (as_csv, "colour"),
        (as_libsvm, "grey"),
        (as_libsvm, "colour"),
        (as_cifar, "32x32"),
        (as_mat, "colour"),
        (as_parquet, "grey"),
        (as_parquet, "colour"),
    ],
)
def test_each_format_gives_the_same_arrays(data: Data, tmp_path: Path, write: Writer, kind: str) -> None:
    place, raw = tmp_path / "place", tmp_path / "raw"
    place.mkdir()
    parts = data.split(kind)
    description = write(place, parts)
    if write is as_folders:  # in the order of paths
        order = {split: np.lexsort((np.arange(len(labels)), labels)) for split, (_, labels) in parts.items()}
        parts = {split: (images[order[split]], labels[order[split]]) for split, (images, labels) in parts.items()}
        expected_classes = CLASSES
    else:
        expected_classes = [str(label) for label in range(10)]
    check_same(obtained(place, raw, **description), parts)
    facts = artifacts.read_json(raw / "dataset.json")
    assert facts["classes"] == expected_classes
    assert facts["image_shape"] == list(parts["train"][0].shape[1:])
    assert facts["splits"] == ["train", "test"]


def test_every_format_is_tested() -> None:
    assert plugins.names("latentbench.data.formats") == [
        "cifar",
        "csv",
        "idx",
        "images",
        "libsvm",
        "mat",
        "npy",
        "parquet",
        "stl",
    ]


def test_stl_lies_on_its_side_and_counts_from_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(12, 3, 96, 96), dtype=np.uint8)
    labels = np.arange(12, dtype=np.uint8) % 10
    for split, rows in (("train", slice(0, 8)), ("test", slice(8, 12))):
        (tmp_path / f"{split}_images").write_bytes(images[rows].swapaxes(2, 3).tobytes())
        (tmp_path / f"{split}_labels").write_bytes((labels[rows] + 1).tobytes())
    found = obtained(tmp_path, tmp_path / "raw", format="stl", files=files(*FOUR))
    check_same(found, {"train": (images[:8], labels[:8]), "test": (images[8:], labels[8:])})


def test_emnist_lies_on_its_side_in_a_zip_of_gzipped_files(data: Data, tmp_path: Path) -> None:
    parts = data.split("grey")
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for split, (images, labels) in parts.items():
            turned = np.ascontiguousarray(images[:, 0].swapaxes(1, 2))
            archive.writestr(f"gzip/{split}-images.gz", gzip.compress(idx_bytes(turned)))
            archive.writestr(f"gzip/{split}-labels.gz", gzip.compress(idx_bytes(labels.astype(np.uint8))))
    members = {
        f"{split}_{kind}": {"name": "gzip.zip", "member": f"gzip/{split}-{kind}.gz"}
        for split in parts
        for kind in ("images", "labels")
    }
    found = obtained(tmp_path, tmp_path / "raw", format="idx", files=members, options={"transposed": True})
    check_same(found, parts)


def test_labels_that_count_from_one_and_labels_with_more_beside_them(data: Data, tmp_path: Path) -> None:
    parts = data.split("grey")
    for split, (images, labels) in parts.items():
        (tmp_path / f"{split}_images").write_bytes(idx_bytes(np.ascontiguousarray(images[:, 0])))
        (tmp_path / f"{split}_labels").write_bytes(idx_bytes((labels + 1).astype(np.uint8)))
    check_same(
        obtained(tmp_path, tmp_path / "raw", format="idx", files=files(*FOUR), options={"first_label": 1}), parts
    )
    for split, (_, labels) in parts.items():  # as QMNIST's: integers, and where each digit came from
        table = np.c_[labels, np.full((len(labels), 7), 9)].astype(">i4")
        header = b"\0\0\x0c\x02" + len(table).to_bytes(4, "big") + (8).to_bytes(4, "big")
        (tmp_path / f"{split}_labels").write_bytes(header + table.tobytes())
    check_same(obtained(tmp_path, tmp_path / "raw", format="idx", files=files(*FOUR)), parts)
    with pytest.raises(SourceError, match="has the label 0, but labels count from 1"):
        obtained(tmp_path, tmp_path / "raw2", format="idx", files=files(*FOUR), options={"first_label": 1})


def test_a_pickle_is_refused_and_the_binary_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02}q\x00." + bytes(5000))
    with pytest.raises(SourceError, match=r"can run any code when it is read: use the binary one \(cifar-10-binary"):
        obtained(tmp_path, tmp_path / "raw", format="cifar", files={"train": {"name": "data_batch_1"}})
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: (folder / "a").mkdir(), "holds no pictures"),
        (lambda folder: (folder / "test").mkdir(), "has test, but no train folder beside it"),
        (lambda folder: lay(folder, "a/1.png", "2.png"), r"2\.png lies beside folders of classes"),
        (lambda folder: lay(folder, "a/1.png", "b/2.png", size={"b/2.png": (9, 12)}), r"2\.png is 9 x 12, .*1\.png is"),
        (lambda folder: lay(folder, "a/1.png", size={"a/1.png": (5, 5)}), r"5 x 5 pixels, but must be from 8 x 8"),
        (lambda folder: (lay(folder, "a/1.png"), (folder / "a/2.png").write_bytes(b"no")), r"2\.png: this is not a"),
    ],
)
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, make: Callable[[Path], Any], says: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    make(place)
    with pytest.raises(SourceError, match=says):
        obtained(place, tmp_path / "raw", format="images")
    assert not (tmp_path / "raw").exists()


def lay(folder: Path, *names: str, size: dict[str, tuple[int, int]] | None = None) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        height, width = (size or {}).get(name, (10, 10))
        (folder / name).write_bytes(png(np.full((1, height, width), 99, dtype=np.uint8)))


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    lay(tmp_path / "place", "1.png", "2.png")
    found = obtained(tmp_path / "place", tmp_path / "raw", format="images")
    assert set(found) == {"train_images"}
    assert json.loads((tmp_path / "raw/dataset.json").read_text())["classes"] is None


@pytest.mark.parametrize(
    ("highest", "says"), [(0, "2 to 1000 classes, not 1"), (1000, "has the label 1000; there may")]
)
def test_there_are_from_2_to_1000_classes(tmp_path: Path, highest: int, says: str) -> None:
    np.save(tmp_path / "train_images.npy", np.zeros((3, 8, 8), dtype=np.uint8))
    np.save(tmp_path / "train_labels.npy", np.array([0, 0, highest]))
    roles = files("train_images", "train_labels", suffix=".npy")
    with pytest.raises(SourceError, match=says):
        obtained(tmp_path, tmp_path / "raw", format="npy", files=roles)
    np.save(tmp_path / "train_labels.npy", np.array([0, 0, 2**40]))  # and no list of so many names is made
    with pytest.raises(SourceError, match="has the label 1099511627776"):
        obtained(tmp_path, tmp_path / "raw", format="npy", files=roles)
    np.save(tmp_path / "train_labels.npy", np.array([0, 0, 999]))
    found = obtained(tmp_path, tmp_path / "raw", format="npy", files=roles)
    assert found["train_labels"].dtype == np.uint16
    assert found["train_labels"].tolist() == [0, 0, 999]


def test_an_option_that_a_format_does_not_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the format csv has no lable; it has label, highest"):
        obtained(tmp_path, tmp_path / "raw", format="csv", options={"lable": "last"})


def test_sums_of_the_publisher_are_checked(data: Data, tmp_path: Path) -> None:
    description = as_mat(tmp_path, data.split("colour"))
    description["files"]["train"]["md5"] = "0" * 32
    with pytest.raises(SourceError, match="its MD5 is [0-9a-f]{32}, not 0000"):
        obtained(tmp_path, tmp_path / "raw", **description)


def test_the_catalogue_is_right(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from latentbench.data.formats import base
    from latentbench.params import dataset

    monkeypatch.chdir(root)
    assert {"fashion_mnist", "digits"} <= set(dataset.names())
    for name in dataset.names():
        found = dataset.load(name)
        form = base.of(found.format)
        assert set(found.options) <= set(form.OPTIONS), name
        assert found.title, name
        assert found.licence, name
        assert found.citation, name
    with pytest.raises(ParamsError, match=r"there is no datasets/lost\.yaml; available: .*digits"):
        dataset.load("lost")


@pytest.mark.parametrize("value", ["nan", "", "256", "-1", "0.5", "x"])
def test_a_pixel_that_is_none_is_told_with_its_image(tmp_path: Path, value: str) -> None:
    lines = [",".join(["1", *["7"] * 64]) for _ in range(3)]
    for place in (0, 2):  # the first line is no header
        wrong = [*lines]
        wrong[place] = wrong[place].replace("7", value, 1)
        (tmp_path / "train.csv").write_text("\n".join(wrong))
        says = f"image {place + 1}" if value not in ("", "x") else r"image|not a table of numbers|has 64 values"
        with pytest.raises(SourceError, match=says):
            obtained(tmp_path, tmp_path / "raw", format="csv", files=files("train", suffix=".csv"), size=[8, 8])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 1:0.5 64:1.01", "is not between 0 and 1"),
        ("0 65:1", "not lines of numbered values"),
        ("0 0:1", "not lines of numbered values"),
        ("0.5 1:1", "not a whole number from 0"),
        ("-1 1:1", "not a whole number from 0"),
        ("0 1:nan", "is not between 0 and 1"),
        ("nothing", "not lines of numbered values"),
        ("0 " + " ".join(f"{place}:{'1' * 40}" for place in range(1, 65)), "a line of more than 2600 bytes"),
        ("", "has no lines"),
    ],
)
def test_a_wrong_line_of_numbered_values_is_told(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(line)
    with pytest.raises(SourceError, match=says):
        obtained(tmp_path, tmp_path / "raw", format="libsvm", files=files("train", suffix=".txt"), size=[8, 8])

"""`make dataset` looks at a folder, says what it found, and writes a description that the pipeline then reads."""

import io
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from latentbench.core import artifacts
from latentbench.data import datasets
from latentbench.params import dataset as descriptions
from tests.idx_files import idx_bytes
from tools import dataset


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for images; this process is in a project beside it."""
    (tmp_path / "project/datasets").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "with a space, ä").mkdir()
    return tmp_path / "with a space, ä"


def picture(path: Path, height: int = 40, width: int = 30, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(len(path.name)).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(colours).convert(mode).save(path)


def written(name: str = "mine") -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load(Path(f"datasets/{name}.yaml").read_text(encoding="utf-8"))
    return content


def arrays(raw: Path) -> dict[str, tuple[int, ...]]:
    """Obtain what was described; return the shape of each array."""
    datasets.obtain(descriptions.load("mine"), raw)
    return {path.stem: artifacts.read_array(path).shape for path in raw.glob("*.npy")}


def test_pictures_by_class_of_several_sizes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, n in (("train", 5), ("val", 2), ("test", 3)):
        for label in ("cat", "dog"):
            for index in range(n):
                picture(place / split / label / f"{index}.jpg", 40 + index, 30)
    dataset.main(["mine", str(place)])
    told = capsys.readouterr().err
    assert "10 train pictures" in told
    assert "4 validation pictures" in told
    assert "2 classes; the smallest is cat with 10 pictures" in told
    assert "all are resized to 64 x 64" in told
    assert "in colour" in told
    assert "dvc exp run -S data.dataset=mine" in told
    assert written()["size"] == [64, 64]
    assert arrays(place.parent / "raw") == {
        "train_images": (10, 3, 64, 64),
        "train_labels": (10,),
        "validation_images": (4, 3, 64, 64),
        "validation_labels": (4,),
        "test_images": (6, 3, 64, 64),
        "test_labels": (6,),
    }


def test_grey_pictures_of_one_size_stay_as_they_are(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("cat", "dog"):
        picture(place / label / "1.png", 20, 13, "L")
    dataset.main(["mine", str(place)])
    told = capsys.readouterr().err
    assert "There is no test set, so one is split off at random" in told
    assert "20 x 13 (height x width)" in told
    assert "grey." in told
    assert written() == {"title": "mine", "sources": [{"folder": str(place)}], "format": "images"}
    assert arrays(place.parent / "raw") == {"train_images": (2, 1, 20, 13), "train_labels": (2,)}


def test_a_size_may_be_told(place: Path) -> None:
    for label in ("cat", "dog"):
        picture(place / label / "1.png")
    dataset.main(["mine", str(place), "--size", "16", "24"])
    assert arrays(place.parent / "raw")["train_images"] == (2, 3, 16, 24)


def test_arrays_and_idx_files_are_told_apart_by_their_names(
    place: Path, images: np.ndarray, labels: np.ndarray
) -> None:
    for split, rows in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        (place / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(np.ascontiguousarray(images[rows, 0])))
        (place / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[rows]))
    dataset.main(["mine", str(place)])
    expected = {"train_images": (20, 1, 28, 28), "train_labels": (20,)}
    expected |= {"test_images": (10, 1, 28, 28), "test_labels": (10,)}
    assert arrays(place.parent / "raw") == expected
    for path in place.iterdir():
        path.unlink()
    np.save(place / "x_train.npy", images[:20])
    np.save(place / "y_train.npy", labels[:20])
    np.save(place / "x_test.npy", images[20:30])
    np.save(place / "y_test.npy", labels[20:30])
    dataset.main(["mine", str(place), "--replace"])
    assert arrays(place.parent / "raw2") == expected


def test_a_table_needs_a_size(place: Path, images: np.ndarray, labels: np.ndarray) -> None:
    lines = np.c_[labels[:20], images[:20].reshape(20, -1)]
    np.savetxt(place / "digits.csv", lines, fmt="%d", delimiter=",")
    with pytest.raises(SystemExit, match='set SIZE="HEIGHT WIDTH"'):
        dataset.main(["mine", str(place)])
    dataset.main(["mine", str(place), "--size", "28", "28"])
    assert arrays(place.parent / "raw") == {"train_images": (20, 1, 28, 28), "train_labels": (20,)}


def test_what_cannot_be_described_is_told_and_nothing_is_written(place: Path) -> None:
    with pytest.raises(SystemExit, match="there is no folder"):
        dataset.main(["mine", str(place / "nowhere")])
    with pytest.raises(SystemExit, match="has no files that can be read"):
        dataset.main(["mine", str(place)])
    (place / "a.csv").write_text("1,2\n")
    (place / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(SystemExit, match="files of several formats"):
        dataset.main(["mine", str(place)])
    (place / "b.parquet").unlink()
    (place / "b.csv").write_text("1,2\n")
    with pytest.raises(SystemExit, match=r"a\.csv: rename it to train"):
        dataset.main(["mine", str(place), "--size", "8", "8"])
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, format="png")
    (place / "1.png").write_bytes(buffer.getvalue()[:20])
    with pytest.raises(SystemExit, match=r"1\.png: this is not a picture"):
        dataset.main(["mine", str(place)])
    assert list(Path("datasets").iterdir()) == []


def test_a_description_that_is_there_is_kept(place: Path) -> None:
    picture(place / "cat/1.png")
    Path("datasets/mine.yaml").write_text("title: kept\n")
    with pytest.raises(SystemExit, match=r"mine\.yaml exists already: use another NAME, or delete the file"):
        dataset.main(["mine", str(place)])
    assert Path("datasets/mine.yaml").read_text() == "title: kept\n"
    dataset.main(["mine", str(place), "--replace"])
    assert written()["format"] == "images"


@pytest.mark.parametrize("name", ["", "../mine", "a b", ".mine"])
def test_a_name_that_is_no_file_name_is_refused(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dataset.main([name, str(place)])
    assert "must be letters, digits" in capsys.readouterr().err

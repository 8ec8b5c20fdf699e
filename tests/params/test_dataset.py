"""A dataset's own file: what is wrong with one is told with its name and the key."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from latentbench.data import datasets
from latentbench.params import dataset, file
from latentbench.params.base import ParamsError

RIGHT: dict[str, Any] = {
    "title": "mine",
    "format": "idx",
    "sources": [{"folder": "/images"}],
    "files": {"train_images": {"name": "images"}},
}


def load(folder: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> dataset.Description:
    monkeypatch.chdir(folder)
    (folder / "datasets").mkdir(exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / "datasets/mine.yaml").write_text(text, encoding="utf-8")
    return dataset.load("mine")


def test_four_lines_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "title: mine\nformat: images\nsources: [{folder: /images}]\nsize: [32, 32]\n"
    found = load(tmp_path, monkeypatch, text)
    assert (found.size, found.fit, found.channels, found.classes) == ([32, 32], "crop", None, None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sources": []}, "sources: list should have at least 1 item"),
        ({"sources": [{"http": "ftp://x"}]}, "^https?://"),
        (
            {"sources": [{"folder": "/a", "debian": "bb"}]},
            "exactly one of folder, http, debian, python, hub, not folder and",
        ),
        ({"sources": [{}]}, "exactly one of folder, http, debian, python, hub, not none"),
        ({"sources": [{"folder": "images"}]}, "must be an absolute path"),
        ({"sources": [{"http": "https://me:secret@example.org/x"}]}, "must not contain a user name, password or query"),
        ({"classes": ["a", "a"]}, "classes ['a', 'a'] must differ"),
        ({"classes": ["a"]}, "classes: list should have at least 2 items"),
        ({"files": {"train_images": {"name": "../labels"}}}, "files.train_images.name: string should match pattern"),
        ({"files": {"train_images": {"name": "a", "sha256": "abc"}}}, "[0-9a-f]{64}"),
        ({"files": {"train_images": {"name": "a", "md5": "abc"}}}, "[0-9a-f]{32}"),
        ({"size": [7, 28]}, "size.0: input should be greater than or equal to 8, not 7"),
        ({"size": [28, 129]}, "size.1: input should be less than or equal to 128, not 129"),
        ({"size": [28]}, "size: list should have at least 2 items"),
        ({"channels": 2}, "channels: input should be 1 or 3, not 2"),
        ({"fit": "zoom"}, "fit: input should be 'crop', 'pad' or 'stretch', not 'zoom'"),
        ({"background": 256}, "less than or equal to 255, not 256"),
        ({"titel": "x"}, "titel: there is no such param"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ParamsError) as caught:
        load(tmp_path, monkeypatch, RIGHT | change)
    assert says in str(caught.value)
    assert str(caught.value).startswith("datasets/mine.yaml: ")


@pytest.mark.parametrize("text", ["", "[", "title: [", "- a\n", "5\n", "!!python/object/apply:os.getcwd []\n"])
def test_what_is_no_description_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ParamsError, match=r"datasets/mine\.yaml"):
        load(tmp_path, monkeypatch, text)


@pytest.mark.parametrize(
    "source",
    [
        {"http": "https://me:secret@example.org/x"},
        {"http": "https://example.org/x?token=secret"},
        {"http": "ftp://me:secret@example.org/x"},
        {"http": "https://me:secret@example.org/x", "folder": "/a"},
        {"http": "https://me:secret@example.org/x", "no such key": 1},
    ],
)
def test_a_password_in_an_address_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: dict[str, Any]
) -> None:
    with pytest.raises(ParamsError) as caught:
        load(tmp_path, monkeypatch, RIGHT | {"sources": [source]})
    assert "sources.0" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("change", ["content", "new", "gone", "time"])
def test_a_folder_of_the_users_that_has_changed_since_it_was_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path, change: str
) -> None:
    place = tmp_path / "pictures"
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), 40).save(place / name)
    description = {"title": "mine", "format": "images", "sources": [{"folder": str(place)}]}
    datasets.obtain(load(tmp_path, monkeypatch, description), Path("data/raw"))
    params = file.load(root / "params.yaml")
    of_mine = params.model_copy(update={"data": params.data.model_copy(update={"dataset": "mine"})})
    file.check_source(of_mine)
    match change:
        case "content":
            Image.new("L", (9, 10), 41).save(place / "cat/1.png")
        case "new":
            Image.new("L", (9, 9)).save(place / "cat/3.png")
        case "gone":
            (place / "dog/1.png").unlink()
        case "time":
            os.utime(place / "dog/1.png", (1, 1))
    with pytest.raises(
        ParamsError, match=r"have changed since they were read: read them again with 'dvc repro --force download'"
    ):
        file.check_source(of_mine)
    monkeypatch.setenv("DVC_STAGE", "download")
    file.check_source(of_mine)  # which is about to read them again


def test_files_with_checksums_are_not_watched(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    known = {"train_images": dataset.File(name="a", sha256="0" * 64)}
    described = dataset.Description(title="x", format="idx", sources=[dataset.Source(folder="/a")], files=known)
    assert dataset.fingerprint(described, tmp_path) is None
    unknown = described.model_copy(update={"files": {"train_images": dataset.File(name="a")}})
    assert dataset.fingerprint(unknown, tmp_path) != dataset.fingerprint(unknown, tmp_path / "..")

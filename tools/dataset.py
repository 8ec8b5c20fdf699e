"""Describe a folder of your own images: inspect the files, report what they are, and write datasets/<name>.yaml."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from latentbench.core import artifacts, progress
from latentbench.core.errors import InputError, LatentbenchError
from latentbench.data import pictures
from latentbench.data.formats import images
from latentbench.params import dataset
from latentbench.params.base import validate
from latentbench.params.dataset import Description

_SIDE = 64  # to which pictures of different sizes are resized by default
_LOOKED_AT = 500  # pictures whose size is read
_SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation"}
_SPLITS |= {"validation": "validation", "test": "test", "t10k": "test", "testing": "test"}
_SUFFIXES = {".npz": "npy", ".npy": "npy", ".csv": "csv", ".parquet": "parquet", ".mat": "mat", ".bin": "cifar"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    path = dataset.FOLDER / f"{options.name}.yaml"
    try:
        if path.exists() and not options.replace:
            raise InputError(f"{path} exists already: use another NAME, or delete the file")
        found, report = describe(options.name, options.folder.resolve(), options.size)
        validate(Description, found)
        artifacts.write_text(path, yaml.safe_dump(found, sort_keys=False, allow_unicode=True, default_flow_style=None))
    except LatentbenchError as error:
        sys.exit(f"dataset: {error}")
    for line in report:
        progress.note(line)
    progress.note(f"written: {path}. Now: dvc exp run -S data.dataset={options.name}")


def describe(name: str, folder: Path, size: tuple[int, int] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the content of a dataset's file for a folder, and what was found there, a sentence each.

    Args:
        name: of the dataset.
        folder: of the images.
        size: height and width to resize them to; None for their own, or 64 x 64 where they differ.

    Raises:
        InputError: there is no such folder, or nothing in it can be read.
        FormatError: pictures and folders in it do not fit together, or a file is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    found: dict[str, Any] = {"title": name.replace("_", " "), "sources": [{"folder": str(folder)}]}
    report = []
    if any(path.suffix.lower() in pictures.SUFFIXES for path in folder.rglob("*")):
        found["format"] = "images"
        report += _look_at_pictures(folder, found, size)
    else:
        found |= _look_at_files(folder)
        report.append(f"{folder}: {found['format']}, {', '.join(found['files'])}")
        if size is not None:
            found["size"] = list(size)
        elif found["format"] == "csv":
            raise InputError('a table of pixels does not give the height and width: set SIZE="HEIGHT WIDTH"')
    return found, report


def _look_at_pictures(folder: Path, found: dict[str, Any], size: tuple[int, int] | None) -> list[str]:
    listed, classes = images.layout(folder)
    n = {split: len(paths) for split, (paths, _) in listed.items()}
    report = [f"{folder}: " + ", ".join(f"{count} {split} pictures" for split, count in n.items())]
    if classes is None:
        report.append("They have no classes.")
    else:
        labels = Counter(label for _, each in listed.values() for label in each)
        fewest = min(labels, key=lambda label: labels[label])
        report.append(
            f"They have {len(classes)} classes; the smallest is {classes[fewest]} with {labels[fewest]} pictures."
        )
    if "test" not in n:
        report.append("There is no test set, so one is split off at random (data.test_share in params.yaml).")
    paths = [path for each, _ in listed.values() for path in each]
    step = max(1, len(paths) // _LOOKED_AT)
    there = Counter(pictures.shapes(paths[::step]))
    sizes = {shape[1:] for shape in there}
    colours = {shape[0] for shape in there}
    common = ", ".join(f"{height} x {width}" for _, height, width in dict(there.most_common(3)))
    if size is None and (len(sizes) > 1 or not _fits(*next(iter(sizes)))):
        size = (_SIDE, _SIDE)
        report.append(
            f"Their sizes are {common}{', ...' if len(sizes) > 3 else ''}: all are resized to {_SIDE} x {_SIDE}."
        )
    else:
        report.append(f"Their size is {common} (height x width).")
    report.append(
        "They are " + ("in colour." if colours == {3} else "grey." if colours == {1} else "grey and in colour.")
    )
    if size is not None:
        found["size"] = list(size)
    return report


def _fits(height: int, width: int) -> bool:
    return all(dataset.SMALLEST <= side <= dataset.LARGEST for side in (height, width))


def _look_at_files(folder: Path) -> dict[str, Any]:
    """Return the format and files of a folder without pictures."""
    there = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    plain = {path: Path(path.name.removesuffix(".gz")) for path in there}
    forms = {_format(path, name) for path, name in plain.items()} - {None}
    if len(forms) != 1:
        raise InputError(f"{folder} has {'files of several formats' if forms else 'no files that can be read'}")
    (form,) = forms
    kept = {path: name for path, name in plain.items() if _format(path, name) == form}
    if form == "npy" and any(name.suffix == ".npz" for name in kept.values()):
        if len(kept) > 1:
            raise InputError(f"{folder} has several .npz files: keep only one")
        (name,) = kept.values()
        return {"format": form, "files": {"archive": {"name": name.name}}}
    return {"format": form, "files": {role: {"name": name} for role, name in sorted(_roles(form, kept).items())}}


def _format(path: Path, name: Path) -> str | None:
    if re.search(r"idx\d", name.name):
        return "idx"
    return _SUFFIXES.get(name.suffix.lower()) if path.stat().st_size else None


def _roles(form: str | None, kept: dict[Path, Path]) -> dict[str, str]:
    """Return the name of each file by its role, which its name gives away."""
    pairs = form in ("idx", "npy")
    roles: dict[str, list[str]] = {}
    for name in sorted(name.name for name in kept.values()):
        words = re.split(r"[^a-z0-9]+", name.lower())
        split = next((_SPLITS[word] for word in words if word in _SPLITS), "train" if len(kept) <= 1 + pairs else None)
        if split is None:
            raise InputError(f"{name}: rename it to train..., val... or test...")
        labels = any(word.startswith(("label", "target", "y")) for word in words)
        roles.setdefault(f"{split}_{'labels' if labels else 'images'}" if pairs else split, []).append(name)
    return {
        (role if len(names) == 1 else f"{role}_{number}"): name
        for role, names in roles.items()
        for number, name in enumerate(names, start=1)
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.dataset", description=__doc__)
    parser.add_argument("name", type=_name, help="name of the dataset, for the param data.dataset")
    parser.add_argument("folder", type=Path, help="folder of the images")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="size of all images; pictures are scaled to it"
    )
    parser.add_argument("--replace", action="store_true", help="overwrite an existing description")
    return parser


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise argparse.ArgumentTypeError(f"must be letters, digits, _, . and -, not {text!r}")
    return text


if __name__ == "__main__":
    main()

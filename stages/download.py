"""Fetch the raw dataset into data/raw: four uncompressed files, checked."""

from pathlib import Path

from latentbench.core import progress
from latentbench.data import sources
from latentbench.data.formats import base as formats
from latentbench.params.data import Data, Source
from stages import lifecycle, paths


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("download", timed=False) as view:
        data = view.section(Data, "data")
        files = [
            sources.RawFile(target, file.name, n_axes, file.sha256)
            for target, file, n_axes in (
                ("train-images", data.files.train_images, 3),
                ("train-labels", data.files.train_labels, 1),
                ("t10k-images", data.files.t10k_images, 3),
                ("t10k-labels", data.files.t10k_labels, 1),
            )
        ]
        places = [_open(source) for source in data.sources]
        name = sources.fetch(places, files, formats.of(data.format), paths.RAW, len(data.classes))
        progress.note(f"the data came from: {name}")


def _open(source: Source) -> sources.Source:
    if source.folder is not None:
        return sources.folder_source(Path(source.folder))
    if source.http is not None:
        return sources.http_source(source.http)
    assert source.debian is not None  # the params allow exactly one
    return sources.debian_source(source.debian)


if __name__ == "__main__":
    main()

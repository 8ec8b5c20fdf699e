"""Check the report's claims, and update README.md and the documentation from the run and the code.

Text goes between marks, which `tools.lib.filled` explains, and the picture of the stages into docs/pictures/stages.svg.
If the models of the run are here, its comparison is drawn into docs/pictures/comparison.png, and the seconds of its
stages go into docs/costs.csv. `make readme` runs it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from stages import paths
from tools.lib import claims, comparison, filled, pipeline, reference_pages

_PICTURE, _COSTS, _STAGES = (
    Path("docs") / name for name in ("pictures/comparison.png", "costs.csv", "pictures/stages.svg")
)


def pages(root: Path) -> Iterator[Path]:
    """Yield README and the pages of the documentation that are in git, as paths below `root`."""
    yield Path("README.md")
    for path in sorted((root / "docs").rglob("*.md")):
        page = path.relative_to(root)
        if "node_modules" not in page.parts and page.parent != Path("docs/reference/api"):
            yield page


def costs(root: Path) -> pd.DataFrame:
    """Return the seconds that each stage took in the run in the workspace below `root`.

    Raises:
        ArtifactError: they are missing.
    """
    runs = pipeline.Declared(root).runs
    timed = [name for name in runs if f"data/timing/{name}.json" in pipeline.outs(runs[name])]
    seconds = [artifacts.read_json(root / paths.timing(name))["seconds"] for name in timed]
    return pd.DataFrame({"stage": timed, "seconds": seconds})


def main() -> None:
    """Write metrics/claims, and the parts of README.md and the documentation that come from the run and the code."""
    root = Path()
    try:
        claims.write(root)
        if all(each.is_dir() for each in (paths.PROCESSED, paths.model("classifier").parent)):
            comparison.write(root, _PICTURE)
            artifacts.write_table(_COSTS, costs(root))
        else:
            progress.note(f"{_PICTURE} and {_COSTS} stay as they are: the models of the run are missing ('dvc pull')")
        new = {_STAGES: reference_pages.picture_of_stages() + "\n"}
        new |= {page: filled.filled(page.read_text(encoding="utf-8"), root, page) for page in pages(root)}
    except LatentbenchError as error:
        sys.exit(f"readme: {error}; run 'make repro', which writes what README and the documentation show")
    for page, text in new.items():
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            artifacts.write_text(page, text)
            progress.note(f"updated: {page}")


if __name__ == "__main__":
    main()

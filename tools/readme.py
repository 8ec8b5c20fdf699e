"""Check the report's claims, and put what the committed run says into README.md and the documentation's pictures.

A number of README stands between `<!-- number: NAME -->` and `<!-- end -->`; `tools.lib.numbers` says what names there
are. The pages of the documentation read theirs as they are built. Where the models of the run are there, its comparison
is drawn into docs/pictures/comparison.png, and the seconds of its stages go into docs/costs.csv. `make readme` runs it.
"""

import re
import sys
from pathlib import Path

import pandas as pd

from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from stages import paths
from tools.lib import claims, comparison, numbers, pipeline

_NUMBER = re.compile(r"(<!-- number: (\S+) -->).*?(<!-- end -->)")
_PICTURE, _COSTS = Path("docs/pictures/comparison.png"), Path("docs/costs.csv")


def filled(text: str, root: Path) -> str:
    """Return the text of README with each number as its file below `root` has it.

    Raises:
        NumberError: there is no such number.
    """
    return _NUMBER.sub(lambda match: match[1] + numbers.number(root, match[2]) + match[3], text)


def costs(root: Path) -> pd.DataFrame:
    """Return the seconds of each run of a stage, as the run in the workspace below `root` took them.

    Raises:
        ArtifactError: they are not there.
    """
    runs = pipeline.Declared(root).runs
    timed = [name for name in runs if f"data/timing/{name}.json" in pipeline.outs(runs[name])]
    seconds = [artifacts.read_json(root / paths.timing(name))["seconds"] for name in timed]
    return pd.DataFrame({"stage": timed, "seconds": seconds})


def main() -> None:
    """Write metrics/claims, README.md, and what the documentation has of the run."""
    root, path = Path(), Path("README.md")
    text = path.read_text(encoding="utf-8")
    try:
        claims.write(root)
        new = filled(text, root)
        if all(each.is_dir() for each in (paths.PROCESSED, paths.model("classifier").parent)):
            comparison.write(root, _PICTURE)
            artifacts.write_table(_COSTS, costs(root))
        else:
            progress.note(f"{_PICTURE} and {_COSTS} stay as they are: the models of the run are not here ('dvc pull')")
    except LatentbenchError as error:
        sys.exit(f"readme: {error}; 'make repro' writes what README shows")
    if new != text:
        artifacts.write_text(path, new)
        progress.note("README.md is up to date now")


if __name__ == "__main__":
    main()

"""Check the report's claims, and put the tables of the committed run into README.md; `make readme` runs it.

A table stands between `<!-- table: FILE -->` and `<!-- end of table -->`, where FILE is a CSV or Markdown file that one
of the stages or tools wrote.
"""

import re
import sys
from pathlib import Path

from latentbench.core import artifacts
from latentbench.evaluation import tables
from tools.lib import claims

_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(text: str, root: Path) -> str:
    """Return the text of README with each table as its file below `root` has it."""
    return _TABLE.sub(lambda match: match[1] + _markdown(root / match[2]) + match[3], text)


def _markdown(path: Path) -> str:
    """Return the table of a file.

    Raises:
        ArtifactError: it is not there.
    """
    if path.suffix == ".md":
        return artifacts.read_bytes(path).decode()
    return tables.markdown(artifacts.read_table(path))


def main() -> None:
    """Write metrics/claims, and README.md where a table is not that of its file."""
    path = Path("README.md")
    text = path.read_text(encoding="utf-8")
    try:
        claims.write(Path())
        new = filled(text, Path())
    except artifacts.ArtifactError as error:
        sys.exit(f"readme: {error}; 'make repro', 'make seeds', 'make sweep' and 'make reference' write the tables")
    if new != text:
        artifacts.write_text(path, new)
        sys.stderr.write("README.md is up to date now\n")


if __name__ == "__main__":
    main()

"""How long stages took when they last ran, to estimate the time left."""

from pathlib import Path

from latentbench.core import artifacts


def of(project: Path) -> dict[str, float]:
    """Return the seconds that each stage took in the last run of a project, by its name in DVC.

    Stages that were never measured are left out.
    """
    found = {}
    for path in (project / "data/timing").glob("*.json"):
        content = artifacts.read_json(path)
        if "seconds" in content and not path.name.startswith("fit@"):
            found[path.stem] = float(content["seconds"])
    return found

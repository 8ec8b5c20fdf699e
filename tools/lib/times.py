"""How long stages took when they last ran, to tell what is left of those that run now."""

from pathlib import Path

from latentbench.core import artifacts


def of(project: Path) -> dict[str, float]:
    """Return the seconds that each stage took in the last run of a project, by the name that DVC has for it.

    What was never measured is not in it.
    """
    found = {}
    for path in (project / "data/timing").glob("*.json"):
        content = artifacts.read_json(path)
        if "seconds" in content and not path.name.startswith("fit@"):
            found[path.stem] = float(content["seconds"])
    return found

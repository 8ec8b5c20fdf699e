"""Judge what is drawn from one row, and how likely it finds the test images if it has a bound.

Drawn are the samples of its method, and those of the densities of its latents.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentbench.core import artifacts
from latentbench.methods.base import Bounds, Draws
from stages import densities, fitted, judging, lifecycle, paths
from stages.judging import Target


@dataclass(frozen=True)
class Drawn:
    """Images that form one row of the table.

    Attributes:
        name: of the row.
        images: (n, c, h, w) uint8.
        calls: of the network, per image; None if no network draws them.
        follow_classes: whether they cycle through the classes.
    """

    name: str
    images: np.ndarray
    calls: int | None
    follow_classes: bool = False


def main() -> None:
    """Run the stage."""
    stage, row = lifecycle.stage_and_row(__doc__)
    with judging.stage(stage, row) as session:
        method, judge = fitted.load(row), session.judge(Target.read())
        bound = None
        if isinstance(method, Bounds):
            bound = method.bound(session.dataset, row, session.project.seed, session.params)
        for drawn in _drawn(row, method):
            n = min(len(drawn.images), len(judge.target.features))
            labels = np.arange(n) % len(session.dataset.classes) if drawn.follow_classes else None
            judged = judge.judge(drawn.name, drawn.images[:n], labels)
            session.keep(drawn.name, judge, drawn.images[:n], judged, drawn.calls, bound if drawn.name == row else None)


def _drawn(row: str, method: Any) -> Iterator[Drawn]:
    if isinstance(method, Draws):
        yield Drawn(row, artifacts.read_array(paths.samples(row)), method.calls)
    if paths.guided_samples(row).exists():
        guided = artifacts.read_array(paths.guided_samples(row))
        yield Drawn(f"{row}_guided", guided, method.calls_guided, follow_classes=True)
    if densities.folder(row).exists():
        listed = densities.read_list(densities.folder(row))
        for density in listed:
            images = artifacts.read_array(densities.samples(row, density))
            yield Drawn(densities.name(row, density), images, densities.CALLS)
        densities.write_list(paths.judged(row), listed)


if __name__ == "__main__":
    main()

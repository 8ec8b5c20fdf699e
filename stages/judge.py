"""Judge what one generator draws, and how likely it finds the test images where it bounds that."""

import numpy as np

from latentbench.core import artifacts
from latentbench.methods.base import Bounds
from stages import fitted, judging, lifecycle, paths


def main() -> None:
    """Run the stage."""
    stage, row = lifecycle.stage_and_row(__doc__)
    with judging.stage(stage, row) as session:
        method = fitted.load(row)
        bound = None
        if isinstance(method, Bounds):
            bound = method.bound(session.dataset, row, session.project.seed, session.params)
        drawn = artifacts.read_array(paths.samples(row))
        n = session.n(len(drawn))
        judge = session.judge(n)
        session.keep(row, judge, drawn[:n], judge.judge(row, drawn[:n]), method.calls, bound)
        if paths.guided_samples(row).exists():
            guided = artifacts.read_array(paths.guided_samples(row))
            labels = np.arange(n) % len(session.dataset.classes)
            name = f"{row}_guided"
            session.keep(name, judge, guided[:n], judge.judge(name, guided[:n], labels), method.calls_guided)


if __name__ == "__main__":
    main()

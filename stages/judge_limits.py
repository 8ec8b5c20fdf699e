"""Judge what generators lie between: a Gaussian in PCA space, which each must beat, and real images."""

import numpy as np

from latentbench import artifacts, seeding
from stages import judging, paths


def main() -> None:
    """Run the stage."""
    with judging.stage("judge_limits") as session:
        dataset = session.dataset
        drawn = artifacts.read_array(paths.samples("pca"))
        n = session.n(len(drawn))
        generator = seeding.numpy_generator(session.project.seed, "evaluate", "real")
        # The classifier has seen these; of those that it has not, there are fewer.
        chosen = {
            "real": generator.choice(dataset.fit_index, min(n, len(dataset.fit_index)), replace=False),
            "real_validation": dataset.validation_index[: min(n, len(dataset.validation_index))],
        }
        judge = session.judge(n)
        for row, index in chosen.items():
            images, labels = dataset.train_images[index], np.asarray(dataset.train_labels[index])
            judged = judge.judge(row, images, labels, from_train=True, validates=row == "real_validation")
            session.keep(row, judge, images, judged)
        session.keep("pca", judge, drawn[:n], judge.judge("pca", drawn[:n]))


if __name__ == "__main__":
    main()

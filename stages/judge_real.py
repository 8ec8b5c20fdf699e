"""Judge real images, as many as generators draw: the floor of the comparison, and what the classifier has not seen."""

import numpy as np

from latentbench import seeding
from stages import judging


def main() -> None:
    """Run the stage."""
    with judging.stage("judge_real") as session:
        dataset = session.dataset
        n = min(len(dataset.test_images), len(dataset.train_images), session.project.n_samples)
        generator = seeding.numpy_generator(session.project.seed, "evaluate", "real")
        # The classifier was trained on the first of these; there are fewer that it has not seen.
        chosen = {
            "real": generator.choice(dataset.fit_index, min(n, len(dataset.fit_index)), replace=False),
            "real_validation": dataset.validation_index[: min(n, len(dataset.validation_index))],
        }
        judge = session.judge(n)
        judge.target.write()
        for row, index in chosen.items():
            images, labels = dataset.train_images[index], np.asarray(dataset.train_labels[index])
            judged = judge.judge(row, images, labels, from_train=True)
            session.keep(row, judge, images, judged)


if __name__ == "__main__":
    main()

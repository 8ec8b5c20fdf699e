"""Judge the images that were drawn from the densities of the latents of one autoencoder or VAE."""

from latentbench.core import artifacts
from stages import densities, judging, lifecycle, paths, sample_scores


def main() -> None:
    """Run the stage."""
    stage, row = lifecycle.stage_and_row(__doc__)
    with judging.stage(stage, row) as session:
        listed = densities.read_list(densities.folder(row))
        judge = None  # the same for all of them, which are equally many
        for density in listed:
            images, name = artifacts.read_array(densities.samples(row, density)), densities.name(row, density)
            n = session.n(len(images))
            judge = judge or session.judge(n)
            session.keep(name, judge, images[:n], judge.judge(name, images[:n]), densities.CALLS)
        densities.write_list(paths.judged(sample_scores.place(densities.name(row, ""))), listed)


if __name__ == "__main__":
    main()

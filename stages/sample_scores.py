"""The judgement of each row of images: the `judge` stages write it, `evaluate` joins it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from stages import paths


class SampleScoresError(LatentbenchError):
    """Rows were not judged on equal terms; the message names them and the way out."""


@dataclass(frozen=True)
class SampleScores:
    """What is known about a row of generated or real images.

    Attributes:
        scores: numbers by name; the ends of intervals as `_lo` and `_hi`.
        judge: hash of the networks in whose features it was judged: distances under others are not comparable.
        target: hash of the held-out images, in the order of their groups, that it was compared with.
        shown: (up to 100, c, h, w) uint8, the first images of the row.
        left_out: for each score with a jackknife, (n_groups,) float64: its values without each group in turn.
        outcomes: for each score that is a mean, what it is the mean of: `cas` (n_test,) bool and `bits_per_dim`
            (n_test,) float64 over the test images, `confident_share` (n,) bool over the images of the row.
        bound: the parts of its bound on the likelihood of test images, by name; empty without one.
        likelihood: the observation model of that bound, or of the loss in its place.
        kl_per_latent: (latent_dim,) float64 nats, falling; empty for what is not a VAE.
    """

    scores: Mapping[str, float]
    judge: str
    target: str
    shown: np.ndarray
    left_out: Mapping[str, np.ndarray]
    outcomes: Mapping[str, np.ndarray]
    bound: Mapping[str, float] = field(default_factory=dict)
    likelihood: str = ""
    kl_per_latent: np.ndarray = field(default_factory=lambda: np.empty(0))


def place(row: str) -> str:
    """Return the place of a row of the table below data/judged: its stage may judge several.

    "diffusion_guided" is in diffusion/guided, and "vae_dense+mixture" in vae_dense/mixture.
    """
    return re.sub("_guided$", "/guided", row).replace("+", "/")


def write(row: str, each: SampleScores) -> None:
    """Save the judgement of a row of the table."""
    arrays = {"shown": each.shown, "kl_per_latent": each.kl_per_latent}
    arrays |= {f"left_out.{name}": values for name, values in each.left_out.items()}
    arrays |= {f"outcomes.{name}": values for name, values in each.outcomes.items()}
    description = {
        "scores": dict(each.scores),
        "judge": each.judge,
        "target": each.target,
        "bound": dict(each.bound),
        "likelihood": each.likelihood,
    }
    artifacts.write_model(paths.judged(place(row)), arrays, description)


def read(row: str) -> SampleScores:
    """Read back the judgement of a row of the table.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    arrays, description = artifacts.read_model(paths.judged(place(row)))
    return SampleScores(
        description["scores"],
        description["judge"],
        description["target"],
        arrays["shown"],
        _below(arrays, "left_out"),
        _below(arrays, "outcomes"),
        description["bound"],
        description["likelihood"],
        arrays["kl_per_latent"],
    )


def read_all(rows: Sequence[str]) -> dict[str, SampleScores]:
    """Read the judgements of some rows; guided ones, such as "diffusion_guided", come after them.

    Raises:
        ArtifactError: a file is missing or damaged.
        SampleScoresError: they were judged in the features of different networks, or with unequal numbers of images.
    """
    guided = [name for row in rows if paths.judged(place(name := f"{row}_guided")).is_dir()]
    found = {row: read(row) for row in (*rows, *guided)}
    check_equal_terms(found)
    return found


def check_equal_terms(scored: Mapping[str, SampleScores]) -> None:
    """Refuse rows that cannot be in one table.

    Raises:
        SampleScoresError: they were judged in the features of different networks, or with unequal numbers of images.
            Only `real_validation` may have fewer: there are no more of them.
    """
    judges = {each.judge for each in scored.values()}
    if len(judges) > 1:
        raise SampleScoresError(
            f"rows were judged by different classifiers ({', '.join(sorted(judges))}): run 'dvc repro'"
        )
    counts = {row: int(each.scores["n"]) for row, each in scored.items()}
    equal = {row: n for row, n in counts.items() if row != "real_validation"}
    if len(set(equal.values())) > 1 or counts.get("real_validation", 0) > max(equal.values()):
        listed = ", ".join(f"{row} {n}" for row, n in counts.items())
        raise SampleScoresError(
            f"rows were judged with unequal numbers of images ({listed}), on which distances depend: run 'dvc repro'"
        )


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{prefix}."): each for name, each in arrays.items() if name.startswith(f"{prefix}.")}

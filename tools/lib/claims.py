"""The claims of the reference report, each checked against the numbers of a run.

A claim is a list of parts, each a comparison that holds or does not. If all hold, it is supported; if some do, it is
supported in part; if none, it is not. A comparison of scores holds only if their 95% intervals do not overlap, or do
not reach a stated number. Times have no interval: one counts as larger from a factor of 1.5. No verdict is written by
hand.

Only `make report` judges claims about times, which differ from run to run; metrics/claims, which `make readme` writes,
says "see the report" instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.core import artifacts
from latentbench.evaluation import columns, tables
from latentbench.reduction.s_curve import N_NEIGHBORS
from tools.lib import experiments, rows
from tools.lib.runs import NotMeasuredError, Run, Score

FOLDER = Path("metrics/claims")
FACTOR = 1.5  # from which a time, or a size without an interval, counts as larger
_REPRESENTED = "evaluate/representations"
_HALF = 0.5
_UNROLLED = 0.99  # correlation with the place along the bend
# Sections of a diffusion model besides the one for its size.
_SHARED = ("process", "sampling", "autoguidance", "guidance")
_ROUNDING = 1.0 / (12 * 255**2)  # variance of rounding to 8 bits


@dataclass(frozen=True)
class Part:
    """One comparison: its numbers, and whether they support the claim."""

    text: str
    holds: bool

    def __str__(self) -> str:
        return f"{self.text}: {'yes' if self.holds else 'no'}"


@dataclass(frozen=True)
class Claim:
    """A claim of the report.

    Attributes:
        about: the method.
        text: the claim in our words.
        figure: the figure that shows it, below metrics/; {diffusion} stands for the first diffusion model.
        source: where the numbers come from; {diffusion_losses} stands for the losses of all diffusion models.
        parts: yields its parts in a run.
        by_time: whether a part needs times.
    """

    about: str
    text: str
    figure: str
    source: str
    parts: Callable[[Run], Iterator[Part]]
    by_time: bool = False


@dataclass(frozen=True)
class Finding:
    """What a run says about a claim.

    Attributes:
        claim: the claim.
        figure, source: those of the claim in this run; "" for a figure that the run lacks.
        verdict: on the claim.
        parts: on which the verdict rests; none if it was not measured, or is not judged here.
        missing: which number is missing, if it was not measured.
    """

    claim: Claim
    figure: str
    source: str
    verdict: str
    parts: Sequence[Part] = ()
    missing: str = ""

    def numbers(self) -> str:
        """Return all parts as text."""
        return self.missing or "; ".join(map(str, self.parts))

    def numbers_in_short(self) -> str:
        """Return the first part that holds and the first that does not, and how many hold."""
        firsts = [next((part for part in self.parts if part.holds == holds), None) for holds in (True, False)]
        shown = [str(part) for part in firsts if part is not None]
        more = (
            f"{sum(part.holds for part in self.parts)} of {len(self.parts)} hold"
            if len(self.parts) > len(shown)
            else ""
        )
        return self.missing or "; ".join([*shown, *([more] if more else [])])


def check(run: Run, *, with_times: bool) -> list[Finding]:
    """Check each claim.

    Args:
        run: whose numbers decide.
        with_times: whether to judge claims about costs too, by the times of this run.

    Raises:
        CostsError: the times are needed and missing.
    """
    return [_checked(claim, run, with_times=with_times) for claim in CLAIMS]


def _checked(claim: Claim, run: Run, *, with_times: bool) -> Finding:
    try:
        diffusions = run.of_family("diffusion")
    except NotMeasuredError:  # the claims about them will say so
        diffusions = []
    figure = claim.figure.format(diffusion=diffusions[0] if diffusions else "")
    source = claim.source.format(diffusion_losses=", ".join(f"{row}/loss.csv" for row in diffusions))
    there = figure if (run.root / "metrics" / figure).is_file() else ""
    if claim.by_time and not with_times:
        return Finding(claim, there, source, "see the report")
    try:
        parts = list(claim.parts(run))
        verdict = verdict_of([part.holds for part in parts])
    except NotMeasuredError as error:
        return Finding(claim, there, source, "not measured", missing=str(error))
    return Finding(claim, there, source, verdict, parts)


def verdict_of(holds: Sequence[bool]) -> str:
    """Return the verdict on a claim, given whether each of its parts holds.

    Raises:
        ValueError: it has no parts.
    """
    if not holds:
        raise ValueError("a claim without a part")
    return "supported" if all(holds) else "supported in part" if any(holds) else "not supported"


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return a line for each claim: about, claim, verdict, numbers, source, figure."""
    lines = [
        (each.claim.about, each.claim.text, each.verdict, each.numbers(), each.source, each.figure) for each in findings
    ]
    return pd.DataFrame(lines, columns=["about", "claim", "verdict", "numbers", "source", "figure"])


def write(root: Path) -> None:
    """Write the claims that need no times: every number as CSV, and a short Markdown table for the documentation."""
    findings = check(Run(root), with_times=False)
    artifacts.write_table(root / FOLDER / "claims.csv", table(findings))
    short = [
        (f"{each.claim.about} {each.claim.text}", each.verdict, each.numbers_in_short(), _link(each.figure))
        for each in findings
    ]
    shown = pd.DataFrame(short, columns=["claim", "verdict", "numbers", "figure"])
    artifacts.write_text(root / FOLDER / "claims.md", tables.markdown(shown))


def _link(figure: str) -> str:
    return figure and f"[{figure.rsplit('/', maxsplit=1)[-1].removesuffix('.png')}](metrics/{figure})"


def _more(run: Run, row: str, than: str, cost: str, what: str) -> Part:
    """A cost of one row is larger than another's."""
    ours, theirs = run.cost(row, cost), run.cost(than, cost)
    return Part(f"{what}: {row} {ours} s, {than} {theirs} s", ours.value >= FACTOR * theirs.value)


def _pca_is_fast(run: Run) -> Iterator[Part]:
    (pca, *_), costs = run.of_family("pca", _REPRESENTED), run.costs
    others = [
        row for row in costs["row"] if rows.family_of(row, run.params) not in {"pixels", "pca"}
    ]  # copying pixels is not a method
    for cost, what in (("fit_s", "to fit"), ("transform_s_per_1000", "for 1,000 images")):
        known = costs.set_index("row")[cost].dropna()
        measured = [row for row in others if row in known.index and known[row] > 0]
        if not measured:
            raise NotMeasuredError(f"not measured: there is no other row than {pca} that has a {cost}")
        yield _more(run, str(known[measured].idxmin()), pca, cost, what)


def _pca_is_linear(run: Run) -> Iterator[Part]:
    pca, isomap = (
        run.score("isomap/s_curve", name, claim="neighbors", value=N_NEIGHBORS) for name in ("pca", "isomap")
    )
    yield Part(f"correlation with the place along the bend: PCA {pca}, Isomap {isomap}", pca.below(isomap))
    lost, kept = (
        run.score("isomap/s_curve", f"{name}_residual", claim="neighbors", value=N_NEIGHBORS)
        for name in ("pca", "isomap")
    )
    yield Part(f"variance of distances on the sheet not explained: PCA {lost}, Isomap {kept}", lost.above(kept))


def _directions_mean_something(run: Run) -> Iterator[Part]:
    for component in run.table("pca/classes")["component"]:
        share = run.score("pca/classes", "class_share", component=component)
        yield Part(f"component {component}: {share}", share.above(_HALF))


def _scale_matters(run: Run) -> Iterator[Part]:
    for count in run.params["pca"]["reconstructions"]:
        plain = run.score("pca/reconstruction", "mse", components=count)
        added = run.score("pca/reconstruction", "mse_added", components=count)
        yield Part(f"{count} components, error {plain}, standardising adds {added}", added.above(0) or added.below(0))


def _few_components_blur(run: Run) -> Iterator[Part]:
    counts = run.params["pca"]["reconstructions"]
    few, many = min(counts), max(counts)
    blurred, clear = (run.score("pca/reconstruction", "sharpness", components=count) for count in (few, many))
    yield Part(f"power at high frequencies, {few} components: {blurred}, under half", blurred.below(_HALF))
    yield Part(f"{many} components: {clear}, over half", clear.above(_HALF))


def _isomap_follows_curves(run: Run) -> Iterator[Part]:
    isomap, pca = (
        run.score("isomap/s_curve", name, claim="neighbors", value=N_NEIGHBORS) for name in ("isomap", "pca")
    )
    yield Part(f"correlation with the place along the bend {isomap}, over {_UNROLLED:g}", isomap.above(_UNROLLED))
    yield Part(f"PCA {pca}, under it", pca.below(_UNROLLED))


def _isomap_keeps_distances(run: Run) -> Iterator[Part]:
    isomap, pca = (
        run.score("isomap/s_curve", f"{name}_residual", claim="neighbors", value=N_NEIGHBORS)
        for name in ("isomap", "pca")
    )
    yield Part(f"variance of distances on the S-curve not explained: Isomap {isomap}, PCA {pca}", isomap.below(pca))
    images = run.number("isomap/metrics.json", "residual_variance")
    yield Part(f"of geodesic distances between images: {images}, under a tenth", images.below(0.1))


def _conditions(run: Run, name: str) -> list[float]:
    table = run.table("isomap/s_curve")
    return [float(value) for value in table[table["claim"] == name]["value"]]


def _isomap_stands_noise(run: Run) -> Iterator[Part]:
    for noise in _conditions(run, "noise"):
        score = run.score("isomap/s_curve", "isomap", claim="noise", value=noise)
        yield Part(f"noise {noise:g}: {score}, over {_UNROLLED:g}", score.above(_UNROLLED))


def _isomap_beats_pca(run: Run) -> Iterator[Part]:
    for claim, values in (("neighbors", [N_NEIGHBORS]), ("noise", _conditions(run, "noise"))):
        for value in values:
            isomap, pca = (run.score("isomap/s_curve", name, claim=claim, value=value) for name in ("isomap", "pca"))
            what = "no noise" if claim == "neighbors" else f"noise {value:g}"
            yield Part(f"{what}: Isomap {isomap}, PCA {pca}", isomap.above(pca))


def _isomap_is_costly(run: Run) -> Iterator[Part]:
    (isomap, *_), (pca, *_) = (run.of_family(family, _REPRESENTED) for family in ("isomap", "pca"))
    yield _more(run, isomap, pca, "fit_s", "to fit")
    yield _more(run, isomap, pca, "transform_s_per_1000", "for 1,000 images")


def _moves(run: Run, claim: str, values: Sequence[float]) -> Iterator[Part]:
    """A condition decides whether Isomap unrolls the S-curve: at its worst value, Isomap does not, and scores lower."""
    usual = run.score("isomap/s_curve", "isomap", claim="neighbors", value=N_NEIGHBORS)
    scores = {value: run.score("isomap/s_curve", "isomap", claim=claim, value=value) for value in values}
    worst = min(scores, key=lambda value: scores[value].value)
    yield Part(
        f"correlation with the place along the bend: {usual} with {N_NEIGHBORS} neighbours and even density, "
        f"{scores[worst]} with {claim} {worst:g}, under {_UNROLLED:g}",
        scores[worst].below(usual) and scores[worst].below(_UNROLLED),
    )


def _neighbors_matter(run: Run) -> Iterator[Part]:
    yield from _moves(run, "neighbors", [value for value in _conditions(run, "neighbors") if value != N_NEIGHBORS])


def _density_matters(run: Run) -> Iterator[Part]:
    yield from _moves(run, "density", _conditions(run, "density"))


def _fewer_dimensions_are_faster(run: Run) -> Iterator[Part]:
    (pixels, *_), (pca, *_) = (run.of_family(family, _REPRESENTED) for family in ("pixels", "pca"))
    yield _more(run, pixels, pca, "knn_s_per_1000", "to classify 1,000 images")


def _more_latents_are_better(run: Run) -> Iterator[Part]:
    for row in ("ae_dense", "ae_conv", "vae_dense", "vae_conv"):
        few, many = (run.number("reference/reference.json", f"{row}_{dim}", "accuracy") for dim in (32, 64))
        yield Part(f"{row}: {many} with 64, {few} with 32", many.above(few))


def _dense_beats_conv(run: Run) -> Iterator[Part]:
    for dim in (32, 64):
        dense, conv = (
            run.number("reference/reference.json", f"ae_{name}_{dim}", "accuracy") for name in ("dense", "conv")
        )
        yield Part(f"by the report's recipe, latent {dim}: {dense}, {conv}", dense.above(conv))
    dense, conv = (_over_seeds(run, f"ae_{name}", "knn_accuracy") for name in ("dense", "conv"))
    yield Part(f"over seeds: {dense}, {conv}", dense.above(conv))


def _over_seeds(run: Run, row: str, score: str) -> Score:
    mean, low, high = (run.score("seeds/seeds", name, row=row, score=score).value for name in ("mean", "lo", "hi"))
    return Score(mean, low, high)


def _against_vaes(run: Run, *scores: str) -> Iterator[Part]:
    """Each diffusion model scores better than every VAE, whether sampled by its prior or by a density of its latents.

    For a score with no better direction, larger counts as better.
    """
    vaes = run.of_family("vae")
    drawn = [row for row in run.table("evaluate/generators")["row"] if row in vaes or rows.coder_of(row) in vaes]
    for score in scores:
        larger = columns.better(score) != "lower"
        known = {row: run.score("evaluate/generators", score, row=row) for row in drawn}
        best = (max if larger else min)(known, key=lambda row: known[row].value)
        for row in run.of_family("diffusion"):
            ours = run.score("evaluate/generators", score, row=row)
            better = all(ours.above(each) if larger else ours.below(each) for each in known.values())
            yield Part(f"{score} of {row} {ours}, of the best row of a VAE ({best}) {known[best]}", better)


def _quality(run: Run) -> Iterator[Part]:
    yield from _against_vaes(run, "frechet", "density")


def _diversity(run: Run) -> Iterator[Part]:
    yield from _against_vaes(run, "coverage")


def _richness(run: Run) -> Iterator[Part]:
    yield from _against_vaes(run, "kernel_distance", "cas")
    name = "evaluate/likelihoods"
    bounded = set(run.table(name).dropna(subset=["bits_per_dim"])["row"])
    ours, theirs = (
        {
            row: run.score(name, "bits_per_dim", row=row)
            for row in rows.of_family(family, run.rows(), run.params)
            if row in bounded
        }
        for family in ("diffusion", "vae")
    )
    if not ours or not theirs:
        lacking = "VAE" if ours else "diffusion model"
        raise NotMeasuredError(f"not measured: there is no {lacking} with bits_per_dim in metrics/{name}.csv")
    best = min(theirs, key=lambda row: theirs[row].value)
    for row, bits in ours.items():
        yield Part(
            f"bits per dimension of {row} {bits}, of {best} {theirs[best]}, lower is better", bits.below(theirs[best])
        )


def _training_is_easy(run: Run) -> Iterator[Part]:
    for row in run.of_family("diffusion"):
        losses = run.table(f"{row}/loss")["validation_loss"]
        rises = int((losses.diff() > 0).sum())
        yield Part(f"the validation loss of {row} rises {rises} times in {len(losses)} epochs", rises == 0)
    for row in run.of_family("diffusion"):
        table = run.table("evaluate/likelihoods")
        known = bool(table[table["row"] == row]["bits_per_dim"].notna().any())
        bound = str(run.score("evaluate/likelihoods", "bits_per_dim", row=row)) if known else "none"
        yield Part(f"bound of {row} in bits per dimension: {bound}", known)


def _coarse_comes_first(run: Run) -> Iterator[Part]:
    for row in run.of_family("diffusion"):
        path = f"diffusion_explore/{row}/metrics.json"
        low, middle, high = (run.number(path, f"half_{band}_step").value for band in ("low", "middle", "high"))
        text = f"{row} has half the power of low, middle, high frequencies from step {low:g}, {middle:g}, {high:g} on"
        yield Part(text, low < middle < high)


def _codes_are_as_large(run: Run) -> Iterator[Part]:
    (raw, *_) = run.of_family("pixels", _REPRESENTED)
    pixels = run.score(_REPRESENTED, "dims", row=raw).value
    sizes = {row: _of_size(run, row).get("coder", {}).get("latent_dim", pixels) for row in run.of_family("diffusion")}
    for row, size in sizes.items():
        error = run.number(f"diffusion_explore/{row}/metrics.json", "inversion_mse_heun")
        text = f"{row}: {size:g} numbers for {pixels:g} pixels, which come back with an error of {error}"
        yield Part(text, size == pixels and error.below(_ROUNDING))


def _noisy_steps_may_be_larger(run: Run) -> Iterator[Part]:
    for row in run.of_family("diffusion"):
        name = f"diffusion_explore/{row}/steps"
        growing, equal = (
            run.score(name, "kernel_distance", steps=steps) for steps in ("growing with the noise", "equal")
        )
        yield Part(
            f"kernel distance of {row}: {growing} by steps that grow with the noise, {equal} by equal ones",
            growing.below(equal),
        )


def _many_calls(run: Run) -> Iterator[Part]:
    for row in run.of_family("diffusion"):
        ours = run.score("evaluate/generators", "calls", row=row)
        theirs = max(run.score("evaluate/generators", "calls", row=vae).value for vae in run.of_family("vae"))
        yield Part(f"{row}: {ours} calls for an image, VAEs {theirs:g}", ours.value >= FACTOR * theirs)


def _training_takes_long(run: Run) -> Iterator[Part]:
    slowest = max(run.of_family("vae"), key=lambda row: run.cost(row, "fit_s").value)
    for row in run.of_family("diffusion"):
        yield _more(run, row, slowest, "fit_s", "to fit, against the slowest VAE")


def _vaes_are_cheap(run: Run) -> Iterator[Part]:
    ours = run.of_family("diffusion")
    fastest = {cost: min(ours, key=lambda row: run.cost(row, cost).value) for cost in ("fit_s", "sample_s_per_1000")}
    for row in run.of_family("vae"):
        yield _more(run, fastest["fit_s"], row, "fit_s", "to fit")
    for row in run.of_family("vae"):
        yield _more(run, fastest["sample_s_per_1000"], row, "sample_s_per_1000", "for 1,000 samples")


def _vaes_are_simple(run: Run) -> Iterator[Part]:
    ours = max(len(experiments.flatten(_section(run, row))) for row in run.of_family("vae"))
    for row in run.of_family("diffusion"):
        section = _section(run, row)
        shared = {name: section[name] for name in _SHARED if name in section}
        theirs = len(experiments.flatten({"own": _of_size(run, row), **shared}))
        yield Part(f"{ours} params in the recipe of a VAE, {theirs} in that of {row}", ours < theirs)
    calls = max(run.score("evaluate/generators", "calls", row=row).value for row in run.of_family("vae"))
    yield Part(f"a VAE draws an image in {calls:g} call", calls == 1)


def _section(run: Run, row: str) -> Mapping[str, Any]:
    """The params of a row."""
    found: Any = run.params.get(row)
    if not isinstance(found, Mapping):
        raise NotMeasuredError(f"not measured: there is no section of {row} in params.yaml")
    return found


def _of_size(run: Run, row: str) -> Mapping[str, Any]:
    """The params that depend on a diffusion model's size, which is chosen for all of them at once."""
    section = _section(run, row)
    preset = str(run.params.get("diffusion_preset"))
    if preset not in section:
        raise NotMeasuredError(f"not measured: there is no preset {preset} of {row} in params.yaml")
    found: Mapping[str, Any] = section[preset]
    return found


_S_CURVE = "isomap/s_curve.png"
_OF_S_CURVE = "isomap/s_curve.csv"
_OF_SAMPLES = "evaluate/generators.csv"
_TIMES = "data/timing"

CLAIMS = (
    Claim("PCA", "is fast", "pca/variance.png", _TIMES, _pca_is_fast, by_time=True),
    Claim("PCA", "cannot follow curved structure, since it is linear", _S_CURVE, _OF_S_CURVE, _pca_is_linear),
    Claim(
        "PCA",
        "has directions that can be interpreted: classes explain over half of the variance of each",
        "pca/components.png",
        "pca/classes.csv",
        _directions_mean_something,
    ),
    Claim("PCA", "depends on the scale of features", "pca/variance.png", "pca/reconstruction.csv", _scale_matters),
    Claim(
        "PCA",
        "loses detail with few components, not with many",
        "pca/reconstructions.png",
        "pca/reconstruction.csv",
        _few_components_blur,
    ),
    Claim("Isomap", "follows curved structure where PCA cannot", _S_CURVE, _OF_S_CURVE, _isomap_follows_curves),
    Claim("Isomap", "preserves distances", _S_CURVE, f"{_OF_S_CURVE}, isomap/metrics.json", _isomap_keeps_distances),
    Claim("Isomap", "is robust to noise", _S_CURVE, _OF_S_CURVE, _isomap_stands_noise),
    Claim("Isomap", "is better than PCA under noise and non-linear change", _S_CURVE, _OF_S_CURVE, _isomap_beats_pca),
    Claim("Isomap", "is costly", "isomap/scatter.png", _TIMES, _isomap_is_costly, by_time=True),
    Claim("Isomap", "is sensitive to the number of neighbours", _S_CURVE, _OF_S_CURVE, _neighbors_matter),
    Claim("Isomap", "is sensitive to uneven density", _S_CURVE, _OF_S_CURVE, _density_matters),
    Claim("kNN", "is faster in fewer dimensions", "pca/knn.png", _TIMES, _fewer_dimensions_are_faster, by_time=True),
    Claim(
        "Autoencoders and VAEs",
        "are better with 64 latents than with 32",
        "evaluate/knn_accuracy.png",
        "reference/reference.json",
        _more_latents_are_better,
    ),
    Claim(
        "Autoencoders",
        "are slightly better dense than convolutional",
        "evaluate/knn_accuracy.png",
        "reference/reference.json, seeds/seeds.csv",
        _dense_beats_conv,
    ),
    Claim("Diffusion", "draws better images than VAEs", "evaluate/frechet.png", _OF_SAMPLES, _quality),
    Claim("Diffusion", "draws more diverse images than VAEs", "evaluate/samples.png", _OF_SAMPLES, _diversity),
    Claim(
        "Diffusion",
        "learns richer distributions than VAEs",
        "evaluate/samples.png",
        f"{_OF_SAMPLES}, evaluate/likelihoods.csv",
        _richness,
    ),
    Claim(
        "Diffusion",
        "is easy to train, with a computable bound on the likelihood",
        "diffusion_explore/{diffusion}/forward.png",
        "{diffusion_losses}, evaluate/likelihoods.csv",
        _training_is_easy,
    ),
    Claim(
        "Diffusion",
        "makes coarse structure first and detail later",
        "diffusion_explore/{diffusion}/reverse.png",
        "diffusion_explore/*/metrics.json",
        _coarse_comes_first,
    ),
    Claim(
        "Diffusion",
        "has codes as large as the image",
        "diffusion_explore/{diffusion}/inverted.png",
        "diffusion_explore/*/metrics.json, params.yaml, evaluate/representations.csv",
        _codes_are_as_large,
    ),
    Claim(
        "Diffusion",
        "may take larger steps where there is more noise",
        "diffusion_explore/{diffusion}/reverse.png",
        "diffusion_explore/*/steps.csv",
        _noisy_steps_may_be_larger,
    ),
    Claim(
        "Diffusion",
        "needs many network calls for an image",
        "diffusion_explore/{diffusion}/samplers.png",
        _OF_SAMPLES,
        _many_calls,
    ),
    Claim(
        "Diffusion",
        "takes longer to train than VAEs",
        "evaluate/samples.png",
        _TIMES,
        _training_takes_long,
        by_time=True,
    ),
    Claim(
        "VAEs", "are simpler than diffusion", "evaluate/samples.png", f"params.yaml, {_OF_SAMPLES}", _vaes_are_simple
    ),
    Claim("VAEs", "are cheaper than diffusion", "evaluate/samples.png", _TIMES, _vaes_are_cheap, by_time=True),
)

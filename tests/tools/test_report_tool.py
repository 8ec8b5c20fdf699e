"""The report holds everything that a run left, explained; its claims follow from the numbers alone."""

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from latentbench import figures
from latentbench.core import artifacts
from stages import sample_scores
from tests.tools.test_pages import Seen
from tools import report
from tools.lib import claims, glossary, pipeline
from tools.lib.pages import N_COLUMNS
from tools.lib.runs import CostsError, NotMeasuredError, Run, Score

N_IMAGES = 1000


@pytest.fixture(scope="module")
def committed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the last commit knows of its run, and timings that are made up."""
    folder = tmp_path_factory.mktemp("committed")
    packed = subprocess.run(
        ["git", "archive", "HEAD", "metrics", "params.yaml", "dvc.yaml", "dvc.lock"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    timing = folder / "data" / "timing"
    timing.mkdir(parents=True)
    run = Run(folder)
    for place, name in enumerate(sorted({name for names in run.timings.values() for name in names}), start=1):
        content = {"seconds": 100.0 + place, "peak_memory_mib": 1000 + place, "mixture": 5.0}
        (timing / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (timing / "fit@pca.json").write_text(json.dumps({"seconds": 2.5}), encoding="utf-8")
    make_up_outcomes(folder)
    costs = {row: {"transform_s_per_1000": 0.5, "sample_s_per_1000": 7.25} for row in run.rows()}
    costs |= {"raw": {"transform_s_per_1000": 0.001, "knn_s_per_1000": 0.4}}
    costs |= {"pca": {"transform_s_per_1000": 0.125, "knn_s_per_1000": 0.2}}
    (timing / "costs.json").write_text(json.dumps(costs), encoding="utf-8")
    return folder


def make_up_outcomes(folder: Path) -> None:
    """Write what test images came to, so that its means are the committed scores, and judgements by groups."""
    generator = np.random.default_rng(0)
    representations = pd.read_csv(folder / "metrics/evaluate/representations.csv").set_index("row")
    n, ranks = N_IMAGES, generator.permutation(N_IMAGES)  # the same images are hard for all rows
    arrays = {"labels": np.zeros(n, dtype=np.uint8)}
    for row, scores in representations.iterrows():
        arrays[f"{row}.knn"] = (ranks >= round(scores["knn_accuracy"] * n)).astype(np.uint8)
        if not np.isnan(scores["mse"]):
            arrays[f"{row}.mse"] = (scores["mse"] * (0.5 + ranks / (n - 1))).astype(np.float32)
    artifacts.write_model(folder / "data/outcomes", arrays, {"n": n, "test_images": "abc"})
    generators = pd.read_csv(folder / "metrics/evaluate/generators.csv").set_index("row")
    for row, scores in generators.iterrows():
        # A jackknife whose interval is the committed one.
        signs, error = np.resize([-1.0, 1.0], 20), 1.0 / (stats.t.ppf(0.975, 19) * np.sqrt(19))
        left_out = {
            f"left_out.{name}": scores[name] + signs * error * (scores[f"{name}_hi"] - scores[name])
            for name in ("frechet", "coverage")
        }
        shown = np.zeros((100, 1, 28, 28), dtype=np.uint8)
        artifacts.write_model(folder / "data/judged" / sample_scores.place(str(row)), {"shown": shown, **left_out}, {})
        if str(row).startswith("diffusion"):
            artifacts.write_bytes(folder / "data/models" / str(row) / "model.safetensors", bytes(3_000_000))


def altered(committed: Path, folder: Path, name: str, **columns: float) -> Run:
    """Return a run in which columns of a table have another value in every line of a diffusion model."""
    shutil.copytree(committed, folder, symlinks=True)
    path = folder / "metrics" / f"{name}.csv"
    table = pd.read_csv(path)
    for column, value in columns.items():
        table.loc[table["row"].str.startswith("diffusion"), column] = value
    table.to_csv(path, index=False)
    return Run(folder)


def verdicts(run: Run, *, with_times: bool = False) -> dict[str, str]:
    return {f"{each.claim.about} {each.claim.text}": each.verdict for each in claims.check(run, with_times=with_times)}


def test_every_number_and_figure_is_shown_and_explained(committed: Path) -> None:
    page = report.report(Run(committed), {"commit": "abc"}, "A note.")
    assert len(page) < 10e6
    seen = Seen(page)
    pictures = list((committed / "metrics").rglob("*.png"))
    represented, generated = (
        Run(committed).table(name) for name in ("evaluate/representations", "evaluate/generators")
    )
    pictured = {*represented["row"][represented["mse"].notna()], *generated["row"]}
    made = len(pictured) + 4  # rows of images side by side, and what quality costs
    assert len(seen.alternatives) > len(pictures) + made > 50
    assert all(seen.alternatives)
    assert len(set(seen.alternatives)) == len(seen.alternatives)
    assert all(address.startswith(("data:", "#")) for address in seen.addresses)
    assert {address[1:] for address in seen.addresses if address.startswith("#")} <= set(seen.places)
    assert set(seen.scopes) == {"col", "row"}
    assert seen.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(seen.headings, seen.headings[1:], strict=False))
    assert not {"nan", "None", "see the report"} & set(seen.cells)
    for name in ("representations", "generators", "likelihoods"):
        markdown = (committed / "metrics" / "evaluate" / f"{name}.csv").read_text(encoding="utf-8")
        assert all(line.split(",")[0] in seen.cells for line in markdown.splitlines())
    start = seen.cells.index("stage_s")
    assert seen.cells[seen.cells.index("pca", start) + 1] == "2.5"
    heads = re.findall(r"<thead>.*?</thead>", page)
    assert len(heads) > 40
    assert max(head.count('<th scope="col">') for head in heads) == N_COLUMNS == 8
    assert sum('class="later"' in head for head in heads) == page.count("Show all ") > 3
    words = re.sub(r"<[^>]*>", "\n", page)
    order = ["A note.", "In short", "The rows side by side", "What quality costs", "The scores at a glance"]
    order += ["Representations", "Params", "About this page", "abc"]
    places = [words.rindex(f"\n{text}\n") for text in order]
    assert places == sorted(places)


def test_the_glossary_has_sentences_and_none_is_of_a_table_that_is_gone(committed: Path) -> None:
    for columns in glossary._COLUMNS.values():
        assert all(text[0].isupper() and text.endswith(".") and text.count(". ") == 0 for text in columns.values())
    metrics = committed / "metrics"
    tables = {path.relative_to(metrics).with_suffix("").as_posix() for path in metrics.rglob("*.csv")}
    by_number = {"training", "latent_explore", "diffusion_explore", "costs", "confusions"}
    by_number |= {"seeds/seeds", "reference/reference", "claims/claims"}
    used = {glossary._first(table, glossary._COLUMNS) for table in tables if glossary.is_shown(table)}
    assert set(glossary._COLUMNS) == used | by_number
    figures = {path.relative_to(metrics).as_posix() for path in metrics.rglob("*.png")}
    assert set(glossary._FIGURES) == {glossary._first(figure, glossary._FIGURES) for figure in figures}


def test_timings_are_files_that_stages_write(committed: Path, root: Path) -> None:
    declared = pipeline.Declared(root)
    written = {out for name in declared.runs for out in declared.outs(name)}
    wanted = {f"data/timing/{name}.json" for names in Run(committed).timings.values() for name in names}
    assert len(wanted) > 15
    assert wanted <= written


def test_missing_timings_are_told_with_the_way_out(committed: Path, tmp_path: Path) -> None:
    run = altered(committed, tmp_path / "run", "evaluate/generators")
    (run.root / "data" / "timing" / "ae@ae_conv.json").unlink()
    with pytest.raises(CostsError, match="ae@ae_conv.json is missing, .*'dvc checkout' restores"):
        report.report(run, {})


def test_the_committed_claims_are_those_of_the_committed_numbers(committed: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(committed, tmp_path / "run", symlinks=True)
    claims.write(tmp_path / "run")
    for name in ("claims.csv", "claims.md"):
        there = subprocess.run(
            ["git", "show", f"HEAD:metrics/claims/{name}"], cwd=root, capture_output=True, check=True
        )
        assert (tmp_path / "run/metrics/claims" / name).read_bytes() == there.stdout, "'make readme' writes them anew"


def test_each_claim_has_a_verdict_and_a_figure(committed: Path) -> None:
    run = Run(committed)
    found = verdicts(run)
    assert len(found) == len(claims.CLAIMS) == 26
    assert "not measured" not in found.values()
    by_time = {f"{claim.about} {claim.text}" for claim in claims.CLAIMS if claim.by_time}
    assert {name for name, verdict in found.items() if verdict == "see the report"} == by_time
    assert "see the report" not in verdicts(run, with_times=True).values()
    assert all((committed / "metrics" / each.figure).is_file() for each in claims.check(run, with_times=False))


def test_verdicts_follow_from_the_numbers(committed: Path, tmp_path: Path) -> None:
    name = "Diffusion draws more diverse images than VAEs"
    assert verdicts(Run(committed))[name] == "not supported"  # a mixture on the latents of vae_lossy draws as many
    fewer = without(committed, tmp_path / "fewer", "vae_lossy", "vae_lossy+mixture").root
    assert verdicts(Run(fewer))[name] == "supported in part"  # latents draw more, pixels not surely
    worse = altered(fewer, tmp_path / "a", "evaluate/generators", coverage=0.1, coverage_lo=0.09, coverage_hi=0.11)
    assert verdicts(worse)[name] == "not supported"
    # Higher than the VAEs', but not surely.
    unsure = altered(fewer, tmp_path / "b", "evaluate/generators", coverage=0.9, coverage_lo=0.2, coverage_hi=1.0)
    assert verdicts(unsure)[name] == "not supported"
    (unsure.root / "metrics" / "evaluate" / "generators.csv").unlink()
    gone = {each.claim.text: each for each in claims.check(Run(unsure.root), with_times=False)}
    assert gone["draws more diverse images than VAEs"].verdict == "not measured"
    assert gone["draws more diverse images than VAEs"].numbers() == "there is no metrics/evaluate/generators.csv"
    assert gone["is robust to noise"].verdict != "not measured"


def with_density(committed: Path, folder: Path, coder: str, **columns: float) -> Run:
    """Return a run with one density more: a row as that of `vae_dense`, but for some columns."""
    shutil.copytree(committed, folder, symlinks=True)
    path = folder / "metrics/evaluate/generators.csv"
    table = pd.read_csv(path)
    row = table[table["row"] == "vae_dense"].assign(row=f"{coder}+mixture", **columns)
    pd.concat([table[table["row"] != f"{coder}+mixture"], row]).to_csv(path, index=False)
    family = coder.partition("_")[0]
    for name, content in (
        (f"density_{family}@{coder}", {"seconds": 12.0, "peak_memory_mib": 700}),
        (f"densities@{coder}", {"mixture": 5.25}),
    ):
        (folder / "data/timing" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return Run(folder)


def test_diffusion_is_better_than_vaes_only_if_it_is_under_every_density(committed: Path, tmp_path: Path) -> None:
    name = "Diffusion draws more diverse images than VAEs"
    perfect = {"coverage": 0.97, "coverage_lo": 0.96, "coverage_hi": 0.98}
    fewer = without(committed, tmp_path / "fewer", "vae_lossy", "vae_lossy+mixture").root  # better than diffusion
    better = with_density(fewer, tmp_path / "a", "vae_dense", **perfect)
    assert verdicts(better)[name] == "not supported"
    (found,) = (each for each in claims.check(better, with_times=False) if each.claim.text in name and each.parts)
    assert "of the best row of a VAE (vae_dense+mixture) 0.97" in found.numbers()
    # The claim is about VAEs: an autoencoder's density does not decide it.
    other = with_density(fewer, tmp_path / "b", "ae_dense", **perfect)
    assert verdicts(other)[name] == verdicts(Run(fewer))[name] == "supported in part"


def test_a_density_costs_what_it_and_its_network_cost(committed: Path, tmp_path: Path) -> None:
    run = with_density(committed, tmp_path / "run", "ae_dense")
    assert run.cost("ae_dense+mixture", "fit_s").value == pytest.approx(run.cost("ae_dense", "fit_s").value + 5.25)
    assert run.cost("ae_dense+mixture", "peak_memory_mib").value == 700
    assert verdicts(run, with_times=True)["PCA is fast"] == "supported"


def without(committed: Path, folder: Path, *lacking: str) -> Run:
    """Return a run that lacks rows, in all tables of comparisons and of seeds and in what was explored."""
    shutil.copytree(committed, folder, symlinks=True)
    metrics = folder / "metrics"
    names = [*(f"evaluate/{name}" for name in ("representations", "generators", "likelihoods")), "seeds/seeds"]
    for path in (metrics / f"{name}.csv" for name in names):
        table = pd.read_csv(path)
        table[~table["row"].isin(lacking)].to_csv(path, index=False)
    for row in lacking:
        for place in (metrics / row, *(metrics / stage / row for stage in ("latent_explore", "diffusion_explore"))):
            shutil.rmtree(place, ignore_errors=True)
    return Run(folder)


def redraw(run: Run) -> None:
    """Draw the pictures of the rows that a run has, as evaluate does."""
    represented, drawn = (run.table(f"evaluate/{name}") for name in ("representations", "generators"))
    decoded = represented.loc[represented["mse"].notna(), "row"]
    for name, labels in (("reconstructions", ["original", *decoded]), ("samples", list(drawn["row"]))):
        figure = figures.image_grid(np.zeros((len(labels), 10, 1, 28, 28)), labels)
        artifacts.write_figure(run.root / f"metrics/evaluate/{name}.png", figure)


def test_a_claim_follows_the_rows_that_are_there(committed: Path, tmp_path: Path) -> None:
    every = {each.claim.text: each for each in claims.check(Run(committed), with_times=True)}
    fewer = without(committed, tmp_path / "fewer", "vae_residual", "diffusion")
    found = {each.claim.text: each for each in claims.check(fewer, with_times=True)}
    for text in ("draws better images than VAEs", "draws more diverse images than VAEs", "are cheaper than diffusion"):
        assert "diffusion_latent" in every[text].numbers() or "vae_residual" in every[text].numbers()
        assert found[text].verdict != "not measured"
        assert 0 < len(found[text].parts) < len(every[text].parts)
        assert "vae_residual" not in found[text].numbers()
        assert "of diffusion " not in found[text].numbers()
    assert (
        found["makes coarse structure first and detail later"].figure
        == "diffusion_explore/diffusion_latent/reverse.png"
    )
    easy = found["is easy to train, with a computable bound on the likelihood"]
    assert easy.source == "diffusion_latent/loss.csv, evaluate/likelihoods.csv"
    redraw(fewer)
    page = report.report(fewer, {})
    assert "not measured: there is no diffusion model with bits_per_dim in metrics/evaluate/likelihoods.csv" in page


@pytest.mark.parametrize(
    ("lacking", "claim", "says"),
    [
        (
            ["vae_dense", "vae_conv", "vae_residual", "vae_lossy"],
            "draws better images than VAEs",
            "row of the family vae",
        ),
        (["vae_dense", "vae_conv", "vae_residual", "vae_lossy"], "are cheaper than diffusion", "row of the family vae"),
        (
            ["vae_dense", "vae_conv", "vae_residual", "vae_lossy"],
            "learns richer distributions than VAEs",
            "row of the family vae",
        ),
        (["diffusion", "diffusion_latent"], "needs many network calls for an image", "row of the family diffusion"),
        (["diffusion", "diffusion_latent"], "are simpler than diffusion", "row of the family diffusion"),
        (["ae_conv"], "are slightly better dense than convolutional", "row ae_conv in metrics/seeds/seeds.csv"),
        (["isomap"], "is costly", "row of the family isomap in metrics/evaluate/representations.csv"),
        (["pca"], "is fast", "row of the family pca in metrics/evaluate/representations.csv"),
        (["raw"], "is faster in fewer dimensions", "row of the family pixels"),
        (["raw"], "has codes as large as the image", "row of the family pixels"),
    ],
)
def test_a_claim_says_which_row_it_lacks(
    committed: Path, tmp_path: Path, lacking: list[str], claim: str, says: str
) -> None:
    found = {
        each.claim.text: each for each in claims.check(without(committed, tmp_path / "run", *lacking), with_times=True)
    }
    assert found[claim].verdict == "not measured"
    assert f"not measured: there is no {says}" in found[claim].numbers()
    others = [each for each in found.values() if each.verdict != "not measured"]
    assert len(others) > 8, "only what needs the row"


def test_a_report_without_whole_families_is_whole(committed: Path, tmp_path: Path) -> None:
    run = without(committed, tmp_path / "run", "diffusion", "diffusion_latent", "isomap")
    shutil.rmtree(run.root / "metrics" / "diffusion_explore")
    redraw(run)
    page = report.report(run, {})
    assert "The run has no metrics/isomap/search.csv." in page
    assert "The run has no row in metrics/diffusion_explore." in page


def test_times_count_from_a_factor_on(committed: Path) -> None:
    found = verdicts(Run(committed), with_times=True)
    # 2.5 s and 0.125 s, where all others have 100 s and 0.5 s; only pixels are there at once.
    assert found["PCA is fast"] == "supported"
    assert found["kNN is faster in fewer dimensions"] == "supported"  # 0.4 s against 0.2 s
    assert found["VAEs are cheaper than diffusion"] == "not supported"
    assert claims.verdict_of([True, False]) == "supported in part"


def test_scores_differ_only_where_intervals_do() -> None:
    a, b = Score(1.0, 0.9, 1.1), Score(1.3, 1.1, 1.5)
    assert not a.below(b)
    assert a.below(Score(1.3, 1.11, 1.5))
    assert b.above(1.05)
    assert not b.above(1.1)
    assert (str(a), str(Score(2, 2, 2))) == ("1 (0.9 to 1.1)", "2")


def test_a_number_that_is_not_there_is_told(committed: Path) -> None:
    run = Run(committed)
    for missing in (
        lambda: run.score("evaluate/generators", "frechet", row="nobody"),
        lambda: run.score("evaluate/likelihoods", "bits_per_dim", row="vae_dense"),
        lambda: run.number("isomap/metrics.json", "nothing"),
        lambda: run.cost("raw", "fit_s"),
    ):
        with pytest.raises(NotMeasuredError, match="there is no|not measured: there is no row nobody in"):
            missing()

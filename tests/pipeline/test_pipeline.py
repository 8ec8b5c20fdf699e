"""The whole pipeline as users live in it: repro, experiments, diffs, another dataset, mistakes."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from latentbench.core import artifacts
from latentbench.diffusion import models as diffusion_models
from latentbench.networks import export
from tests.docs import pages
from tests.pipeline.all_stages import check_what_is_declared_is_read, run_all
from tests.pipeline.workspace import OTHER_ROWS, SMALL, Workspace, stages_run

VAES = SMALL["rows.vae"]
CODERS = [*SMALL["rows.ae"], *VAES]
DIFFUSIONS = ["diffusion", "diffusion_latent"]
REDUCTIONS = SMALL["rows.reductions"]
ROWS = ["raw", "pca", "isomap", *REDUCTIONS, *CODERS]
DENSITIES = [f"{row}+{density}" for row in CODERS for density in SMALL["densities.compared"]]
GENERATORS = ["pca", *VAES, *DENSITIES, *DIFFUSIONS]


def go_back(workspace: Workspace) -> None:
    """Bring back the commit as the tutorial says: `dvc repro` alone would, but writes dvc.lock anew for each stage."""
    workspace.run("git", "checkout", "--quiet", ".")
    workspace.run("dvc", "checkout")


def test_the_contracts_between_stages_hold(finished: Workspace) -> None:
    data = finished.folder / "data"
    n_train, n_test, latent_dim = (SMALL[key] for key in ("data.train_size", "data.test_size", "latent_dim"))
    processed = {path.stem: artifacts.read_array(path) for path in (data / "processed").glob("*.npy")}
    assert processed["train_images"].shape == (n_train, 1, 28, 28)
    assert processed["test_images"].shape == (n_test, 1, 28, 28)
    assert all(processed[name].dtype == np.uint8 for name in processed if name != "val_index")
    assert np.bincount(processed["train_labels"]).tolist() == [n_train // 10] * 10
    validation = processed["train_labels"][processed["val_index"]]
    assert np.bincount(validation).tolist() == [n_train // 100] * 10
    arrays, _ = artifacts.read_model(data / "processed" / "scaler")
    pixels = processed["train_images"].reshape(n_train, -1) / 255
    np.testing.assert_allclose(arrays["mean"], pixels.mean(axis=0), atol=1e-6)
    facts = artifacts.read_json(data / "processed" / "dataset.json")
    assert (facts["image_shape"], len(facts["classes"])) == ([1, 28, 28], 10)
    dims = {"pca": 30, "isomap": 10, "umap": 2, "supervised": 20}
    dims |= dict.fromkeys(CODERS, latent_dim)
    for row, dim in dims.items():
        for split, n in (("train", n_train), ("test", n_test)):
            embedding = artifacts.read_array(data / "embeddings" / row / f"{split}.npy")
            assert embedding.shape == (n, dim)
            assert embedding.dtype == np.float32
            assert np.isfinite(embedding).all()
            assert embedding.std(axis=0).min() > 0, f"{row} has a dimension that says nothing"
    for row in ("pca", *VAES, *DIFFUSIONS):
        samples = artifacts.read_array(data / "samples" / row / "any.npy")
        assert samples.shape == (SMALL["n_samples"], 1, 28, 28)
        assert samples.dtype == np.uint8
        assert samples.std(axis=0).mean() > 1, f"{row} draws the same image again and again"
    images = processed["test_images"][:7] / np.float32(255)
    for row in CODERS:
        encoder, decoder = (
            export.session((data / "models" / row / f"{part}.onnx").read_bytes()) for part in ("encoder", "decoder")
        )
        (latents,) = encoder.run(None, {"images": images})
        embedding = artifacts.read_array(data / "embeddings" / row / "test.npy")[:7]
        np.testing.assert_allclose(latents, embedding, atol=1e-5 * max(1.0, np.abs(embedding).max()))
        (decoded,) = decoder.run(None, {"latents": latents})
        assert decoded.shape == images.shape
        assert decoded.std(axis=0).mean() > 0.001, f"{row} decodes everything to the same image"


def test_the_comparison_says_what_the_artifacts_say(finished: Workspace) -> None:
    folder = finished.folder / "metrics"
    representations = artifacts.read_json(folder / "evaluate" / "representations.json")
    assert list(representations) == sorted(ROWS)
    labels = artifacts.read_array(finished.folder / "data/processed/test_labels.npy")
    originals = artifacts.read_array(finished.folder / "data/processed/test_images.npy") / 255
    classes = artifacts.read_json(finished.folder / "data/processed/dataset.json")["classes"]
    for row, scores in representations.items():
        assert 0 <= scores["knn_accuracy_lo"] <= scores["knn_accuracy"] <= scores["knn_accuracy_hi"] <= 1
        assert scores["knn_accuracy"] > 0.3, f"{row} is no better than chance"
        confusion = pd.read_csv(folder / "evaluate" / "confusion" / f"{row}.csv")
        assert confusion["actual"].tolist() == [classes[label] for label in labels]
        assert (confusion["actual"] == confusion["predicted"]).mean() == pytest.approx(scores["knn_accuracy"], rel=1e-5)
        if row != "raw":
            assert 0.6 < scores["trustworthiness"] <= 1
            assert 0.6 < scores["continuity"] <= 1
            assert 0.1 < scores["q_nx"] <= 1
            for name in ("auc_r_nx", "spearman", "stress"):
                assert 0 <= scores[f"{name}_lo"] <= scores[name] <= scores[f"{name}_hi"] <= 1
    assert representations["raw"]["dims"] == 784
    assert representations["pca"]["dims"] == SMALL["latent_dim"]
    arrays, _ = artifacts.read_model(finished.folder / "data/models/pca")
    scores = artifacts.read_array(finished.folder / "data/embeddings/pca/test.npy")[:, : SMALL["latent_dim"]]
    rebuilt = (scores @ arrays["components"][: SMALL["latent_dim"]] + arrays["mean"]).reshape(originals.shape)
    assert representations["pca"]["mse"] == pytest.approx(np.square(rebuilt - originals).mean(), rel=1e-4)
    assert all(representations["pca"]["mse"] < representations[row]["mse"] for row in VAES)
    for row in (*CODERS, "pca"):
        scores_of = representations[row]
        # The mean over images of -10 log10(mse) is at least that of their mean (Jensen); PCA's is of clipped pixels.
        assert scores_of["psnr"] > -10 * np.log10(scores_of["mse"]) - 1e-3
        assert 0 < scores_of["ssim"] < 1


def test_the_outcomes_of_each_test_image_are_those_of_the_comparison(finished: Workspace) -> None:
    representations = artifacts.read_json(finished.folder / "metrics/evaluate/representations.json")
    outcomes, description = artifacts.read_model(finished.folder / "data/outcomes")
    labels = artifacts.read_array(finished.folder / "data/processed/test_labels.npy")
    assert description["n"] == len(labels)
    np.testing.assert_array_equal(outcomes["labels"], labels)
    for row, scores in representations.items():
        for kind, name in (("knn", "knn_accuracy"), ("probe", "linear_probe")):
            accuracies = {each: (outcomes[f"{each}.{kind}"] == labels).mean() for each in (row, "raw")}
            assert accuracies[row] == pytest.approx(scores[name], rel=1e-5)
            assert scores[f"{name}_lo"] <= scores[name] <= scores[f"{name}_hi"]
            if row != "raw":
                difference = scores[f"{name.removesuffix('_accuracy')}_minus_raw"]
                assert difference == pytest.approx(accuracies[row] - accuracies["raw"], abs=1e-6)
        assert scores["linear_probe"] > 0.3, f"{row} is no better than chance"
        for name in {"trustworthiness", "continuity", "q_nx", "mse", "psnr", "ssim"} & set(scores):
            assert outcomes[f"{row}.{name}"].mean() == pytest.approx(scores[name], rel=1e-4)
        is_raw = row == "raw"
        assert scores["bytes_per_image"] == scores["dims"] * (1 if is_raw else 4)
        path = finished.folder / "data/models" / row / "model.safetensors"
        assert scores["model_bytes"] == (0 if is_raw else path.stat().st_size)


def test_costs_are_those_of_every_row(finished: Workspace) -> None:
    found = artifacts.read_json(finished.folder / "data/timing/costs.json")
    transformed = {row for row, seconds in found.items() if {"transform_s_per_1000", "knn_s_per_1000"} <= set(seconds)}
    drawn = {row for row, seconds in found.items() if "sample_s_per_1000" in seconds}
    assert transformed == set(ROWS)
    assert drawn == {*GENERATORS, "diffusion_latent_guided"}
    assert all(0 < seconds < 60 for each in found.values() for seconds in each.values())
    assert found["diffusion"]["sample_s_per_1000"] > found["vae_dense"]["sample_s_per_1000"]
    assert found["isomap"]["transform_s_per_1000"] > found["pca"]["transform_s_per_1000"]


def test_the_bounds_say_what_their_parts_say(finished: Workspace) -> None:
    folder = finished.folder / "metrics" / "evaluate"
    likelihoods = artifacts.read_json(folder / "likelihoods.json")
    assert list(likelihoods) == sorted([*VAES, "diffusion"])
    for row, scores_of in likelihoods.items():
        assert scores_of["n"] == SMALL["data.test_size"]
        assert scores_of["kl_nats"] > 0
        assert row == "diffusion" or 0 < scores_of["active_units"] <= SMALL["latent_dim"]
        assert ("elbo_nats" in scores_of) == (row in ("vae_residual", "diffusion")), "only a likelihood has a bound"
    for row in ("vae_residual", "diffusion"):
        proper = likelihoods[row]
        assert proper["elbo_nats"] == pytest.approx(-proper["reconstruction_nats"] - proper["kl_nats"], rel=1e-5)
        assert proper["bits_per_dim"] == pytest.approx(-proper["elbo_nats"] / 784 / np.log(2), rel=1e-5)
        assert proper["bits_per_dim_lo"] < proper["bits_per_dim"] < proper["bits_per_dim_hi"]
    proper = likelihoods["vae_residual"]
    assert proper["importance_gain"] > 0, "the importance-weighted bound is the tighter one"
    assert proper["n_importance"] == SMALL["evaluate.likelihood_images"]
    kl_per_latent = pd.read_csv(folder / "kl_per_latent.csv").groupby("row", sort=False)["kl_nats"]
    assert list(kl_per_latent.groups) == VAES
    for row, kl in kl_per_latent:
        assert kl.is_monotonic_decreasing
        assert kl.sum() == pytest.approx(likelihoods[row]["kl_nats"], rel=1e-4)
    generators = artifacts.read_json(folder / "generators.json")
    assert generators["diffusion"]["bits_per_dim"] == likelihoods["diffusion"]["bits_per_dim"]
    assert "bits_per_dim" not in generators["diffusion_latent"]


def test_guides_are_trained_and_samples_use_them(finished: Workspace) -> None:
    for row in DIFFUSIONS:
        model, description = diffusion_models.load(finished.folder / "data/models" / row)
        assert description["sampling"]["autoguidance"] == finished.params()[row]["autoguidance"]["scale"] > 1
        assert model.guide is not None
        # Some layers start at zero, and a step of training moves each.
        assert all(weight.any() for weight in model.guide.parameters()), row
        drawn = model.draw(0, range(3), diffusion_models.Sampling(**description["sampling"]))
        alone = model.draw(0, range(3), diffusion_models.Sampling(**description["sampling"] | {"autoguidance": 1.0}))
        assert not torch.equal(drawn, alone)


def test_generated_images_are_judged_at_equal_terms(finished: Workspace) -> None:
    folder = finished.folder / "metrics"
    generators = artifacts.read_json(folder / "evaluate" / "generators.json")
    assert set(generators) == {"real", "real_validation", *GENERATORS, "diffusion_latent_guided"}
    for row, scores_of in generators.items():
        assert scores_of["frechet_lo"] <= scores_of["frechet"] <= scores_of["frechet_hi"]
        assert scores_of["n"] == (200 if row == "real_validation" else SMALL["n_samples"])
        assert row.startswith("real") or scores_of["frechet"] > 3 * generators["real"]["frechet"]
        assert 0 <= scores_of["coverage_lo"] <= scores_of["coverage"] <= scores_of["coverage_hi"] <= 1
        assert row.startswith("real") == ("nearest_train" not in scores_of)
        for name in ("kernel_distance", "sharpness", "confident_share", "cas"):
            assert scores_of[f"{name}_lo"] <= scores_of[name] <= scores_of[f"{name}_hi"]
    calls = {row: scores_of["calls"] for row, scores_of in generators.items() if "calls" in scores_of}
    small = SMALL["diffusion.sampling.calls"]
    # Autoguidance and guidance call two networks at each step.
    expected = {"diffusion": 2 * small, "diffusion_latent": 2 * small, "diffusion_latent_guided": 2 * small}
    assert calls == dict.fromkeys([*VAES, *DENSITIES], 1) | expected
    assert generators["real"]["coverage"] > 0.9
    assert generators["real"]["sharpness"] == pytest.approx(1, abs=0.2)
    filled = pd.read_csv(folder / "evaluate" / "inpainting.csv").set_index("row")
    assert filled.index.tolist() == ["mean", *VAES, *DIFFUSIONS]
    assert filled.loc["mean", "diversity"] == 0 < filled.loc["diffusion", "diversity"]


def test_each_latent_space_is_looked_into(finished: Workspace) -> None:
    n_steps = finished.params()["latent_explore"]["interpolation_steps"]
    for row in CODERS:
        folder = finished.folder / "metrics" / "latent_explore" / row
        found = artifacts.read_json(folder / "metrics.json")
        assert found["linear_probe"] > 0.3, f"{row} is no better than chance"
        assert -1 < found["silhouette"] < 1
        assert 0.6 < found["pca_map_trustworthiness"] <= 1
        assert 0.6 < found["neighbors_map_trustworthiness"] <= 1
        assert found["draws_distance"] > 0
        assert 0 <= found["holes_confident_share"] <= 1
        table = pd.read_csv(folder / "latents.csv")
        assert sorted(table["latent"]) == list(range(SMALL["latent_dim"]))
        assert table["kl" if row in VAES else "variance"].is_monotonic_decreasing
        if row in VAES:
            assert found["kl_nats"] == pytest.approx(table["kl"].sum(), rel=1e-4)
            assert found["aggregate_frechet"] > found["aggregate_frechet_floor"]
        ways = pd.read_csv(folder / "interpolation.csv")
        assert ways["share"].iloc[[0, -1]].tolist() == [0, 1]
        assert (ways.iloc[[0, -1]]["straight_confidence"] == ways.iloc[[0, -1]]["spherical_confidence"]).all()
        for name, key in (
            ("straight", "interpolation_confidence"),
            ("spherical", "interpolation_confidence_spherical"),
        ):
            inner = ways[f"{name}_confidence"][1 : n_steps - 1]
            assert found[key] == pytest.approx(inner.mean(), rel=1e-4)
        sums = pd.read_csv(folder / "arithmetic.csv")
        assert len(sums) == 8 * 4
        whole = sums[sums["strength"] == 1]
        assert found["arithmetic_called_plus"] == pytest.approx(whole["called_plus"].mean(), rel=1e-4)


def test_maps_are_what_their_description_says(finished: Workspace) -> None:
    for row in CODERS:
        folder = finished.folder / "data" / "maps" / row
        arrays, description = artifacts.read_model(folder)
        ordered_by = "kl" if row in VAES else "variance"
        assert description == {"maps": ["latents", "pca", "neighbors"], "ordered_by": ordered_by}
        train, test = (
            np.array(artifacts.read_array(finished.folder / "data/embeddings" / row / f"{split}.npy"))
            for split in ("train", "test")
        )
        np.testing.assert_allclose(arrays["mean"], train.mean(axis=0), atol=1e-4 * train.std())
        np.testing.assert_allclose(arrays["deviation"], train.std(axis=0, ddof=1), rtol=1e-3)
        index = arrays["fitted_index"]
        assert index.shape == (SMALL["latent_explore.map_points"],)
        assert (np.diff(index) > 0).all()
        assert sorted(arrays["order"]) == list(range(SMALL["latent_dim"]))
        assert (np.diff(arrays["importance"]) <= 0).all()
        maps = {split: artifacts.read_array(folder / f"{split}.npy") for split in ("train", "test")}
        for split, latents in (("train", train), ("test", test)):
            assert maps[split].shape == (len(latents), 3, 2)
            assert maps[split].dtype == np.float32
            np.testing.assert_array_equal(maps[split][:, 0], latents[:, arrays["dimensions"]])
            scores = (latents - arrays["mean"]) @ arrays["components"].T
            np.testing.assert_allclose(maps[split][:, 1], scores, atol=1e-3 * np.abs(scores).max())
        # As the browser places a point: between the 8 fitted ones that are nearest to its latents.
        anchors, placed = train[index], maps["train"][index, 2]
        distances = np.linalg.norm(test[:20, None].astype(np.float64) - anchors, axis=2)
        for distance, found in zip(distances, maps["test"][:20, 2], strict=True):
            near = distance.argsort()[:8]
            np.testing.assert_allclose(found, np.average(placed[near], axis=0, weights=1 / distance[near]), atol=1e-3)


def test_each_diffusion_model_is_looked_into(finished: Workspace) -> None:
    for row in DIFFUSIONS:
        folder = finished.folder / "metrics" / "diffusion_explore" / row
        found = artifacts.read_json(folder / "metrics.json")
        for band in ("low", "middle", "high"):
            assert 1 <= found[f"half_{band}_step"] <= SMALL["diffusion.sampling.calls"]
        # What the space loses, no inversion brings back.
        assert found["inversion_mse_space"] < min(found["inversion_mse_ddim"], found["inversion_mse_heun"]) + 1e-6
        spectrum = pd.read_csv(folder / "spectrum.csv")
        assert spectrum["level"].is_monotonic_decreasing
        assert spectrum[["low", "middle", "high"]].iloc[-1].tolist() == [1, 1, 1]
        compared = pd.read_csv(folder / "samplers.csv")
        assert compared.groupby("sampler")["calls"].apply(list).to_dict() == {
            name: [3, 5] for name in ("ancestral", "ddim", "heun", "dpm_solver")
        }
        assert (compared["kernel_distance_lo"] < compared["kernel_distance_hi"]).all()
        steps = pd.read_csv(folder / "steps.csv").set_index("steps")
        assert steps.index.tolist() == ["growing with the noise", "equal"]
        assert steps.loc["equal", "first_step"] == pytest.approx(steps.loc["equal", "last_step"])
        assert steps.loc["growing with the noise", "first_step"] > 10 * steps.loc["growing with the noise", "last_step"]
        varied = pd.read_csv(folder / "variations.csv")
        assert varied["strength"].tolist() == SMALL["diffusion_explore.strengths"]
        assert varied["class_kept"].between(0, 1).all()
        blends = pd.read_csv(folder / "blends.csv")
        assert blends["share"].iloc[[0, -1]].tolist() == [0, 1]
        assert blends["confidence"].between(0.1, 1).all()


def test_the_headline_is_what_one_wants_to_see_first(finished: Workspace) -> None:
    folder = finished.folder / "metrics"
    representations, generators = (
        artifacts.read_json(folder / "evaluate" / f"{name}.json") for name in ("representations", "generators")
    )
    headline = artifacts.read_json(folder / "headline.json")
    assert headline["knn"] == {row: representations[row]["knn_accuracy"] for row in set(ROWS) - set(REDUCTIONS)}
    assert headline["frechet"] == {row: generators[row]["frechet"] for row in ("real", *GENERATORS)}
    assert len(re.findall(r": [0-9]", json.dumps(headline))) <= 30


def test_pca_and_isomap_are_judged_by_number(finished: Workspace) -> None:
    folder = finished.folder / "metrics"
    by_count = pd.read_csv(folder / "pca" / "knn.csv").set_index("components")
    assert by_count.index.tolist() == [1, 2, 4, 5, 8, 16, 30, 784]
    assert by_count.loc[1, "leave_one_out"] < by_count.loc[8, "leave_one_out"]
    chosen = artifacts.read_json(folder / "pca" / "metrics.json")
    assert by_count["leave_one_out"].drop(784).idxmax() == chosen["components_by_knn"] == chosen["components_chosen"]
    assert chosen["mse"] < chosen["mse_standardized"]
    rebuilt = pd.read_csv(folder / "pca" / "reconstruction.csv")
    assert rebuilt["mse"].is_monotonic_decreasing
    assert rebuilt["sharpness"].is_monotonic_increasing
    assert rebuilt["sharpness"].iloc[-1] < 1
    np.testing.assert_allclose(rebuilt["mse_added"], rebuilt["mse_standardized"] - rebuilt["mse"], atol=1e-6)
    for name in ("mse_added", "sharpness"):
        assert (rebuilt[f"{name}_lo"] <= rebuilt[name]).all()
        assert (rebuilt[name] <= rebuilt[f"{name}_hi"]).all()
    directions = pd.read_csv(folder / "pca" / "classes.csv").set_index("component")["class_share"]
    scores = artifacts.read_array(finished.folder / "data/embeddings/pca/test.npy")[:, :10]
    labels = artifacts.read_array(finished.folder / "data/processed/test_labels.npy")
    between = pd.DataFrame(scores).groupby(np.asarray(labels)).mean().to_numpy()[labels].var(axis=0) / scores.var(
        axis=0
    )
    # Where the class means are those of the same images the share is a little larger.
    np.testing.assert_allclose(directions, between, atol=0.12)
    search = pd.read_csv(folder / "isomap" / "search.csv")
    assert search[["n_neighbors", "n_components"]].to_numpy().tolist() == [[5, 5], [5, 10], [8, 5], [8, 10]]
    s_curve = pd.read_csv(folder / "isomap" / "s_curve.csv")
    assert s_curve.loc[0, "isomap"] > 0.99 > s_curve.loc[0, "pca"]
    assert s_curve.loc[0, "isomap_residual"] < 0.01 < s_curve.loc[0, "pca_residual"]
    assert (s_curve["n"] == SMALL["isomap.n_sheets"]).all()


def test_losses_fall_and_every_picture_is_one(finished: Workspace) -> None:
    for row in (*CODERS, "classifier", *DIFFUSIONS):
        table = pd.read_csv(finished.folder / "metrics" / row / "loss.csv")
        assert table["epoch"].tolist() == list(range(1, len(table) + 1))
        assert len(table) > 1
        assert table["train_loss"].iloc[-1] < table["train_loss"].iloc[0], row
        assert table["validation_loss"].iloc[-1] < table["validation_loss"].iloc[0], row
    pictures = list((finished.folder / "metrics").rglob("*.png"))
    assert len(pictures) > 20
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 3000 for path in pictures)


def test_repro_again_does_nothing(finished: Workspace) -> None:
    done = finished.run("dvc", "repro")
    assert stages_run(done.stdout) == []
    assert "up to date" in done.stdout


def test_an_experiment_reruns_what_it_must_and_going_back_runs_nothing(finished: Workspace, root: Path) -> None:
    """By the commands of the tutorial, in its order."""
    text = (root / "docs/tutorials/change_one_parameter.md").read_text(encoding="utf-8")
    experiment, metrics, plots, *back, listing, applying = pages.commands(text)
    before = finished.outputs()
    finished.set_up_make()
    try:
        done = finished.run(*experiment)
        expected = [f"{stage}@vae_dense" for stage in ("vae", "latent_space_vae", "density_vae")]
        expected += ["judge_vae@vae_dense", "latent_explore", "evaluate", "explorer"]
        assert sorted(stages_run(done.stdout)) == sorted(expected)
        after = finished.outputs()
        same = {name for name in before if before[name] == after.get(name)}
        assert {
            "data/embeddings/pca/train.npy",
            "data/samples/diffusion/any.npy",
            "data/judged/diffusion/model.safetensors",
            "data/models/classifier/model.json",
        } <= same
        assert "data/samples/vae_dense/any.npy" not in same

        changes = json.loads(finished.run(*metrics, "--json").stdout)
        assert list(changes) == ["metrics/headline.json"]
        headline = changes["metrics/headline.json"]
        assert {"mse.vae_dense", "frechet.vae_dense"} <= set(headline)
        others = {"knn.raw", "knn.pca", "mse.vae_residual", "frechet.diffusion", "classifier_accuracy"}
        assert not others & set(headline)
        change = headline["mse.vae_dense"]
        assert change["diff"] == pytest.approx(change["new"] - change["old"])
        name = re.findall(r"^Ran experiment\(s\): (\S+)$", done.stdout, re.MULTILINE)[0]
        compared = finished.run("python", "-m", "tools.compare", "HEAD", name).stdout
        assert re.search(r"^\| vae_dense\.beta \| [0-9.]+ \| 4(\.0)? \|$", compared, re.MULTILINE)
        assert "vae_dense.beta is 4" in compared
        assert compared.count("no seeds were run") == 1
        different = set(re.findall(r"^\| (\w+ \| \w+) \|.* \(.* to .*\) \|", compared, re.MULTILINE))
        assert {"vae_dense | mse", "vae_dense | frechet"} <= different
        assert {name.split(" | ")[0] for name in different} == {"vae_dense"}
        same = re.search(r"^The same in both: \d+ scores, among them all of (.*)\.$", compared, re.MULTILINE)
        assert same is not None
        assert {"raw", "isomap", "ae_dense", "vae_residual", "diffusion", "diffusion_latent_guided"} <= set(
            same[1].split(", ")
        )
        finished.run(*plots)
        page = (finished.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
        assert "vae_dense/loss.csv" in page
        for command in back:
            finished.run(*command)
        assert finished.outputs() == before
        table = finished.run(*listing, COLUMNS="500").stdout
        assert name in table
        assert "vae_dense.beta" in table
        finished.run(*(name if word == "<name>" else word for word in applying))
        assert finished.outputs() == after
    finally:
        go_back(finished)
    done = finished.run("dvc", "repro")
    assert stages_run(done.stdout) == []
    assert finished.outputs() == before


def test_the_page_of_plots_needs_no_network_and_draws_everything(finished: Workspace) -> None:
    finished.run("dvc", "plots", "show", "--out", "dvc_plots")
    page = (finished.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'> ]+""", page)
    assert {"vega", "vegaLite", "vegaEmbed"} <= set(re.findall(r"window\.(\w+)=", page))
    losses = ("ae_dense/loss", "vae_residual/loss", "diffusion/loss")
    for name in (*losses, "knn_choice", "confusion/raw.csv", "pca_variance"):
        assert name in page, f"{name} is not on the page"
    shown = re.findall(r"<img[^>]*src=[\"'](static/[^\"']+)", page)
    assert len(shown) > 20
    assert all((finished.folder / "dvc_plots" / source).is_file() for source in shown)


def test_dvc_shows_the_headline_and_all_else_by_name(finished: Workspace) -> None:
    shown = json.loads(finished.run("dvc", "metrics", "show", "--json").stdout)
    assert list(shown[""]["data"]) == ["metrics/headline.json"]
    path = "metrics/latent_explore/vae_dense/metrics.json"
    shown = json.loads(finished.run("dvc", "metrics", "show", "--json", path).stdout)
    assert "kl_nats" in shown[""]["data"][path]["data"]
    first = finished.run("dvc", "exp", "show", "--csv").stdout.split(",")[5:7]
    assert first[0] == "classifier_accuracy"
    assert first[1].startswith("frechet.")


def test_two_rows_are_compared_and_nothing_else_runs(finished: Workspace) -> None:
    """Lists of rows as a user gives them, and as one edits params.yaml: the others leave no trace in a result."""
    before = finished.outputs()
    lists = {"isomap": [], "reductions": [], "ae": [], "vae": ["vae_residual"], "diffusion": []}
    given = [part for name, rows in lists.items() for part in ("-S", f"rows.{name}=[{','.join(rows)}]")]
    joined = ["evaluate", "explorer", "latent_explore"]
    try:
        done = finished.run("dvc", "exp", "run", "--name", "two", *given)
        assert sorted(stages_run(done.stdout)) == joined
        by_experiment = finished.outputs()
        tables = finished.folder / "metrics" / "evaluate"
        assert artifacts.read_json(tables / "representations.json").keys() == {"raw", "pca", "vae_residual"}
        assert artifacts.read_json(tables / "generators.json").keys() == {
            "real",
            "real_validation",
            "pca",
            "vae_residual",
            "vae_residual+mixture",
        }
        assert artifacts.read_json(tables / "likelihoods.json").keys() == {"vae_residual"}
        assert pd.read_csv(tables / "inpainting.csv")["row"].tolist() == ["mean", "vae_residual"]
        assert pd.read_csv(finished.folder / "metrics/interpolation.csv")["row"].unique().tolist() == ["vae_residual"]
        for folder, kind in (("confusion", "csv"), ("classification", "csv"), ("samples", "png")):
            names = {path.stem for path in (tables / folder).glob(f"*.{kind}")}
            assert names == {"pca", "vae_residual"} | ({"raw"} if kind == "csv" else {"vae_residual+mixture"})
        page = artifacts.read_json(finished.folder / "data/explorer/data/explorer.json")
        assert ([model["row"] for model in page["models"]], page["diffusion"]) == (["vae_residual"], [])
        finished.run("dvc", "plots", "show", "--out", "dvc_plots")

        finished.run("git", "checkout", "--quiet", ".")  # `dvc repro` alone brings back what the cache has
        assert stages_run(finished.run("dvc", "repro").stdout) == []
        assert finished.outputs() == before
        finished.set_params({f"rows.{name}": rows for name, rows in lists.items()})
        done = finished.run("dvc", "repro")
        assert set(stages_run(done.stdout)) <= set(joined)
        assert "ae@ae_conv is no longer compared" in done.stderr or not stages_run(done.stdout)
        by_hand = finished.outputs()
        assert {name: by_hand[name] for name in by_experiment} == by_experiment
        assert not [path for path in (finished.folder / "metrics" / "ae_conv").rglob("*") if path.is_file()]
    finally:
        go_back(finished)
    assert stages_run(finished.run("dvc", "repro").stdout) == []
    assert finished.outputs() == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vae_dense.training.imagez": 3}, "vae_dense.training.imagez: there is no such param"),
        ({"diffusion.small.training.batch_size": 0}, "diffusion.small.training.batch_size"),
        ({"latent_explore.dimensions": [0, 6]}, "latent_explore.dimensions [6] must be below latent_dim (6)"),
    ],
)
def test_a_mistake_anywhere_in_params_stops_the_first_stage(
    finished: Workspace, change: dict[str, object], says: str
) -> None:
    before = finished.outputs()
    try:
        # isomap reads none of these: the mistake is found before any work, not hours later.
        finished.set_params({"isomap.n_neighbors": 6, **change})
        done = finished.run("dvc", "repro", "--single-item", "isomap@isomap", check=False)
        assert done.returncode != 0
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        finished.run("git", "checkout", "--quiet", ".")
        finished.run("dvc", "checkout", "--quiet")
    assert finished.outputs() == before


def test_a_changed_byte_in_the_raw_data_is_noticed(finished: Workspace) -> None:
    path = finished.folder / "data" / "raw" / "test_labels.npy"
    whole = path.read_bytes()
    path.chmod(0o644)
    try:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert "data/raw" in finished.run("dvc", "status").stdout
    finally:
        path.write_bytes(whole)
    assert "up to date" in finished.run("dvc", "status").stdout


def test_a_library_from_elsewhere_is_refused(finished: Workspace, tmp_path: Path, root: Path) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((finished.folder / name).read_bytes())
    (tmp_path / "data").mkdir()
    done = finished.run(
        "env", "-C", str(tmp_path), f"PYTHONPATH={root}", "python", "-m", "stages.pca", "pca", check=False
    )
    assert done.returncode != 0
    assert "is not the one in" in done.stderr
    assert not list((tmp_path / "data").iterdir())


def test_another_dataset_is_one_param(images: np.ndarray, labels: np.ndarray, root: Path, tmp_path: Path) -> None:
    """200 pictures in colour of 20x13 pixels in 4 classes, made of real ones, without a test part, through all stages.

    As the tutorial has it, from `make dataset` to the report. Each stage reads every param that dvc.yaml declares for
    it, and no other. Sizes that so few images do not allow are those of params.yaml.
    """
    for label, name in enumerate(("top", "trousers", "pullover", "dress")):
        grey = images[np.flatnonzero(labels == label)[:50], 0, 3:23, 7:20]
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number, picture in enumerate(np.stack([grey, 255 - grey, np.roll(grey, 2, axis=1)], axis=-1)):
            Image.fromarray(picture).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "workspace").mkdir()
    workspace = Workspace(root, tmp_path / "workspace")
    workspace.set_up_make()
    text = (root / "docs/tutorials/your_own_images.md").read_text(encoding="utf-8")
    described, *committed, _, _, experiment, reported, _, _ = pages.commands(text)
    assert [words[:2] for words in committed] == [["git", "add"], ["git", "commit"]]
    told = workspace.run(*(word.replace("/path/to", str(tmp_path)) for word in described)).stderr
    assert f"Now: {' '.join(experiment)}" in told
    large = ("pca.", "isomap.n_landmarks", "isomap.search", "latent_explore.map_points", "n_samples")
    workspace.set_params(
        {key: value for key, value in SMALL.items() if not key.startswith(large)}
        | OTHER_ROWS
        | {
            **dict(word.split("=") for word in experiment if "=" in word),
            "data.train_size": None,
            "data.test_size": None,
            "n_samples": 200,
            "evaluate.raw_l1": True,
            "isomap.neighbors": "cells",
            "isomap.on_disk": True,
        }
    )
    run_all(workspace, tmp_path / "read")
    assert artifacts.read_json(workspace.folder / "metrics/isomap/metrics.json")["neighbors_recall"] > 0.99
    check_what_is_declared_is_read(workspace, tmp_path / "read")
    representations = artifacts.read_json(workspace.folder / "metrics/evaluate/representations.json")
    assert representations["raw"]["dims"] == 780
    assert representations["raw"]["knn_accuracy"] > 0.6
    assert representations["raw_l1"]["knn_accuracy"] > 0.4  # of 40 images in 4 classes
    assert "trustworthiness" not in representations["raw_l1"]
    assert artifacts.read_array(workspace.folder / "data/samples/diffusion/any.npy").shape == (200, 3, 20, 13)
    workspace.run("git", "add", "--all")
    workspace.commit("a run")
    workspace.run(*reported)
    assert "photos" in (workspace.folder / "report/index.html").read_text(encoding="utf-8")


def test_images_without_labels_are_compared_by_what_needs_none(images: np.ndarray, root: Path, tmp_path: Path) -> None:
    """Grey images of 20x28 pixels through the stages of a row of each family: no score tells of classes."""
    np.save(tmp_path / "pixels.npy", images[:700, :, 4:24])
    (tmp_path / "workspace").mkdir()
    workspace = Workspace(root, tmp_path / "workspace")
    described = {
        "title": "no labels",
        "format": "npy",
        "sources": [{"folder": str(tmp_path)}],
        "files": {"train_images": {"name": "pixels.npy"}},
    }
    (workspace.folder / "datasets/plain.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    rows = {
        "rows.reductions": ["random_projection", "supervised"],
        "rows.ae": ["ae_dense"],
        "rows.vae": ["vae_residual"],
        "rows.diffusion": ["diffusion"],
    }
    data = {"data.dataset": "plain", "data.train_size": None, "data.test_size": None}
    workspace.set_params(SMALL | rows | data)
    run_all(workspace, tmp_path / "read")
    metrics = workspace.folder / "metrics"
    assert "knn" not in artifacts.read_json(metrics / "headline.json")
    representations = artifacts.read_json(metrics / "evaluate/representations.json")
    unsupervised = ["raw", "pca", "isomap", "random_projection", "ae_dense", "vae_residual"]
    assert list(representations) == sorted(unsupervised)
    assert representations["raw"].keys() == {"bytes_per_image", "dims", "model_bytes"}
    told = {"trustworthiness", "continuity", "q_nx", "mse", "psnr", "ssim"}
    told |= {f"{name}{end}" for name in ("auc_r_nx", "spearman", "stress") for end in ("", "_lo", "_hi")}
    assert representations["ae_dense"].keys() == representations["raw"].keys() | told
    generators = artifacts.read_json(metrics / "evaluate/generators.json")
    of_classes = {"cas", "confident_share", "classes_present", "rarest_class_share"}
    for row, scores in generators.items():
        assert not of_classes & {name.removesuffix("_lo").removesuffix("_hi") for name in scores}, row
        assert scores["frechet"] >= 0
        assert scores["coverage"] <= 1
    assert generators["real"]["frechet"] < min(generators["pca"]["frechet"], generators["vae_residual"]["frechet"])
    assert generators["diffusion"]["bits_per_dim"] > 0
    table = artifacts.read_table(metrics / "evaluate/generators.csv")
    assert table["classifier"].str.startswith("pca:").all()
    assert artifacts.read_json(metrics / "classifier/metrics.json") == {}
    assert artifacts.read_json(metrics / "pca/metrics.json").keys() >= {"components_by_variance", "n_components"}
    assert "components_by_knn" not in artifacts.read_json(metrics / "pca/metrics.json")
    explored = artifacts.read_json(metrics / "latent_explore/vae_residual/metrics.json")
    assert not {"silhouette", "linear_probe", "draws_confident_share", "arithmetic_called_plus"} & set(explored)
    assert {"draws_distance", "kl_nats", "pca_map_trustworthiness"} <= set(explored)
    for folder in ("evaluate/knn_accuracy.png", "latent_explore/ae_dense/arithmetic.png", "pca/knn.png"):
        assert (metrics / folder).stat().st_size > 1000

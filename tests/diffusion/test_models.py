"""Whole models: both spaces, samples by number, files, another library's sampler, and what little data teaches."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor, nn

from latentbench import inference, sample, seeding, training
from latentbench.core import artifacts
from latentbench.core.errors import InputError
from latentbench.diffusion import denoising, models, process, schedules
from latentbench.diffusion.models import DiffusionModel, Sampling
from latentbench.diffusion.parameterisations import Prediction
from latentbench.diffusion.samplers import base as samplers
from latentbench.diffusion.spaces import LatentSpace
from latentbench.networks import export, weights

PIXELS: dict[str, Any] = {
    "image_shape": [1, 12, 10],
    "network": {"channels": 8},
    "schedule": {"name": "karras"},
    "prediction": "karras",
    "data_deviation": 0.5,
}
LATENTS = PIXELS | {
    "network": {"width": 16, "n_blocks": 2},
    "coder": {"latent_dim": 5},
    "data_deviation": 0.5,
}
IN_COLOUR = {"image_shape": [3, 12, 10]}
BOTH = pytest.mark.parametrize("built", [PIXELS, LATENTS], ids=["pixels", "latents"])
BOTH_IN_GREY_AND_COLOUR = pytest.mark.parametrize(
    "built",
    [PIXELS, LATENTS, PIXELS | IN_COLOUR, LATENTS | IN_COLOUR],
    ids=["pixels", "latents", "colour_pixels", "colour_latents"],
)


def moved(model: DiffusionModel) -> DiffusionModel:
    """Give weights that are zero at first some value, so that all inputs count."""
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return model.eval()


@BOTH_IN_GREY_AND_COLOUR
@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "heun", "dpm_solver"])
def test_a_sample_is_the_same_in_any_batch(built: dict[str, Any], sampler: Any) -> None:
    model, sampling = moved(models.build(**built)), Sampling(sampler, calls=5)
    together = model.draw(3, range(6), sampling)
    assert together.shape == (6, *built["image_shape"])
    assert together.dtype == torch.uint8
    apart = torch.cat([model.draw(3, [4], sampling), model.draw(3, range(2, 4), sampling)])
    # Sums over another batch may be rounded otherwise, and a pixel to the next value.
    assert (apart.int() - together[[4, 2, 3]].int()).abs().max() <= 1
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(model.draw(4, [0], sampling), together[:1])


@BOTH_IN_GREY_AND_COLOUR
def test_samples_are_drawn_in_the_precision_that_is_asked_for(built: dict[str, Any]) -> None:
    model, seen = moved(models.build(**built)), set[torch.dtype]()
    for layer in model.denoiser.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    drawn = {}
    for precision in ("float32", "bfloat16"):
        seen.clear()
        drawn[precision] = model.draw(3, range(6), Sampling(calls=5, precision=precision)).int()
        assert seen == {getattr(torch, precision)}
    difference = (drawn["float32"] - drawn["bfloat16"]).abs().float()
    assert 0 < difference.mean() < 5


@BOTH_IN_GREY_AND_COLOUR
def test_a_model_comes_back_from_its_files(built: dict[str, Any], tmp_path: Path) -> None:
    model = moved(models.build(**built))
    if isinstance(model.space, LatentSpace):
        model.space.fit(torch.randint(256, (50, *built["image_shape"]), dtype=torch.uint8))
    artifacts.write_model(tmp_path, weights.to_arrays(model), {"network": built})
    again, description = models.load(tmp_path)
    assert description == {"network": built}
    assert torch.equal(again.draw(0, range(3), Sampling(calls=4)), model.draw(0, range(3), Sampling(calls=4)))


@pytest.mark.parametrize("channels", [1, 3])
def test_latents_are_standardised_and_come_back(channels: int) -> None:
    space = models.build(**LATENTS | {"image_shape": [channels, 12, 10]}).space
    images = torch.randint(256, (300, channels, 12, 10), dtype=torch.uint8)
    assert isinstance(space, LatentSpace)
    before = space.decode(space.encode(inference.to_unit(images)))
    space.fit(images)
    data = space.encode(inference.to_unit(images))
    torch.testing.assert_close(data.mean(dim=0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(data.std(dim=0), torch.full((5,), 0.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(space.decode(data), before)
    assert not any(parameter.requires_grad for parameter in space.parameters())


@BOTH_IN_GREY_AND_COLOUR
def test_known_pixels_are_kept_when_an_image_is_filled_in(built: dict[str, Any]) -> None:
    model = moved(models.build(**built))
    shape = (4, *built["image_shape"])
    images, known = torch.randint(256, shape, dtype=torch.uint8), torch.rand(shape) < 0.5
    filled = model.inpaint(0, range(4), images, known, Sampling(calls=4), repeats=2)
    assert torch.equal(filled[known], images[known])
    assert not torch.equal(filled[~known], images[~known])
    if "coder" not in built:  # untrained latents say next to nothing about an image
        assert not torch.equal(filled, model.inpaint(1, range(4), images, known, Sampling(calls=4), repeats=2))


@BOTH
def test_classes_and_guidance_change_samples(built: dict[str, Any]) -> None:
    model = moved(models.build(**built, n_classes=3))
    nn.init.normal_(model.get_submodule("denoiser.network.condition.embed_label").weight, std=3.0)
    labels = torch.tensor([0, 1, 2])

    def data(chosen: Tensor | None, guidance: float = 1.0) -> Tensor:
        *_, last = model.steps(0, range(3), Sampling(calls=4), chosen, guidance)
        return last.y

    anyone = data(torch.full((3,), 3))
    torch.testing.assert_close(data(None), anyone)
    assert not torch.allclose(data(labels), anyone, atol=1e-4)
    assert not torch.allclose(data(labels, 3.0), data(labels), atol=1e-4)


@BOTH
def test_autoguidance_pushes_estimates_away_from_those_of_the_guide(built: dict[str, Any]) -> None:
    smaller = {"channels": 8} if "coder" not in built else {"width": 8, "n_blocks": 1}
    model = moved(models.build(**built, guide=smaller))
    noisy, level = torch.randn(4, *model.shape), torch.full((4,), 0.3)
    assert model.guide is not None
    with torch.no_grad():
        strong, weak = model.denoiser(noisy, level), model.guide(noisy, level)
        assert not torch.allclose(strong, weak, atol=1e-3)
        for scale in (1.0, 2.5):
            wanted = weak + scale * (strong - weak)
            torch.testing.assert_close(models.Estimator(model, scale)(noisy, level), wanted)
            if model.space.limits is not None:
                wanted = wanted.clamp(*model.space.limits)
            torch.testing.assert_close(model.denoise(autoguidance=scale)(noisy, level), wanted)
    drawn = {scale: model.draw(0, range(3), Sampling(calls=4, autoguidance=scale)).int() for scale in (1.0, 1.5, 4.0)}
    assert not torch.equal(drawn[1.0], drawn[4.0])
    alone = moved(models.build(**built))
    with pytest.raises(InputError, match="needs a guide"):
        alone.draw(0, range(3), Sampling(calls=4, autoguidance=1.5))


def test_autoguidance_of_two_gaussians_draws_what_the_equation_says() -> None:
    # The best denoiser of a normal variable of deviation s is s^2 / (s^2 + level^2) y. The differential equation
    # dy / dlevel = (y - D) / level is then solved by y ~ sqrt(s^2 + level^2), and by a product of powers for two.
    def best(s: float) -> Any:
        return lambda y, level: process.beside(s**2 / (s**2 + level.square()), y) * y

    strong, weak, scale, start = 0.5, 0.8, 1.7, 20.0
    path = [*np.geomspace(start, 1e-3, 400).tolist(), 0.0]
    y = start * torch.randn(5, 3, dtype=torch.float64)
    denoise = denoising.autoguided(best(strong), best(weak), scale)
    found = samplers.last(samplers.sample(denoise, path, y, "heun")).y
    ratios = [s / (s**2 + start**2) ** 0.5 for s in (strong, weak)]
    torch.testing.assert_close(found, y * ratios[0] ** scale * ratios[1] ** (1 - scale), rtol=1e-3, atol=0)


def test_a_sampler_of_diffusers_drives_our_network_to_our_samples() -> None:
    model = moved(models.build(**PIXELS | {"schedule": {"name": "linear", "n_steps": 1000}, "prediction": "eps"}))
    sampling = Sampling("ddim", calls=28, spacing="time")
    *_, ours = model.steps(0, range(2), sampling)
    peer = DDIMScheduler(1000, trained_betas=model.schedule.betas().numpy(), clip_sample=True)
    peer.num_inference_steps = 27
    x_t = process.noise([seeding.torch_generator(0, index) for index in range(2)], 1, 12, 10)
    for time in range(999, -1, -37):
        level = model.schedule.levels[[time, time]]
        network = model.denoiser.network
        with torch.no_grad():
            eps = network(x_t, level.log().float() / 4, None)
        x_t = peer.step(eps, time, x_t, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(ours.y, x_t, atol=1e-3, rtol=1e-3)


def test_sixteen_images_are_learnt_by_heart(images: np.ndarray) -> None:
    torch.manual_seed(0)
    few = torch.tensor(images[:16, :, ::2, ::2])
    model = models.build(**PIXELS | {"image_shape": [1, 14, 14], "network": {"channels": 8}})

    def loss(batch: training.Batch) -> dict[str, Tensor]:
        x0 = model.encode(batch.tensors[0])
        return {"loss": model.denoiser.loss(x0, model.schedule.trained_at(batch.uniform()), batch.normal(1, 14, 14))}

    many = few.repeat(64, 1, 1, 1)
    plan = training.Plan(30, 32, 3e-3, "cosine", ema_decay=0.99)
    for _ in training.fit(model.denoiser, loss, [many], [few], plan, seed=0):
        pass
    drawn = inference.to_unit(model.draw(0, range(8), Sampling(calls=20))).flatten(1)
    nearest, which = torch.cdist(drawn, inference.to_unit(few).flatten(1)).min(dim=1)
    apart = torch.cdist(*[inference.to_unit(few).flatten(1)] * 2)
    assert nearest.median() < 0.35 * apart[apart > 0].median()
    assert len(which.unique()) > 2


def test_the_command_draws_pictures_and_arrays(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    built = PIXELS | {"n_classes": 2, "guide": {"channels": 8}}
    model = moved(models.build(**built))
    described = {
        "network": built,
        "classes": ["shoe", "bag"],
        "sampling": asdict(Sampling(calls=4, autoguidance=3.0)),
        "guidance": 2.0,
    }
    artifacts.write_model(folder, weights.to_arrays(model), described)
    common = ["-n", "5", "--model", str(folder), "--device", "cpu"]
    sample.main([str(tmp_path / "out.npy"), *common])
    sample.main([str(tmp_path / "out.png"), *common])
    drawn = artifacts.read_array(tmp_path / "out.npy")
    np.testing.assert_array_equal(drawn, model.draw(0, range(5), Sampling(calls=4, autoguidance=3.0)).numpy())
    sample.main([str(tmp_path / "plain.npy"), *common, "--autoguidance", "1"])
    plain = artifacts.read_array(tmp_path / "plain.npy")
    np.testing.assert_array_equal(plain, model.draw(0, range(5), Sampling(calls=4)).numpy())
    assert not np.array_equal(plain, drawn)
    picture = np.asarray(Image.open(tmp_path / "out.png"))
    assert picture.shape == (2 * 12 + 2, 3 * 10 + 4)
    np.testing.assert_array_equal(picture[:12, 12:22], drawn[1, 0])
    sample.main([str(tmp_path / "bag.npy"), *common, "--class", "bag", "--sampler", "heun", "--calls", "5"])
    bags = artifacts.read_array(tmp_path / "bag.npy")
    expected = model.draw(0, range(5), Sampling("heun", calls=5), torch.ones(5, dtype=torch.long), 2.0)
    np.testing.assert_array_equal(bags, expected.numpy())
    more = ["--class", "1", "--guidance", "1", "--sampler", "ddim", "--eta", "0.5", "--spacing", "log", "--seed", "3"]
    sample.main([str(tmp_path / "more.npy"), *common, *more])
    how = Sampling("ddim", calls=4, spacing="log", eta=0.5)
    expected = model.draw(3, range(5), how, torch.ones(5, dtype=torch.long), 1.0)
    np.testing.assert_array_equal(artifacts.read_array(tmp_path / "more.npy"), expected.numpy())
    for wrong, said in (
        (["--class", "hat"], "no class 'hat'; choose a number from 0 to 1 or a name: shoe, bag"),
        (["--calls", "1"], "too few for the sampler dpm_solver"),
        (["--guidance", "3"], "needs a --class"),
        (["--eta", "1"], "eta is an option of the sampler ddim"),
        (["--model", str(tmp_path / "nothing")], "cannot read the weights"),
    ):
        with pytest.raises(SystemExit, match=said):
            sample.main([str(tmp_path / "no.npy"), *common, *wrong])
    assert not (tmp_path / "no.npy").exists()
    with pytest.raises(SystemExit):
        sample.main([str(tmp_path / "out.gif")])


def test_a_picture_of_colour_has_every_image_in_its_place(rng: np.random.Generator, tmp_path: Path) -> None:
    images = rng.integers(256, size=(5, 3, 4, 6)).astype(np.uint8)
    sheet = sample.grid(images)
    assert sheet.shape == (2 * 4 + 2, 3 * 6 + 4, 3)
    for image, (row, column) in zip(images, np.ndindex(2, 3), strict=False):
        place = sheet[6 * row :, 8 * column :][:4, :6]
        np.testing.assert_array_equal(place, image.transpose(1, 2, 0))
        place[:] = 255
    assert (sheet == 255).all()
    sample.write(tmp_path / "out.png", images)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), sample.grid(images))


@BOTH_IN_GREY_AND_COLOUR
@pytest.mark.parametrize("autoguidance", [1.0, 1.5])
def test_the_denoiser_runs_without_torch(built: dict[str, Any], autoguidance: float) -> None:
    model = moved(models.build(**built, guide=built["network"]))
    level = torch.logspace(-2.5, 1.9, 7)
    noisy = torch.rand(7, *model.shape) + level.reshape(-1, *[1] * len(model.shape)) * torch.randn(7, *model.shape)
    module = models.Estimator(model, autoguidance)
    file = export.to_onnx(module, {"noisy": noisy, "level": level}, "clean")
    export.check("it", file, module, noisy, level)
    (one,) = export.session(file).run(None, {"noisy": noisy[:1].numpy(), "level": level[:1].numpy()})
    np.testing.assert_allclose(one, module(noisy[:1], level[:1]).detach().numpy(), atol=1e-5)


def test_the_denoiser_is_not_written_without_the_guide_that_it_is_to_have() -> None:
    with pytest.raises(InputError, match="autoguidance needs a guide"):
        models.Estimator(models.build(**LATENTS), autoguidance=1.5)


def test_a_denoiser_that_was_told_classes_runs_without_torch_as_well() -> None:
    model = moved(models.build(**LATENTS, n_classes=3))
    inputs = {"noisy": torch.randn(4, 5), "level": torch.rand(4) + 0.1, "labels": torch.tensor([0, 2, 1, 3])}
    module = models.Estimator(model)
    file = export.to_onnx(module, inputs, "clean")
    export.check("it", file, module, *inputs.values())
    moved_labels = export.largest_difference(file, lambda *given: module(*given[:2]), list(inputs.values()))
    assert moved_labels > 1e-3, "labels are not looked at"


@pytest.mark.parametrize("prediction", get_args(Prediction))
@pytest.mark.parametrize("schedule", get_args(schedules.Name))
def test_any_prediction_goes_with_any_schedule_and_sampler(prediction: Prediction, schedule: schedules.Name) -> None:
    model = moved(models.build(**LATENTS | {"prediction": prediction, "schedule": {"name": schedule}}, n_classes=3))
    x0, labels = torch.randn(8, 5), torch.arange(8) % 4
    level = model.schedule.trained_at(torch.rand(8))
    loss = model.denoiser.loss(x0, level, torch.randn(8, 5), "min_snr", labels)
    loss.backward()
    assert loss.isfinite()
    for sampler in samplers.names():
        assert model.draw(0, range(2), Sampling(sampler, calls=6), torch.tensor([0, 2]), 2.0).shape == (2, 1, 12, 10)

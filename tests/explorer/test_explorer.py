"""The latent explorer in a real browser: every control does what it says, and its networks compute what torch's do."""

import gzip
import io
import json
import math
import os
import re
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser

from latentbench.core import artifacts
from latentbench.diffusion import models as diffusion_models
from latentbench.diffusion.samplers import base as samplers
from latentbench.evaluation.latents import spherical
from latentbench.networks import export
from stages import fitted
from tests.explorer.session import Session
from tests.pipeline.workspace import Workspace
from tools.lib import browser

if browser.find() is None and not os.environ.get("CI"):  # there, a missing browser is a failure
    pytest.skip(f"the explorer was not tested: {browser.MISSING}", allow_module_level=True)

PIXELS = 1e-4  # how far pixels computed in the browser may be from torch's


@pytest.fixture(scope="module")
def folder(finished: Workspace) -> Path:
    return finished.folder / "data" / "explorer"


@pytest.fixture(scope="module")
def description(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "data" / "explorer.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def labels(folder: Path) -> dict[str, np.ndarray]:
    return {split: np.fromfile(folder / "data" / "labels" / f"{split}.bin", np.uint8) for split in ("train", "test")}


def model_of(description: dict[str, Any], row: str) -> dict[str, Any]:
    return dict(next(model for model in description["models"] if model["row"] == row))


def points_of(folder: Path, description: dict[str, Any], row: str, name: str) -> np.ndarray:
    """Return where a map has the images, (n_train + n_test, 2)."""
    maps = model_of(description, row)["maps"]
    points = np.fromfile(folder / "data" / "models" / row / "maps.bin", "<f4").reshape(len(maps), -1, 2)
    return np.asarray(points[[entry["name"] for entry in maps].index(name)])


# --- The networks


def test_every_decoder_and_encoder_computes_what_torch_does(
    session: Session, description: dict[str, Any], finished: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(finished.folder)
    test_image = artifacts.read_array(finished.folder / "data" / "processed" / "test_images.npy")[0]
    Image.fromarray(np.kron(test_image[0], np.ones((3, 3), np.uint8))).save(tmp_path / "image.png")
    rows = [model["row"] for model in description["models"]]
    session.open(f"a={rows[0]}")
    for row in rows:
        session.page.get_by_label("Model", exact=True).select_option(row)
        session.until(lambda row=row: session.pane()["model"] == row)
        session.page.get_by_role("button", name="Random draw").click()
        decoded = session.settle()["decoded"]
        network = fitted.load(row).network
        with torch.no_grad():
            expected = export.Decoder(network)(torch.tensor([decoded["latent"]]))[0]
        assert np.abs(np.ravel(decoded["pixels"]) - expected.numpy().ravel()).max() < PIXELS, row
        session.page.get_by_label("Image file").set_input_files([])
        session.page.get_by_label("Image file").set_input_files(tmp_path / "image.png")
        session.until(lambda: session.page.evaluate("latentbench.ownImage"))
        given = torch.tensor(session.page.evaluate("latentbench.ownImage")).reshape(1, *test_image.shape)
        with torch.no_grad():
            latent = export.Encoder(network)(given)[0].numpy()
        session.until(
            lambda latent=latent: np.allclose(session.pane()["latent"], latent, atol=PIXELS, rtol=PIXELS),
            f"the latent of the image by {row}",
        )


def test_diffusion_takes_the_steps_that_torch_takes(
    session: Session, description: dict[str, Any], finished: Workspace
) -> None:
    session.open()
    panel = session.page.locator("#diffusion")
    classes = description["dataset"]["classes"]
    wanted = [
        (entry, label)
        for entry in description["diffusion"]
        for label in ([None, 2] if entry["classes_known"] else [None])
    ]
    assert any(label is not None for _, label in wanted)
    for entry, label in wanted:
        row = entry["row"]
        panel.get_by_label("Diffusion model").select_option(row)
        if label is not None:
            panel.get_by_label("Class").select_option(classes[label])
        panel.get_by_label("Seed").fill("7")
        panel.get_by_role("button", name="Sample", exact=True).click()
        session.until(lambda row=row: session.page.evaluate("row => latentbench.diffusion?.row === row", row))
        session.until(lambda: session.page.evaluate("latentbench.diffusion.done"))
        run = session.page.evaluate(
            """(() => { const { start, steps, label } = latentbench.diffusion;
            return { label, start: [...start], steps: steps.map(({ level, y, x0, pixels }) =>
            ({ level, y: [...y], x0: [...x0], pixels: [...pixels] })) }; })()"""
        )
        assert run["label"] == (-1 if label is None else label)
        model, trained = diffusion_models.load(finished.folder / "data" / "models" / row)
        start = torch.tensor(run["start"]).reshape(1, *entry["shape"])
        assert 0.5 < start.std() / math.sqrt(1 + entry["levels"][0] ** 2) < 1.5
        scale = 1.0 if entry["classes_known"] else trained["sampling"]["autoguidance"]
        labels = None if label is None else torch.tensor([label])
        denoise = model.denoise(labels, entry["guidance"] if label is not None else 1.0, scale)
        steps = list(samplers.sample(denoise, entry["levels"], start, "dpm_solver"))
        assert len(run["steps"]) == len(steps) == panel.locator(".strip li").count()
        for ours, theirs in zip(run["steps"], steps, strict=True):
            assert ours["level"] == pytest.approx(theirs.level)
            assert np.allclose(ours["y"], theirs.y.numpy().ravel(), atol=PIXELS, rtol=PIXELS)
            with torch.no_grad():
                pixels = model.space.decode(theirs.x0).clamp(0, 1).numpy().ravel()
            assert np.abs(np.array(ours["pixels"]) - pixels).max() < PIXELS


def test_a_sample_depends_on_its_seed_alone(session: Session) -> None:
    session.open()
    panel = session.page.locator("#diffusion")

    def sample(name: str) -> list[float]:
        panel.get_by_role("button", name=name, exact=True).click()
        session.until(lambda: session.page.evaluate("latentbench.diffusion.done"))
        return list(session.page.evaluate("[...latentbench.diffusion.steps.at(-1).pixels]"))

    panel.get_by_label("Diffusion model").select_option(index=1)
    panel.get_by_label("Seed").fill("3")
    first = sample("Sample")
    assert sample("Sample again") != first
    assert panel.get_by_label("Seed").input_value() != "3"
    panel.get_by_label("Seed").fill("3")
    assert sample("Sample") == first


def test_a_sample_of_a_class_is_told_so(session: Session, description: dict[str, Any]) -> None:
    known = [entry["row"] for entry in description["diffusion"] if entry["classes_known"]]
    session.open()
    panel = session.page.locator("#diffusion")
    for entry in description["diffusion"]:
        panel.get_by_label("Diffusion model").select_option(entry["row"])
        assert panel.get_by_label("Class").count() == int(entry["classes_known"])
    if known:
        panel.get_by_label("Diffusion model").select_option(known[0])
        panel.get_by_label("Class").select_option(description["dataset"]["classes"][2])
        panel.get_by_role("button", name="Sample", exact=True).click()
        session.until(lambda: session.page.evaluate("latentbench.diffusion?.done === true"))
        assert session.page.evaluate("latentbench.diffusion.label") == 2


def test_a_network_that_failed_once_runs_again(session: Session) -> None:
    session.page.add_init_script(
        """window.failing = false;
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message, ...more) {
            if (window.failing && message.feeds) message.feeds.latents.dims = [1, 1];
            return post.call(this, message, ...more);
        };"""
    )
    session.open()
    session.page.evaluate("() => { failing = true; }")
    session.page.get_by_role("button", name="Random draw").click()
    session.until(lambda: "decoder.onnx does not run" in session.notices())
    session.page.evaluate("() => { failing = false; }")
    session.page.get_by_role("button", name="Random draw").click()
    session.settle()


def test_a_sample_that_fails_is_said_to_have_failed(chromium: Browser, address: str) -> None:
    session = Session(chromium, address)
    session.page.route("**/denoiser.onnx", lambda route: route.fulfill(status=404))
    session.open()
    session.page.get_by_role("button", name="Sample", exact=True).click()
    session.until(lambda: "denoiser.onnx" in session.notices())
    status = session.page.locator("#diffusion > .note").last
    session.until(lambda: status.inner_text() == "Failed.")
    session.close()


# --- The map


def test_all_images_are_on_the_map(session: Session, description: dict[str, Any]) -> None:
    session.open()
    n_train, n_test = (description["dataset"][name] for name in ("n_train", "n_test"))
    assert session.shown() == n_train
    for split, n in (("test", n_test), ("both", n_train + n_test), ("train", n_train)):
        session.page.get_by_label("Images", exact=True).select_option(split)
        assert session.shown() == n
    session.announced(f"{n_train} images on the map")
    assert session.notices() == ""
    assert not session.page.locator("#progress").is_visible()


def test_a_click_decodes_the_point_of_each_map(session: Session, folder: Path, description: dict[str, Any]) -> None:
    model = description["models"][0]
    session.open(f"a={model['row']}")
    for entry in model["maps"]:
        session.page.get_by_label("Map", exact=True).select_option(entry["name"])
        session.until(lambda name=entry["name"]: session.pane()["map"] == name)
        session.page.get_by_role("button", name="Random draw").click()
        before = np.array(session.pane()["latent"])
        session.page.mouse.click(*session.place(0.6, 0.4))
        shown = session.settle()
        latent, point = np.array(shown["latent"]), np.array(shown["point"])
        if entry["name"] == "latents":
            expected = before.copy()
            expected[entry["dimensions"]] = point
        elif entry["name"] == "pca":
            expected = model["mean"] + point @ np.array(entry["components"])
        else:
            anchors = np.fromfile(folder / "data" / "models" / model["row"] / "anchors.bin", "<f4")
            places = points_of(folder, description, model["row"], "neighbors")[model["anchor_index"]]
            distance = np.hypot(*(places - point).T)
            nearest = np.argsort(distance)[:8]
            weights = 1 / distance[nearest]
            expected = weights / weights.sum() @ anchors.reshape(-1, model["latent_dim"])[nearest]
        assert np.allclose(latent, expected, atol=1e-4), entry["name"]
        assert not np.allclose(latent, before)


def test_a_drag_decodes_where_it_ends(session: Session) -> None:
    session.open()
    session.page.mouse.move(*session.place(0.3, 0.3))
    session.page.mouse.down()
    first = session.pane()["point"]
    session.page.mouse.move(*session.place(0.7, 0.5), steps=8)
    session.page.mouse.up()
    moved = session.settle()
    assert moved["point"][0] > first[0]
    assert moved["point"][1] < first[1]
    session.page.mouse.move(*session.place(0.5, 0.5))
    assert session.pane()["point"] == moved["point"]


def test_one_finger_decodes_and_two_move_and_zoom_the_map(chromium: Browser, address: str) -> None:
    session = Session(chromium, address, has_touch=True, viewport={"width": 390, "height": 844})
    try:
        session.open()
        session.map().scroll_into_view_if_needed()
        devtools = session.page.context.new_cdp_session(session.page)

        def touch(kind: str, *places: tuple[float, float]) -> None:
            points = [session.place(*place) for place in places]
            fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

        touch("touchStart", (0.3, 0.3))
        session.settle()
        first = session.pane()
        touch("touchMove", (0.7, 0.6))
        touch("touchEnd")
        moved = session.settle()
        assert moved["point"][0] > first["point"][0]
        assert moved["point"][1] < first["point"][1]
        assert moved["view"] is None

        touch("touchStart", (0.45, 0.5))
        touch("touchStart", (0.45, 0.5), (0.55, 0.5))
        before = session.settle()["point"]
        for spread in (0.1, 0.2, 0.3):
            touch("touchMove", (0.5 - spread, 0.5), (0.5 + spread, 0.5))
        touch("touchEnd")
        zoomed = session.settle()
        assert zoomed["view"]["zoom"] == pytest.approx(6.0, rel=0.2)
        assert zoomed["point"] == before

        touch("touchStart", (0.2, 0.2))
        touch("touchEnd")
        assert session.settle()["point"] != before
    finally:
        session.close()
    assert not session.said


def test_hovering_shows_the_nearest_image(
    session: Session, folder: Path, description: dict[str, Any], labels: dict[str, np.ndarray]
) -> None:
    row = description["models"][0]["row"]
    session.open(f"a={row}&a.map=pca")
    n_train = description["dataset"]["n_train"]
    points = points_of(folder, description, row, "pca")
    session.page.mouse.click(*session.place(0.5, 0.5))  # tells which point that is
    point = np.array(session.pane()["point"])
    expected = int(np.hypot(*(points[:n_train] - point).T).argmin())
    assert f"train image {expected}" in session.page.locator(".decoded").inner_text()
    session.page.mouse.move(*session.place(0.5, 0.5), steps=2)
    session.page.mouse.move(*session.place(0.5, 0.501))
    tip = session.page.locator(".tip")
    tip.wait_for()
    shown = int(tip.get_attribute("data-index") or -1)
    nearby = np.argsort(np.hypot(*(points[:n_train] - point).T))[:5]
    assert shown in nearby
    assert tip.inner_text() == f"{description['dataset']['classes'][labels['train'][shown]]}, train image {shown}"
    session.page.mouse.move(*session.place(0.5, -0.05))
    assert not tip.is_visible()


def test_zoom_turns_dots_into_pictures(session: Session, folder: Path, description: dict[str, Any]) -> None:
    row = description["models"][0]["row"]
    x, y = points_of(folder, description, row, "pca")[0]
    session.open(f"a={row}&a.map=pca&a.view={x},{y},2")
    session.page.mouse.move(*session.place(0.5, 0.5))
    for _ in range(8):
        session.page.mouse.wheel(0, -300)
    session.until(lambda: session.pane()["view"]["zoom"] > 20)
    session.until(lambda: int(session.map().get_attribute("data-pictures") or 0) > 0)
    zoomed = session.pane()["view"]["zoom"]
    session.page.get_by_label("Zoom out").click()
    assert session.pane()["view"]["zoom"] == pytest.approx(zoomed / 1.5)
    session.page.get_by_label("Zoom in").click()
    assert session.pane()["view"]["zoom"] == pytest.approx(zoomed)
    session.page.get_by_label("Show all images").click()
    assert session.pane()["view"] is None
    session.until(lambda: session.map().get_attribute("data-zoom") == "1.00")


@pytest.mark.parametrize("way", ["control", "shift"])
def test_a_drag_may_move_the_map_instead(session: Session, way: str) -> None:
    session.open()
    before = session.pane()
    if way == "control":
        session.page.get_by_label("Dragging").select_option("pan")
    else:
        session.page.keyboard.down("Shift")
    session.page.mouse.move(*session.place(0.5, 0.5))
    session.page.mouse.down()
    session.page.mouse.move(*session.place(0.7, 0.4), steps=4)
    session.page.mouse.up()
    session.page.keyboard.up("Shift")
    after = session.pane()
    assert before["view"] is None
    assert after["view"] is not None
    assert after["view"]["zoom"] == pytest.approx(1.0)
    assert after["latent"] == before["latent"]


def test_a_map_decodes_again_after_a_drag_that_ended_outside(session: Session) -> None:
    session.open()
    session.page.keyboard.down("Shift")
    session.page.mouse.move(*session.place(0.5, 0.5))
    session.page.mouse.down()
    session.page.mouse.move(*session.place(0.5, -0.1), steps=4)
    session.page.mouse.up()
    session.page.keyboard.up("Shift")
    before = session.pane()
    assert before["view"] is not None
    session.page.mouse.click(*session.place(0.4, 0.6))
    assert session.pane()["point"] != before["point"]


def test_the_map_draws_images_where_they_are_and_moves_with_the_hand(
    session: Session, folder: Path, description: dict[str, Any], labels: dict[str, np.ndarray]
) -> None:
    row = description["models"][0]["row"]
    points = points_of(folder, description, row, "pca")[: description["dataset"]["n_train"]]
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    index = int(distances.min(axis=1).argmax())  # the image that is farthest from all others
    x, y = points[index]
    session.open(f"a={row}&a.map=pca&a.view={x},{y},1.4")  # dots turn into pictures from 1.5 on

    def expect(across: float, down: float) -> None:
        """Fail unless a dot of the image's class, and none beside it, is so many pixels from the middle of the map."""
        session.page.mouse.move(*session.place(0.5, -0.05))  # a pointer on the map marks what is near it
        session.page.wait_for_timeout(100)
        swatch = session.page.locator(f"#legend [data-class='{labels['train'][index]}'] .swatch").bounding_box()
        assert swatch is not None
        screen = np.array(Image.open(io.BytesIO(session.page.screenshot())).convert("RGB"), dtype=int)
        wanted = screen[int(swatch["y"] + swatch["height"] / 2), int(swatch["x"] + swatch["width"] / 2)]
        middle_x, middle_y = session.place(0.5, 0.5)
        column, line = int(middle_x + across), int(middle_y + down)
        here = screen[line - 2 : line + 3, column - 2 : column + 3]  # a dot is on a whole pixel, its place need not be
        assert np.abs(here - wanted).max(axis=2).min() <= 2
        for beside in (screen[line, column - 9], screen[line, column + 9], screen[line - 9, column]):
            assert beside.min() >= 253  # the ground of the light theme

    expect(0, 0)
    session.map().locator("canvas").first.focus()
    session.page.keyboard.press("Shift+ArrowLeft")
    moved = session.pane()["view"]
    assert moved["x"] < x
    assert moved["y"] == pytest.approx(y, abs=1e-4)
    expect(48, 0)
    session.page.keyboard.press("Shift+ArrowUp")
    assert session.pane()["view"]["y"] > y
    expect(48, 48)
    before = session.pane()["view"]
    session.page.keyboard.down("Shift")
    session.page.mouse.move(*session.place(0.3, 0.3))
    session.page.mouse.down()
    start_x, start_y = session.place(0.3, 0.3)
    session.page.mouse.move(start_x + 100, start_y - 60, steps=4)
    session.page.mouse.up()
    session.page.keyboard.up("Shift")
    after = session.pane()["view"]
    assert after["x"] < before["x"]
    assert after["y"] < before["y"]
    expect(148, -12)


def test_classes_can_be_hidden(session: Session, labels: dict[str, np.ndarray]) -> None:
    session.open()
    toggle = session.page.locator("#legend [data-class='3']")
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"
    assert session.shown() == (labels["train"] != 3).sum()
    session.page.get_by_label("Hide all classes").click()
    assert session.shown() == 0
    assert "No image" in session.page.locator(".decoded").inner_text()
    toggle.click()
    assert session.shown() == (labels["train"] == 3).sum()
    session.page.get_by_label("Show all classes").click()
    assert session.shown() == len(labels["train"])


def test_keys_move_the_point_and_the_map(session: Session) -> None:
    session.open()
    session.page.keyboard.press("Tab")
    assert session.page.evaluate("document.activeElement.textContent") == "Skip to the map"
    session.page.keyboard.press("Enter")
    before = session.pane()
    session.page.keyboard.press("ArrowRight")
    session.page.keyboard.press("ArrowUp")
    moved = session.settle()
    assert moved["point"][0] > before["point"][0]
    assert moved["point"][1] > before["point"][1]
    session.announced("Nearest:")
    session.page.keyboard.press("Shift+ArrowLeft")
    session.page.keyboard.press("+")
    assert session.pane()["point"] == moved["point"]
    assert session.pane()["view"]["zoom"] == pytest.approx(1.5)
    session.page.keyboard.press("-")
    session.page.keyboard.press("0")
    assert session.pane()["view"] is None
    session.page.keyboard.press("a")
    session.page.keyboard.press("n")
    session.until(lambda: session.pane()["latent"] != moved["latent"])
    session.page.keyboard.press("b")
    shown = session.pane()
    assert shown["from"] is not None
    assert shown["to"] is not None


# --- Latents


def test_sliders_are_in_the_order_of_importance_and_set_latents(session: Session, description: dict[str, Any]) -> None:
    model = model_of(description, "vae_dense")
    session.open("a=vae_dense")
    sliders = session.page.locator(".sliders input")
    order = [int(slider.get_attribute("data-latent") or -1) for slider in sliders.all()]
    assert order == model["order"]
    before = session.pane()
    session.page.get_by_label(re.compile(f"^z{order[0]},")).focus()
    for _ in range(3):
        session.page.keyboard.press("PageUp")
    after = session.settle()
    changed = np.flatnonzero(np.array(before["latent"]) != np.array(after["latent"]))
    assert changed.tolist() == [order[0]]
    assert after["decoded"]["pixels"] != before["decoded"]["pixels"]
    session.page.get_by_role("button", name="Reset").click()
    assert np.allclose(session.settle()["latent"], model["mean"], atol=1e-6)


def test_random_draws_are_from_the_prior_or_the_fitted_normal(session: Session, description: dict[str, Any]) -> None:
    session.open()
    for row in ("vae_dense", "ae_dense"):
        model = model_of(description, row)
        session.page.get_by_label("Model", exact=True).select_option(row)
        session.until(lambda row=row: session.pane()["model"] == row)
        draws = []
        for _ in range(20):
            session.page.get_by_role("button", name="Random draw").click()
            draws.append(session.pane()["latent"])
        latents = np.array(draws)
        if model["family"] == "ae":
            latents = (latents - model["mean"]) / model["deviation"]
        assert abs(latents.mean()) < 4 / math.sqrt(latents.size)
        assert abs(latents.std() - 1) < 4 / math.sqrt(2 * latents.size)


@pytest.mark.parametrize("row", ["vae_dense", "ae_dense"])
def test_interpolation_goes_from_a_to_b(session: Session, description: dict[str, Any], row: str) -> None:
    session.open(f"a={row}&a.map=pca")
    play = session.page.get_by_role("button", name="Play")
    assert play.is_disabled()
    session.page.mouse.click(*session.place(0.3, 0.4))
    session.page.get_by_role("button", name="Pick A here").click()
    session.page.mouse.click(*session.place(0.7, 0.6))
    session.page.get_by_role("button", name="Pick B here").click()
    shown = session.pane()
    a, b = np.array(shown["from"]), np.array(shown["to"])
    scrubber = session.page.get_by_label("Position")
    scrubber.fill("50")
    assert np.allclose(session.settle()["latent"], (a + b) / 2, atol=1e-5)
    session.page.get_by_label("Path").select_option("spherical")
    # As the pipeline goes: around the prior's mean, or the latents' own where there is no prior.
    centre = np.zeros_like(a) if row.startswith("vae") else np.array(model_of(description, row)["mean"])
    arc = spherical(*(torch.tensor(end)[None] for end in (a, b)), torch.tensor([0.5]), torch.tensor(centre))
    assert np.allclose(session.settle()["latent"], arc[0, 0], atol=1e-4)
    scrubber.fill("100")
    assert np.allclose(session.settle()["latent"], b, atol=1e-5)
    scrubber.fill("0")
    play.click()
    session.until(lambda: float(scrubber.input_value()) > 5)
    session.page.get_by_role("button", name="Pause").click()
    stopped = scrubber.input_value()
    session.page.wait_for_timeout(100)
    assert scrubber.input_value() == stopped
    assert 0 < float(stopped) <= 100


@pytest.mark.parametrize(
    "control", ["Reset to the mean", "Random draw", "Go to the latent of the nearest image", "z0", "Image file"]
)
def test_a_latent_set_by_hand_stops_what_plays(
    session: Session, description: dict[str, Any], tmp_path: Path, control: str
) -> None:
    session.open("a=vae_dense&a.map=pca")
    page = session.page
    page.get_by_role("button", name="Pick A here").click()
    page.get_by_role("button", name="Random draw").click()
    page.get_by_role("button", name="Pick B here").click()
    page.get_by_role("button", name="Play").click()
    scrubber = page.get_by_label("Position")
    session.until(lambda: float(scrubber.input_value()) > 5)
    if control == "z0":
        page.get_by_label(re.compile("^z0,")).press("PageUp")
    elif control == "Image file":
        Image.linear_gradient("L").save(tmp_path / "image.png")
        page.get_by_label(control).set_input_files(tmp_path / "image.png")
    else:
        page.get_by_role("button", name=control).click()
    session.until(lambda: page.locator(".play").inner_text() == "Play")
    if control == "Reset to the mean":
        assert np.allclose(session.settle()["latent"], model_of(description, "vae_dense")["mean"], atol=1e-6)
    shown = session.pane()["latent"]
    page.wait_for_timeout(100)
    assert session.pane()["latent"] == shown


# --- An image of one's own


def test_a_drawing_is_encoded(session: Session) -> None:
    session.open()
    before = session.pane()
    session.draw(0, 100, steps=5)
    session.until(lambda: session.pane()["latent"] != before["latent"])
    session.page.locator("#own figure[data-row]").wait_for()
    drawn = np.array(session.page.evaluate("latentbench.ownImage"))
    assert 0.02 < drawn.mean() < 0.3
    session.page.get_by_label("Sheet to draw on").focus()
    session.page.keyboard.press("Space")
    session.until(lambda: np.sum(session.page.evaluate("latentbench.ownImage")) > drawn.sum())
    session.page.get_by_role("button", name="Invert", exact=True).click()
    assert np.mean(session.page.evaluate("latentbench.ownImage")) > 0.6
    session.page.get_by_role("button", name="Clear").click()
    assert session.page.evaluate("latentbench.ownImage") is None


def test_a_ring_shows_where_the_keys_have_the_brush(session: Session, description: dict[str, Any]) -> None:
    height, width = (description["dataset"][side] for side in ("height", "width"))
    session.open()
    ring = session.page.locator(".brush")
    assert not ring.is_visible()
    session.page.get_by_role("button", name="Clear").focus()
    session.page.keyboard.press("Tab")
    assert ring.is_visible()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp"):
        session.page.keyboard.press(key)
    assert session.page.evaluate("latentbench.ownImage") is None
    box, sheet = ring.bounding_box(), session.page.get_by_label("Sheet to draw on").bounding_box()
    assert box is not None
    assert sheet is not None
    across = (box["x"] + box["width"] / 2 - sheet["x"]) / sheet["width"]
    down = (box["y"] + box["height"] / 2 - sheet["y"]) / sheet["height"]
    session.page.keyboard.press("Space")
    session.until(lambda: session.page.evaluate("latentbench.ownImage"))
    drawn = np.reshape(session.page.evaluate("latentbench.ownImage"), (height, width))
    lines, columns = np.mgrid[:height, :width] + 0.5  # the middles of pixels
    assert across * width == pytest.approx(np.average(columns, weights=drawn), abs=0.3)
    assert down * height == pytest.approx(np.average(lines, weights=drawn), abs=0.3)
    assert across > 0.55
    assert down < 0.5
    session.page.get_by_label("Sheet to draw on").click()
    assert not ring.is_visible()
    session.page.keyboard.press("ArrowUp")
    assert ring.is_visible()
    session.page.keyboard.press("Tab")
    assert not ring.is_visible()


def test_a_drawing_is_encoded_as_it_is_at_last(session: Session) -> None:
    session.page.add_init_script(
        """window.encoded = 0;
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message, ...more) {
            window.encoded += Number(Boolean(message.feeds?.images));
            return post.call(this, message, ...more);
        };"""
    )
    session.open()
    before = session.pane()
    held = session.hold("**/encoder.onnx")
    session.draw(100, 100, steps=20)
    session.until(lambda: session.page.wait_for_timeout(20) or held)
    session.page.get_by_role("button", name="Clear").click()
    with session.page.expect_response("**/encoder.onnx"):
        held[0].continue_()
    session.until(lambda: session.page.evaluate("encoded"))
    session.page.wait_for_timeout(500)
    assert session.pane() == before  # an image that is there no more moves nothing
    assert session.page.locator("#own figure[data-row]").count() == 0
    assert session.page.evaluate("encoded") <= 2  # of more than 20 drawings, the first and the last
    session.draw(100, 100, steps=20)
    session.until(lambda: session.pane()["latent"] != before["latent"])


def test_a_second_model_takes_the_image_once_it_is_there(session: Session, description: dict[str, Any]) -> None:
    first, second = (model["row"] for model in description["models"][:2])
    held = session.hold(f"**/data/models/{second}/maps.bin")
    session.open(f"a={first}")
    compare = session.page.get_by_role("button", name="Side by side")
    compare.click()
    session.until(lambda: session.page.wait_for_timeout(20) or held)
    session.page.get_by_label("Sheet to draw on").press("Space")
    session.page.locator(f"#own figure[data-row={first}]").wait_for()
    held[0].continue_()
    session.page.locator(f"#own figure[data-row={second}]").wait_for()
    latents = [session.settle(index)["latent"] for index in range(2)]
    session.announced("Your image is encoded")
    session.page.locator("#legend [data-class='1']").click()
    session.announced("hidden")
    compare.click()
    session.page.locator(f"#own figure[data-row={second}]").wait_for(state="detached")
    session.page.wait_for_timeout(500)
    assert "hidden" in (session.page.locator("#announcements").text_content() or "")  # no slider was set
    assert session.pane()["latent"] == latents[0] != latents[1]
    assert session.notices() == ""


def test_what_is_pressed_before_the_first_model_is_there_counts(
    session: Session, address: str, description: dict[str, Any]
) -> None:
    first, second = (model["row"] for model in description["models"][:2])
    page = session.page
    held = session.hold(f"**/data/models/{first}/maps.bin")
    page.goto(f"{address}#a={first}")
    session.until(lambda: page.wait_for_timeout(20) or held)
    page.get_by_label("Sheet to draw on").press("Space")
    page.get_by_role("button", name="Side by side").click()
    assert page.locator(".pane").evaluate("pane => pane.inert")  # its buttons have no model to change
    assert session.notices() == ""
    held[0].continue_()
    for row in (first, second):
        page.locator(f"#own figure[data-row={row}]").wait_for()
    session.until(lambda: page.locator(".pane[inert]").count() == 0)
    assert [session.settle(index)["model"] for index in range(2)] == [first, second]
    assert session.notices() == ""


def png(width: int, height: int) -> bytes:
    """Return a black picture."""
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, "png")
    return content.getvalue()


def png_that_promises(width: int, height: int) -> bytes:
    """Return a picture of one pixel whose header tells of more."""
    content = png(1, 1)
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def test_files_that_are_no_images_are_refused(session: Session, tmp_path: Path) -> None:
    session.open()
    chooser = session.page.get_by_label("Image file")
    chooser.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"})
    session.until(lambda: "notes.txt is not an image" in session.notices())
    session.page.get_by_role("button", name="Close").click()
    with (tmp_path / "huge.png").open("wb") as huge:
        huge.truncate(11 * 2**20)
    chooser.set_input_files(tmp_path / "huge.png")
    session.until(lambda: "huge.png is too large" in session.notices())
    script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.hacked = 1</script></svg>"
    for name, content, said in (
        ("many.png", png(10_000, 4_001), "many.png is too large: 10000"),
        ("bomb.png", png_that_promises(2**31 - 1, 2**31 - 1), "bomb.png is not an image"),
        ("script.svg", script, "script.svg is not an image"),
        ("half.png", png(28, 28)[:40], "half.png is not an image"),
    ):
        session.page.get_by_role("button", name="Close").click()
        chooser.set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        session.until(lambda said=said: said in session.notices(), said)
    assert session.page.evaluate("latentbench.ownImage") is None
    assert session.page.evaluate("window.hacked") is None


def test_a_dropped_image_is_taken(session: Session) -> None:
    session.open()
    before = session.pane()["latent"]
    session.page.locator(".drop").evaluate(
        """async (target) => {
        const canvas = new OffscreenCanvas(60, 40);
        const context = canvas.getContext("2d");
        context.fillStyle = "white";
        context.fillRect(10, 10, 30, 20);
        const data = new DataTransfer();
        data.items.add(new File([await canvas.convertToBlob()], "box.png", { type: "image/png" }));
        target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    session.until(lambda: session.pane()["latent"] != before)
    assert np.max(session.page.evaluate("latentbench.ownImage")) > 0.9


def test_a_dropped_file_that_is_no_image_is_refused(session: Session) -> None:
    session.open()
    session.page.locator(".drop").evaluate(
        """(target) => {
        const data = new DataTransfer();
        data.items.add(new File(["<svg onload='window.hacked = 1'>"], "trap.png", { type: "image/png" }));
        target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    session.until(lambda: "trap.png is not an image" in session.notices())
    assert session.page.evaluate("[latentbench.ownImage, window.hacked ?? null]") == [None, None]


def picture_file(picture: Image.Image, name: str = "mine.png") -> dict[str, Any]:
    content = io.BytesIO()
    picture.save(content, "png")
    return {"name": name, "mimeType": "image/png", "buffer": content.getvalue()}


def shape(size: tuple[int, int], ground: tuple[int, ...], ink: tuple[int, ...]) -> Image.Image:
    """Return a picture of a box, half its width and height, in the middle."""
    width, height = size
    picture = Image.new("RGBA" if len(ground) == 4 else "RGB", size, ground)
    picture.paste(ink, (width // 4, height // 4, width - width // 4, height - height // 4))
    return picture


BLACK, WHITE, CLEAR = (0, 0, 0), (255, 255, 255), (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("picture", "said", "encoded"),
    [
        pytest.param(shape((56, 56), CLEAR, (0, 0, 0, 255)), "Inverting it would help", False, id="black on clear"),
        pytest.param(shape((56, 56), CLEAR, (40, 30, 50, 255)), "nearly as dark", True, id="dark on clear"),
        pytest.param(shape((56, 56), WHITE, BLACK), "has a light background", True, id="black on white"),
        pytest.param(shape((90, 20), WHITE, (90, 0, 0)), "has a light background", True, id="a wide photo on white"),
        pytest.param(shape((8, 200), WHITE, BLACK), "has a light background", True, id="a very narrow one"),
    ],
)
def test_what_should_be_inverted_is_told_and_inverted(
    session: Session, picture: Image.Image, said: str, encoded: bool
) -> None:
    session.open()
    before = session.pane()["latent"]
    page = session.page
    page.get_by_label("Image file").set_input_files(picture_file(picture))
    advice = page.locator("#own .notice")
    advice.wait_for()
    assert "mine.png" in advice.inner_text()
    assert said in advice.inner_text()
    session.announced(said)
    if encoded:
        session.until(lambda: session.pane()["latent"] != before)
    else:
        assert page.evaluate("latentbench.ownImage") is None
        assert session.pane()["latent"] == before
    as_given = page.evaluate("latentbench.ownImage")
    advice.get_by_role("button", name="Invert it").press("Enter")
    assert not advice.is_visible()
    assert page.evaluate("document.activeElement.textContent") == "Invert"
    image = np.reshape(page.evaluate("latentbench.ownImage"), (28, 28))
    assert image.max() > 0.2
    assert image[[0, -1]].max() == image[:, [0, -1]].max() == 0  # the background of the dataset, beside the picture too
    assert as_given is None or np.abs(image.ravel() - as_given).max() > 0.3
    page.locator("#own figure[data-row]").wait_for()
    session.announced("Your image is encoded")


def test_an_image_like_those_of_the_dataset_is_encoded_as_it_is(
    session: Session, folder: Path, description: dict[str, Any]
) -> None:
    side = description["dataset"]["height"]
    images = np.frombuffer(gzip.decompress((folder / "data/images/test.bin.gz").read_bytes()), np.uint8)
    session.open()
    ordinary = [(Image.fromarray(image), image / 255) for image in images.reshape(-1, side, side)[:5]]
    box = np.pad(np.ones((side // 2, side // 2)), side // 4)
    ordinary.append((shape((2 * side, 2 * side), CLEAR, (255, 255, 255, 255)), box))
    for number, (picture, expected) in enumerate(ordinary):
        scaled = picture.resize((10 * side, 10 * side), Image.Resampling.NEAREST)
        session.page.get_by_label("Image file").set_input_files(picture_file(scaled, f"{number}.png"))
        session.until(
            lambda expected=expected: np.allclose(
                session.page.evaluate("latentbench.ownImage") or 0, expected.ravel(), atol=0.01
            ),
            f"image {number} as it is",
        )
        assert not session.page.locator("#own .notice").is_visible()
    session.announced("set to its latents")
    assert session.page.locator("#announcements").text_content() == (
        "Your image is encoded, and the sliders are set to its latents."
    )


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (28, 28), 0),
        Image.new("L", (300, 300), 120),
        Image.new("L", (28, 28), 255),
        Image.new("RGBA", (40, 40), CLEAR),
        Image.fromarray(np.tile(np.array([[0, 255], [255, 0]], np.uint8), (560, 560))),
    ],
    ids=["black", "grey", "white", "clear", "a pattern too fine to show"],
)
def test_a_file_in_which_nothing_shows_is_told_and_not_encoded(session: Session, picture: Image.Image) -> None:
    session.open()
    page = session.page
    page.get_by_label("Sheet to draw on").press("Space")
    page.locator("#own figure[data-row]").wait_for()
    before = session.settle()["latent"]
    page.get_by_label("Image file").set_input_files(picture_file(picture))
    advice = page.locator("#own .notice")
    advice.wait_for()
    assert advice.inner_text().startswith("mine.png has only one colour at 28")
    assert advice.inner_text().endswith("Nothing is visible, so nothing is encoded.")
    session.announced("nothing is encoded")
    assert page.evaluate("latentbench.ownImage") is None
    assert page.locator("#own figure[data-row]").count() == 0  # what was rebuilt of the image before
    assert session.pane()["latent"] == before
    page.get_by_role("button", name="Clear").click()
    assert not advice.is_visible()


def test_a_drawing_in_which_nothing_shows_is_told_and_not_encoded(session: Session) -> None:
    session.open()
    before = session.pane()["latent"]
    page = session.page
    page.get_by_role("button", name="Invert", exact=True).click()
    advice = page.locator("#own .notice")
    advice.wait_for()
    assert "The sheet has only one colour" in advice.inner_text()
    assert page.evaluate("latentbench.ownImage") is None
    page.get_by_role("button", name="Invert", exact=True).click()
    page.get_by_label("Sheet to draw on").press("Space")
    assert not advice.is_visible()
    session.until(lambda: session.pane()["latent"] != before)


def test_on_a_dataset_with_a_light_background_one_draws_dark_on_light(
    session: Session, description: dict[str, Any]
) -> None:
    changed = {**description, "dataset": {**description["dataset"], "background": 1}}
    session.page.route("**/explorer.json", lambda route: route.fulfill(json=changed))
    session.open()
    page = session.page
    page.get_by_label("Sheet to draw on").press("Space")
    image = np.array(page.evaluate("latentbench.ownImage"))
    assert image.min() < 0.2
    assert np.median(image) == 1
    advice = page.locator("#own .notice")
    assert not advice.is_visible()
    page.get_by_label("Image file").set_input_files(picture_file(shape((56, 56), BLACK, WHITE)))
    advice.wait_for()
    assert "has a dark background" in advice.inner_text()
    page.get_by_label("Image file").set_input_files(picture_file(shape((56, 56), CLEAR, (255,) * 4), "white.png"))
    session.until(lambda: "white.png is as light as" in advice.inner_text())


def test_a_file_that_is_read_slowly_does_not_come_after_a_clearing_or_another(session: Session) -> None:
    session.page.add_init_script(
        """const read = createImageBitmap;
        window.createImageBitmap = async (file) => {
            const picture = await read(file);
            if (file.name === "slow.png") await new Promise((resolve) => (window.go = resolve));
            return picture;
        };"""
    )
    session.open()
    page = session.page
    chooser = page.get_by_label("Image file")
    slow = picture_file(shape((56, 56), CLEAR, (255,) * 4), "slow.png")
    for then in ("another", "Clear"):
        chooser.set_input_files(slow)
        session.until(lambda: page.evaluate("Boolean(window.go)"))
        if then == "Clear":
            page.get_by_role("button", name="Clear").click()
        else:
            chooser.set_input_files(picture_file(shape((56, 56), WHITE, BLACK), "light.png"))
            page.locator("#own .notice").wait_for()
        before = page.evaluate("latentbench.ownImage")
        page.evaluate("() => { go(); window.go = null; }")
        page.wait_for_timeout(200)
        assert page.evaluate("latentbench.ownImage") == before, then


def test_what_is_drawn_outlives_the_browsers_graphics_process(chromium: Browser, address: str) -> None:
    # A browser of its own: the process is ended for all pages of one.
    own = chromium.browser_type.launch(executable_path=browser.find(), args=["--no-sandbox"])
    session = Session(own, address)
    page = session.page
    page.add_init_script(
        """window.lost = [];
        addEventListener("contextlost", ({ target }) => lost.push(target.className), true);"""
    )
    session.open()
    sheet = page.get_by_label("Sheet to draw on")

    def seen() -> list[np.ndarray]:
        page.wait_for_timeout(100)
        pictures = page.locator(".decoded .picture")
        places = [sheet, session.map(), pictures.first, pictures.last, page.locator("#own .results canvas").last]
        shots = [Image.open(io.BytesIO(place.screenshot())).convert("RGB") for place in places]
        return [np.array(shot, dtype=int) for shot in shots]

    def as_before() -> bool:
        # Marks on the map are smoothed a little otherwise by another process.
        return all(np.abs(now - then).max() <= 8 for now, then in zip(seen(), before, strict=True))

    session.draw(0, 100, steps=5)
    page.locator("#own figure[data-row]").wait_for()
    session.settle()
    sheet.blur()
    before = seen()
    assert all(np.ptp(shot) > 100 for shot in before)
    drawn = np.array(page.evaluate("latentbench.ownImage"))
    devtools = own.new_browser_cdp_session()

    def lose() -> None:
        """End the process, and wait until the page has lost what was drawn."""
        page.evaluate("lost.length = 0")
        devtools.send("Browser.crashGpuProcess")
        session.until(lambda: "sheet" in page.evaluate("lost"))

    lose()
    session.until(as_before, "everything is drawn again")
    lose()
    sheet.press("Space")  # while the browser can draw nothing
    with_dot = np.array(page.evaluate("latentbench.ownImage"))
    assert with_dot.sum() > drawn.sum() + 2
    assert (with_dot >= drawn).all()
    page.get_by_label("Image file").set_input_files(picture_file(shape((280, 280), CLEAR, (255,) * 4)))
    box = np.pad(np.ones((14, 14)), 7).ravel()
    session.until(lambda: np.allclose(page.evaluate("latentbench.ownImage"), box, atol=0.01), "the file is read")
    own.close()
    assert session.said == []


# --- The page as a whole


class Witness(BaseHTTPRequestHandler):
    """A server that the page has no business with: it would answer anyone."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


def test_neither_the_page_nor_its_worker_can_ask_others_or_run_what_it_is_told(chromium: Browser, address: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Witness) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        session = Session(chromium, address)
        session.open()
        (worker,) = session.page.workers
        for place in (session.page, worker):
            url = f"http://127.0.0.1:{other.server_port}/"
            fetched = "url => fetch(url).then(() => 'answered', () => 'refused')"
            assert place.evaluate(fetched, url) == "refused"
            # What Playwright runs at once may use eval; what it leaves to run later is bound by the policy.
            run = """() => new Promise((done) => setTimeout(() => {
                try { done(eval("1")); } catch (error) { done(error.name); }
            }))"""
            assert place.evaluate(run) == "EvalError"
        session.page.evaluate(
            """() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
            }"""
        )
        assert session.page.evaluate("window.hacked") is None
        assert sum("Content Security Policy" in line for line in session.said) >= 3, session.said
        session.close()
        other.shutdown()
    assert Witness.asked == []


def test_two_models_stand_side_by_side(session: Session, description: dict[str, Any]) -> None:
    session.open()
    compare = session.page.get_by_role("button", name="Side by side")
    compare.click()
    session.page.locator("[data-pane=b][data-decoded]").wait_for()
    assert compare.get_attribute("aria-pressed") == "true"
    other = description["models"][-1]["row"]
    second = session.page.locator("[data-pane=b]")
    second.get_by_label("Model", exact=True).select_option(other)
    session.until(lambda: session.pane(1)["model"] == other)
    before = session.settle()
    session.page.mouse.click(*session.place(0.3, 0.3, "b"))
    session.settle(1)
    assert session.pane(0) == before
    boxes = [session.map(pane).bounding_box() for pane in "ab"]
    assert all(box is not None for box in boxes)
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]  # type: ignore[index]
    compare.click()
    session.until(lambda: session.page.locator(".pane").count() == 1)


@pytest.mark.parametrize("name", ["pca", "neighbors"])
def test_the_address_restores_the_view(session: Session, name: str) -> None:
    session.open(f"a=vae_residual&a.map={name}&theme=dark")
    session.page.get_by_label("Images", exact=True).select_option("test")
    session.page.locator("#legend [data-class='1']").click()
    session.page.get_by_label("Zoom in").click()
    session.page.get_by_role("button", name="Random draw").click()
    session.page.get_by_role("button", name="Pick A here").click()
    session.page.get_by_role("button", name="Random draw").click()
    session.page.get_by_role("button", name="Pick B here").click()
    session.page.get_by_label("Path").select_option("spherical")
    session.page.mouse.click(*session.place(0.4, 0.45))
    session.page.get_by_role("button", name="Side by side").click()
    second = session.page.locator("[data-pane=b]")
    session.page.locator("[data-pane=b][data-decoded]").wait_for()
    second.get_by_label("Map", exact=True).select_option("latents")
    second.get_by_role("button", name="Random draw").click()
    before, beside, shown = session.settle(), session.settle(1), session.shown()
    fragment = session.fragment()
    session.open(fragment)
    after, after_beside = session.settle(), session.settle(1)
    assert session.shown() == shown
    assert session.page.locator("html").get_attribute("data-theme") == "dark"
    assert session.page.get_by_label("Images", exact=True).input_value() == "test"
    assert (after_beside["model"], after_beside["map"]) == (beside["model"], beside["map"])
    assert beside["map"] == "latents"
    assert np.allclose(after_beside["latent"], beside["latent"], atol=2e-3)
    assert (after["model"], after["map"]) == (before["model"], before["map"]) == ("vae_residual", name)
    assert after["way"] == before["way"] == "spherical"
    assert session.page.get_by_label("Path").first.input_value() == "spherical"
    assert after["point"] == pytest.approx(before["point"], **({"rel": 1e-6} if name == "neighbors" else {"abs": 1e-2}))
    assert after["view"] == pytest.approx(before["view"], rel=1e-4)
    assert np.allclose(after["latent"], before["latent"], atol=2e-3)
    for end in ("from", "to"):
        assert np.allclose(after[end], before[end], atol=2e-3)
    assert session.fragment() == fragment  # the same view has the same address


def test_the_address_restores_a_latent_that_no_image_moves(session: Session, description: dict[str, Any]) -> None:
    model = model_of(description, "ae_dense")
    still = {**model, "deviation": [0.0] * model["latent_dim"]}
    changed = {**description, "models": [still]}
    session.page.route("**/explorer.json", lambda route: route.fulfill(json=changed))
    session.open("a=ae_dense&a.map=pca")
    session.page.locator(".sliders input").first.press("PageUp")
    before = session.settle()["latent"]
    assert not np.allclose(before, model["mean"], atol=2e-3)
    session.open(session.fragment())
    assert np.allclose(session.settle()["latent"], before, atol=2e-3)


def test_a_copied_link_is_of_what_is_shown(session: Session) -> None:
    session.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    session.open("a=vae_dense")
    page = session.page
    page.get_by_role("button", name="Pick A here").click()
    page.get_by_role("button", name="Random draw").click()
    page.get_by_role("button", name="Pick B here").click()
    fragment = session.fragment()
    page.get_by_role("button", name="Play").click()
    session.until(lambda: float(page.get_by_label("Position").input_value()) > 5)
    page.get_by_role("button", name="Copy link").click()
    session.until(lambda: page.locator("#share-status").inner_text() == "Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Pause").click()
    assert "a.latent=" in copied
    assert not copied.endswith(fragment)


def test_what_is_malformed_in_an_address_is_named_and_left_out(session: Session) -> None:
    session.open("a=no_such_model")
    for fragment, named in (
        (None, "no_such_model"),
        ("a=vae_dense&a.map=globe", "globe"),
        ("a=vae_dense&a.latent=AAAA", "a.latent"),
        ("a=vae_dense&a.view=1,2", "a.view"),
        ("a=vae_dense&a.way=zigzag", "zigzag"),
        ("a=vae_dense&a.point=1,2", "a.point"),
        ("hide=99&%%%=1", "hide"),
        ("split=all", "split"),
        ("a=vae_dense&a.view=1e308,-1e308,1e308", "a.view"),
        ("a=vae_dense&a.view=NaN,Infinity,1", "a.view"),
        ("a=<img src=x onerror=window.hacked=1>", "<img src=x"),
        ("__proto__=1&constructor=2", "__proto__"),
        ("b=" + "x" * 200_000, f'b is "{"x" * 60}…"'),
    ):
        if fragment:  # as if it was typed into the address bar
            session.page.evaluate("fragment => { location.hash = fragment; }", fragment)
        session.until(lambda named=named: named in session.notices())
        assert "could not be read" in session.notices()
        session.page.get_by_role("button", name="Close").click()
        assert session.settle()["model"] == "vae_dense"
        assert session.shown() > 0
    assert session.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_assistive_technology(chromium: Browser, address: str, scheme: str) -> None:
    session = Session(chromium, address, color_scheme=scheme)
    session.open("a=vae_dense&a.map=pca&b=ae_conv&a.view=0,0,3")
    assert session.page.locator("html").get_attribute("data-theme") == scheme
    session.page.get_by_label("Image file").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"-"})
    session.until(lambda: "a.txt" in session.notices())
    found = Axe().run(session.page)
    session.close()
    assert found.violations_count == 0, found.generate_report()
    assert session.said == []


def test_the_theme_can_be_chosen(session: Session) -> None:
    session.open()
    background = "getComputedStyle(document.body).backgroundColor"
    for theme in ("dark", "light"):
        session.page.get_by_label("Theme").select_option(theme)
        assert session.page.locator("html").get_attribute("data-theme") == theme
    light = session.page.evaluate(background)
    session.page.get_by_label("Theme").select_option("dark")
    assert session.page.evaluate(background) != light
    assert "theme=dark" in session.fragment()


def test_a_narrow_screen_needs_no_sideways_scrolling(chromium: Browser, address: str) -> None:
    session = Session(chromium, address, viewport={"width": 360, "height": 740})
    session.open("a=vae_dense&a.map=latents&b=ae_conv")
    width = session.page.evaluate("document.documentElement.scrollWidth")
    tops = [session.map(pane).bounding_box() for pane in "ab"]
    session.close()
    assert width == 360
    assert tops[0]["y"] + tops[0]["height"] <= tops[1]["y"]  # type: ignore[index]


def test_a_second_model_that_does_not_load_leaves_the_first_as_it_was(
    chromium: Browser, address: str, description: dict[str, Any]
) -> None:
    session = Session(chromium, address)
    rows = [model["row"] for model in description["models"]]
    missing = f"data/models/{rows[1]}/maps.bin"
    session.page.route(f"**/{missing}", lambda route: route.fulfill(status=404))
    session.open(f"a={rows[0]}")
    compare = session.page.get_by_role("button", name="Side by side")
    for opened in (compare.click, lambda: session.open(f"a={rows[0]}&b={rows[1]}")):
        opened()
        session.until(lambda: missing in session.notices())
        session.until(lambda: session.page.locator(".pane").count() == 1)
        assert compare.get_attribute("aria-pressed") == "false"
        before = session.fragment()
        session.page.get_by_role("button", name="Random draw").click()
        assert session.fragment() != before
        session.page.get_by_role("button", name="Close").click()
    session.close()


def test_a_model_that_does_not_load_can_be_chosen_again(
    chromium: Browser, address: str, description: dict[str, Any]
) -> None:
    session = Session(chromium, address)
    first, second = (model["row"] for model in description["models"][:2])
    missing = f"data/models/{second}/maps.bin"
    session.page.route(f"**/{missing}", lambda route: route.fulfill(status=404))
    session.open(f"a={first}")
    choice = session.page.get_by_label("Model", exact=True)
    choice.select_option(second)
    session.until(lambda: missing in session.notices())
    session.until(lambda: choice.input_value() == first)
    assert session.pane()["model"] == first
    session.page.unroute(f"**/{missing}")
    choice.select_option(second)
    session.until(lambda: session.pane()["model"] == second)
    session.close()


def test_a_model_that_comes_too_late_is_not_announced(session: Session, description: dict[str, Any]) -> None:
    first, second = (model["row"] for model in description["models"][:2])
    held = session.hold(f"**/data/models/{second}/maps.bin")
    session.open(f"a={first}")
    session.page.get_by_label("Model", exact=True).select_option(second)
    session.until(lambda: session.page.wait_for_timeout(20) or held)
    session.page.get_by_label("Map", exact=True).select_option("pca")
    session.until(lambda: session.pane()["map"] == "pca")
    with session.page.expect_response(f"**/data/models/{second}/maps.bin"):
        held[0].continue_()
    session.page.wait_for_timeout(800)  # for what is told once nothing else is
    assert session.pane()["model"] == first
    assert session.page.locator("#announcements").text_content() != f"Model {second}."


@pytest.mark.parametrize(
    "path", ["data/models/vae_dense/maps.bin", "libraries/d3.js", "libraries/ort-wasm-simd-threaded.wasm"]
)
def test_a_missing_file_is_named_with_what_to_do(chromium: Browser, address: str, path: str) -> None:
    session = Session(chromium, address)
    session.page.route(f"**/{path}", lambda route: route.fulfill(status=404))
    session.page.goto(address)
    session.until(lambda: path in session.notices())
    assert "make repro" in session.notices()
    session.close()


def test_a_browser_without_webassembly_is_told_so(chromium: Browser, address: str) -> None:
    session = Session(chromium, address)
    session.page.add_init_script("delete globalThis.WebAssembly")
    session.page.goto(address)
    session.until(lambda: "no WebAssembly" in session.notices())
    session.close()
    assert session.said == []

"""How smooth the latent explorer is in headless Chromium, drawing in software; `make benchmark-explorer` runs it.

It moves a real pointer over the real page and points that `make repro` wrote:
  pan     milliseconds from frame to frame while the map is dragged
  decode  milliseconds from the pointer's move to the frame that shows the decoded image, while the pointer is dragged
          over the map; this includes running the network
Beside them, in the same browser and at the same size, are other ways to draw those points in every frame: Canvas 2D,
and bare WebGL, which no library built on it can beat. An empty frame is the lower limit: 16.7 ms, the display's own.
Nothing else should run meanwhile, because Chromium draws with the cores that are left.
"""

import argparse
import math
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page

from latentbench import explore
from latentbench.core import artifacts
from tools.lib import browser

BAR = 50.0  # ms, at the 95th percentile
FRAMES = 120
SIZE = {"width": 1280, "height": 900}
_PEERS = ("Canvas 2D, fillRect", "WebGL, gl.POINTS", "empty frame")
_SCRIPT = Path(__file__).with_name("explorer_peers.js")
# Frames are timed inside the page; a decode, which the page measures, ends with the next frame.
_WATCH = """() => {
    window.frames_seen = [];
    window.decodes_seen = [];
    const frame = (now) => { window.frames_seen.push(now); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => {
        for (const { startTime } of list.getEntriesByName("latentbench: decode")) {
            requestAnimationFrame(() => setTimeout(() => window.decodes_seen.push(performance.now() - startTime)));
        }
    }).observe({ entryTypes: ["measure"] });
}"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explorer", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("data/explorer"), help="(default: %(default)s)")
    options = parser.parse_args()
    program = browser.find()
    if program is None:
        sys.exit(f"benchmarks.explorer: {browser.MISSING}")
    serving = explore.server(options.folder, 0)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    address = f"http://{explore.HOST}:{serving.server_port}/"
    description = artifacts.read_json(options.folder / "data/explorer.json")
    print(f"{description['dataset']['n_train']} points, {SIZE['width']} x {SIZE['height']}, milliseconds")
    print(f"{'':42}{'median':>8}{'p95':>8}{'max':>8}   target")
    with browser.running(program) as chromium:
        for model in description["models"]:
            page = chromium.new_page(viewport=SIZE)
            name = model["maps"][-1]["name"]
            page.goto(f"{address}#a={model['row']}&a.map={name}")
            page.locator(".pane[data-decoded]").wait_for()
            page.evaluate("latentbench.imagesReady")
            page.evaluate(_WATCH)
            tell(f"{model['row']}: pan", pan(page), BAR)
            tell(f"{model['row']}: decode", decode(page), BAR)
            box = page.locator(".map").bounding_box()
            page.close()
        assert box is not None
        for kind in _PEERS:
            page = chromium.new_page(viewport=SIZE)
            page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
            page.goto(f"{address}data/explorer.json")  # a page on which nothing moves
            tell(f"peer: {kind}", peer(page, kind, description, box))
            page.close()
    serving.shutdown()


def pan(page: Page) -> list[float]:
    """Drag the map in circles, and return the milliseconds between frames."""
    page.get_by_label("Dragging").select_option("pan")
    page.evaluate("() => { window.frames_seen.length = 0; }")
    drag(page)
    return np.diff(page.evaluate("window.frames_seen")).tolist()


def decode(page: Page) -> list[float]:
    """Drag the decoded point in circles, and return the milliseconds until its image is seen."""
    page.get_by_label("Show all images").click()
    page.get_by_label("Dragging").select_option("decode")
    page.evaluate("() => { window.decodes_seen.length = 0; }")
    drag(page)
    page.wait_for_timeout(300)
    return list(page.evaluate("window.decodes_seen"))


def drag(page: Page) -> None:
    """Move the pointer in circles over the map, with the button held down."""
    box = page.locator(".map").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    reach = min(box["width"], box["height"]) / 4
    page.mouse.move(x + reach, y)
    page.mouse.down()
    for step in range(FRAMES):
        angle = step / 12
        page.mouse.move(x + reach * math.cos(angle), y + reach * math.sin(angle))
    page.mouse.up()


def peer(page: Page, kind: str, description: dict[str, Any], box: Any) -> list[float]:
    """Return the milliseconds between frames of another way to draw the points of the first model."""
    dataset, model = description["dataset"], description["models"][0]
    wanted = {
        "path": f"/data/models/{model['row']}/maps.bin",
        "map": len(model["maps"]) - 1,
        "nTrain": dataset["n_train"],
        "n": dataset["n_train"] + dataset["n_test"],
        "width": int(box["width"]),
        "height": int(box["height"]),
        "frames": FRAMES,
        "kind": kind,
    }
    return list(page.evaluate(_SCRIPT.read_text(encoding="utf-8").split("\n\n", 1)[1], wanted))


def tell(name: str, times: list[float], bar: float | None = None) -> None:
    """Print what was measured, beside the target."""
    median, high = np.percentile(times, [50, 95])
    verdict = "" if bar is None else f"   {bar:.0f}: {'met' if high <= bar else 'MISSED'}"
    print(f"{name:42}{median:8.1f}{high:8.1f}{max(times):8.1f}{verdict}", flush=True)


if __name__ == "__main__":
    main()

// The user's own image: drawn, dropped or chosen as a file, and how the models reconstruct it.

import { button, freshId, labelled, make } from "./elements.js";
import { latestOnly } from "./engine.js";
import { Expected, announce, report } from "./messages.js";
import { clearPicture, pictureFor, pixelsOf, showUnit, squaredError } from "./pictures.js";
import { Sheet } from "./sheet.js";

const MOST_BYTES = 10 * 2 ** 20;
const MOST_PIXELS = 40e6;
const SCREEN = 280; // pixels of the sheet's longer side
const BRUSH = 2.2; // pixels of the dataset's images

/** A sheet to draw on, and reconstructions by every pane's model. */
export class OwnImage {
  /** The image as the models see it, (channels, height, width) float32 in [0, 1]; null if there is none, or if it is blank. */
  pixels = null;
  #sheet; // what is drawn
  #name = null; // of the file on the sheet
  #canvas = make("canvas", { class: "sheet", tabIndex: 0, role: "application", "aria-label": "Sheet to draw on" });
  #seen;
  #results = make("div", { class: "results" });
  #last = null; // where the brush was
  #pen; // where the keys have moved the brush
  #ring = make("span", { class: "brush", "aria-hidden": "true", hidden: true }); // not drawn on the sheet, which the encoders see
  #file = make("input", { type: "file", accept: "image/*" });
  #taken = 0; // the number of the file or clearing that came last
  #advice = make("p");
  #offer = button("Invert it", () => {
    this.#invert();
    this.#inverter.focus(); // this button disappears
  });
  #warning = make("div", { class: "notice", hidden: true }, this.#advice, this.#offer);
  #inverter = button("Invert", () => this.#invert());
  #ink = make("input", { type: "color" }); // of the brush, for images in colour
  #drop;
  #going = new Set(); // panes that go to the image after the next request
  #request = latestOnly(
    (pixels) => this.#encode(pixels),
    (found, pixels) => this.#show(found, pixels),
    report,
  );

  /**
   * @param {object} dataset
   * @param {() => object[]} panes returns the open panes; see `Pane`.
   */
  constructor(dataset, panes) {
    this.dataset = dataset;
    this.panes = panes;
    const { height, width, background } = dataset;
    this.#seen = pictureFor(dataset, "", "The image as the models see it");
    this.ratio = SCREEN / Math.max(height, width);
    this.#canvas.width = Math.round(width * this.ratio);
    this.#canvas.height = Math.round(height * this.ratio);
    const level = 255 * background;
    this.#canvas.style.backgroundColor = `rgb(${level} ${level} ${level})`;
    this.#sheet = new Sheet(this.#canvas.width, this.#canvas.height, background);
    this.#ink.value = background < 0.5 ? "#ffffff" : "#000000";
    this.#pen = [this.#canvas.width / 2, this.#canvas.height / 2];
    this.#ring.style.width = `${(100 * BRUSH) / width}%`;
    this.#showPen();
    const keys = freshId("keys");
    this.#canvas.setAttribute("aria-describedby", keys);
    this.#drop = make(
      "div",
      { class: "drop" },
      make("span", { class: "sheet-frame" }, this.#canvas, this.#ring),
      make("p", { class: "note", id: keys }, "Draw here, or drop an image file. Keys: arrows move the brush, Shift and arrows paint, and space paints a dot."),
    );
    this.element = make(
      "section",
      { class: "card own", id: "own", "aria-labelledby": "own-title" },
      make("h2", { id: "own-title" }, "Your own image"),
      make(
        "p",
        { class: "note" },
        dataset.channels === 3
          ? "In colour; the encoders place it on the maps."
          : `${background < 0.5 ? "Light on dark" : "Dark on light"}, like the images of the dataset; the encoders place it on the maps.`,
      ),
      make(
        "div",
        { class: "controls" },
        labelled("Image file", this.#file),
        this.#inverter,
        ...(dataset.channels === 3 ? [labelled("Brush", this.#ink)] : []),
        button("Clear", () => this.#clear()),
      ),
      this.#warning,
      make("div", { class: "workbench" }, this.#drop, this.#results),
    );
    this.#showSheet();
    this.#listen();
    this.update();
  }

  /** Let every pane encode the image, and the given ones go to its latent. */
  update(going = this.panes()) {
    if (!this.pixels) {
      this.#showResults([]);
      return;
    }
    showUnit(this.#seen, this.pixels, this.dataset);
    // A request may replace one that still waits, so it also takes over that one's panes.
    for (const pane of going) this.#going.add(pane);
    this.#request(this.pixels);
  }

  async #encode(pixels) {
    const going = this.#going;
    this.#going = new Set();
    const encode = async (pane) => {
      const encoded = await pane.encode(pixels);
      const reconstruction = await pane.decode(encoded.latent, encoded.model);
      return { pane, encoded, reconstruction, goes: going.has(pane) };
    };
    return Promise.all(this.#loaded().map(encode));
  }

  #show(found, pixels) {
    if (pixels !== this.pixels) return; // cleared or drawn on in the meantime
    const figures = found.map(({ encoded: { model }, reconstruction }) => {
      const error = squaredError(pixels, reconstruction);
      const canvas = pictureFor(this.dataset, "", `Reconstruction by ${model.row}`);
      showUnit(canvas, reconstruction, this.dataset);
      const caption = make("figcaption", {}, `${model.row}: MSE ${error.toPrecision(3)}`);
      return make("figure", { data: { row: model.row } }, canvas, caption);
    });
    this.#showResults(figures);
    const going = found.filter(({ pane, goes }) => goes && this.panes().includes(pane));
    for (const { pane, encoded } of going) pane.goTo(encoded, "your image");
    const advice = this.#warning.hidden ? "" : ` ${this.#advice.textContent}`;
    if (going.length) announce(`Your image is encoded, and the sliders are set to its latents.${advice}`);
  }

  #showResults(figures) {
    this.#results.replaceChildren(make("figure", {}, this.#seen, make("figcaption", {}, "Original")), ...figures);
  }

  /** Return the panes that have a model; a pane that is still loading gets the image afterwards. */
  #loaded() {
    return this.panes().filter((pane) => pane.model);
  }

  /** Use a file as the image; a message says why if that fails. */
  async take(file) {
    this.#taken += 1;
    const taking = this.#taken;
    try {
      if (file.size > MOST_BYTES) {
        throw new Expected(`${file.name} is too large: ${(file.size / 2 ** 20).toFixed(1)} MiB; the limit is 10 MiB.`);
      }
      let picture;
      try {
        picture = await createImageBitmap(file);
      } catch {
        throw new Expected(`${file.name} is not an image that this browser can read. Use PNG, JPEG or WebP.`);
      }
      if (picture.width * picture.height > MOST_PIXELS) {
        throw new Expected(`${file.name} is too large: ${picture.width} × ${picture.height} pixels; the limit is 40 million.`);
      }
      const { width, height } = this.#canvas;
      const scale = Math.min(width / picture.width, height / picture.height);
      const [wide, high] = [picture.width * scale, picture.height * scale];
      const place = [(width - wide) / 2, (height - high) / 2, wide, high];
      const image = await pixelsOf(picture, place, { width, height });
      if (taking !== this.#taken) return; // cleared in the meantime, or another file was chosen
      this.#sheet.take(image, place);
      this.#name = file.name;
      this.#changed();
    } catch (error) {
      report(error);
    }
  }

  #showSheet() {
    this.#canvas.getContext("2d").putImageData(this.#sheet.image, 0, 0);
  }

  #clear() {
    this.#taken += 1;
    this.#sheet.clear();
    this.#showSheet();
    this.#name = null;
    this.#file.value = "";
    this.#warning.hidden = true;
    this.#empty();
  }

  /** Forget the image. */
  #empty() {
    this.pixels = null;
    clearPicture(this.#seen);
    this.update();
  }

  #invert() {
    this.#sheet.invert();
    this.#changed();
  }

  /** Use the sheet as the image, unless it is blank; say what is wrong with it. */
  #changed() {
    this.#showSheet();
    const fault = this.#sheet.fault(this.dataset);
    this.#warning.hidden = fault === null;
    this.#offer.hidden = fault === "blank";
    this.#advice.textContent = fault && this.#describe(fault);
    if (fault === "blank" || fault === "hidden") {
      this.#empty();
      announce(this.#advice.textContent);
    } else {
      this.pixels = this.#sheet.scaled(this.dataset);
      this.update();
    }
  }

  #describe(fault) {
    const { width, height, background } = this.dataset;
    const name = this.#name ?? "The sheet";
    const [ours, other] = background < 0.5 ? ["dark", "light"] : ["light", "dark"];
    return {
      blank: `${name} has only one colour at ${width} × ${height} pixels. Nothing is visible, so nothing is encoded.`,
      hidden: `${name} is as ${ours} as the dataset's background, which fills its transparent parts. Nothing is visible, so nothing is encoded. Inverting it would help.`,
      faint: `${name} is nearly as ${ours} as the dataset's background, which fills its transparent parts. Inverted, it would stand out.`,
      ground: `${name} has a ${other} background, but the images of the dataset have a ${ours} one. Inverted, it would be more like them.`,
    }[fault];
  }

  #stroke(from, to) {
    const ink = [1, 3, 5].map((start) => Number.parseInt(this.#ink.value.slice(start, start + 2), 16));
    this.#sheet.stroke(from, to, BRUSH * this.ratio, ink);
    this.#changed();
  }

  #listen() {
    const sheet = this.#canvas;
    const place = (event) => {
      const box = sheet.getBoundingClientRect();
      return [
        ((event.clientX - box.left) / box.width) * sheet.width,
        ((event.clientY - box.top) / box.height) * sheet.height,
      ];
    };
    sheet.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      sheet.setPointerCapture(event.pointerId);
      this.#last = place(event);
      this.#stroke(this.#last, this.#last);
    });
    sheet.addEventListener("pointermove", (event) => {
      if (!this.#last) return;
      const now = place(event);
      this.#stroke(this.#last, now);
      this.#last = now;
    });
    for (const end of ["pointerup", "pointercancel"]) sheet.addEventListener(end, () => (this.#last = null));
    sheet.addEventListener("contextrestored", () => this.#showSheet());
    sheet.addEventListener("keydown", (event) => this.#key(event));
    // A pointer shows where it draws; the ring shows where the keys have moved the brush.
    sheet.addEventListener("focus", () => (this.#ring.hidden = !sheet.matches(":focus-visible")));
    for (const end of ["blur", "pointerdown"]) sheet.addEventListener(end, () => (this.#ring.hidden = true));
    this.#file.addEventListener("change", () => {
      if (this.#file.files.length) this.take(this.#file.files[0]);
    });
    this.#drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.#drop.classList.add("over");
    });
    this.#drop.addEventListener("dragleave", () => this.#drop.classList.remove("over"));
    this.#drop.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#drop.classList.remove("over");
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
      else report(new Expected("What you dropped is not a file. Save the image first, then drop it from its folder."));
    });
  }

  #key(event) {
    const { width, height } = this.#canvas;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow) {
      const keep = (value, most) => Math.min(most, Math.max(0, value));
      const next = [keep(this.#pen[0] + this.ratio * arrow[0], width), keep(this.#pen[1] + this.ratio * arrow[1], height)];
      if (event.shiftKey) this.#stroke(this.#pen, next);
      this.#pen = next;
      announce(`Brush at column ${Math.round(next[0] / this.ratio)}, row ${Math.round(next[1] / this.ratio)}.`);
    } else if (event.key === " ") {
      this.#stroke(this.#pen, this.#pen);
    } else {
      return;
    }
    event.preventDefault();
    this.#ring.hidden = false;
    this.#showPen();
  }

  #showPen() {
    this.#ring.style.left = `${(100 * this.#pen[0]) / this.#canvas.width}%`;
    this.#ring.style.top = `${(100 * this.#pen[1]) / this.#canvas.height}%`;
  }
}

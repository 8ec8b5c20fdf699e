// One model: its map, the decoded point, its sliders and its interpolation.

import { imageName, loadPlaces } from "./data.js";
import { button, choice, freshId, labelled, make } from "./elements.js";
import { floats, latestOnly } from "./engine.js";
import { Interpolation } from "./interpolation.js";
import { Latents } from "./latents.js";
import { ScatterMap } from "./map.js";
import { announce, report } from "./messages.js";
import { pictureFor, showUnit } from "./pictures.js";
import { Space, centre } from "./spaces.js";
import { defaultPane } from "./state.js";

const MAP_NAMES = { latents: "two latents", pca: "PCA", neighbors: "neighbours" };

/** A pane of the page. */
export class Pane {
  /** The current latent, (latent_dim,) float32. */
  latent = null;
  /** The last decoded pixels, (channels, height, width) float32, and their latent. */
  decoded = null;
  #model = null;
  #space = null;
  #opening = 0; // the number of the last request for a model or map
  #title = make("h2", { class: "hidden", id: freshId("pane") });
  #header = make("div", { class: "controls" });
  #about = make("p", { class: "note" });
  #picture;
  #caption = make("figcaption", {}, "Decoded");
  #near;
  #nearCaption = make("figcaption", {}, "Nearest image");
  #nearest = -1;
  #request;

  /**
   * @param {string} name of the pane.
   * @param {object} description of the pipeline.
   * @param {object} shared see `ScatterMap`.
   * @param {import("./engine.js").Engine} engine
   * @param {() => void} changed called whenever the pane's part of the address changes.
   * @param {() => void} switched called when another model was chosen, or the first one has loaded.
   */
  constructor(name, description, shared, engine, changed, switched) {
    this.#title.textContent = `Model ${name.toUpperCase()}`;
    this.description = description;
    this.shared = shared;
    this.engine = engine;
    this.changed = changed;
    this.switched = switched;
    this.#picture = pictureFor(description.dataset, "large", "Decoded image");
    this.#near = pictureFor(description.dataset, "", "Nearest image on the map");
    this.map = new ScatterMap(shared, {
      decode: (point, since) => this.#decodePoint(point, since),
      moved: () => changed(),
      pick: (end) => this.interpolation.pick(end),
      nearest: () => this.goToNearest(),
    });
    this.latents = new Latents((latent, what) => this.#take(latent, what));
    this.interpolation = new Interpolation(description.dataset, {
      current: () => this.latent,
      centre: () => centre(this.#model),
      decode: (latent) => this.decode(latent),
      show: (latent, what) => this.setLatent(latent, what),
      changed: () => this.#endsChanged(),
    });
    this.#request = latestOnly(
      (wanted) => this.decode(wanted.latent, wanted.model),
      (pixels, wanted) => this.#show(pixels, wanted),
      report,
    );
    this.element = make(
      "section",
      { class: "pane", "aria-labelledby": this.#title.id, inert: true, data: { pane: name } },
      this.#title,
      this.#header,
      this.#about,
      make(
        "div",
        { class: "stage" },
        make("div", { class: "map-frame" }, this.map.element, this.#toolbar()),
        make(
          "div",
          { class: "side" },
          make(
            "div",
            { class: "card decoded" },
            make("figure", {}, this.#picture, this.#caption),
            make(
              "figure",
              {},
              this.#near,
              this.#nearCaption,
              button("Go to it", () => this.goToNearest(), { "aria-label": "Go to the latent of the nearest image" }),
            ),
          ),
          this.interpolation.element,
          this.latents.element,
        ),
      ),
    );
  }

  /** The pane's part of the address. */
  get state() {
    const { from, to } = this.interpolation.ends;
    const mean = this.latent.every((value, index) => value === Math.fround(this.#model.mean[index]));
    return {
      model: this.#model.row,
      map: this.#space.map.name,
      view: this.map.view,
      latent: mean ? null : this.latent,
      from,
      to,
      way: this.interpolation.way,
      point: mean || this.#space.map.name !== "neighbors" ? null : this.map.current,
    };
  }

  /** The model that is shown. */
  get model() {
    return this.#model;
  }

  /** Show a state. */
  async open(state) {
    this.#opening += 1;
    const opening = this.#opening;
    const model = this.description.models.find(({ row }) => row === state.model);
    const { maps, anchors } = await loadPlaces(model, this.description.dataset);
    if (opening !== this.#opening) return;
    const place = model.maps.findIndex(({ name }) => name === state.map);
    const first = this.#model === null;
    const sameModel = this.#model === model;
    this.#model = model;
    this.#space = new Space(model, model.maps[place], maps[place], anchors);
    this.#showHeader();
    this.map.show(this.#space, state.view);
    if (!sameModel) this.latents.show(model);
    this.latent = null;
    this.interpolation.reset(state.from, state.to, state.way);
    this.setLatent(state.latent ?? Float32Array.from(model.mean), null, state.point ?? undefined);
    this.element.inert = false; // until now, there was nothing for its controls to change
    if (first) this.switched();
  }

  /** Remove the pane from the page. */
  close() {
    this.interpolation.pause();
    this.map.close();
    this.element.remove();
  }

  /** Update which images are shown, and their colours. */
  refresh() {
    if (!this.#space) return;
    this.map.refresh();
    this.#showNearest();
    this.#describe();
  }

  /**
   * Show a latent.
   * @param {Float32Array} latent
   * @param {string | null} what it is, to be read out; null for nothing.
   * @param {ArrayLike<number>} [point] where it is on the map, if known.
   * @param {number} [since] when it was requested.
   */
  setLatent(latent, what, point = this.#space.pointOf(latent), since = performance.now()) {
    this.latent = latent;
    this.map.mark(point);
    this.latents.latent = latent;
    this.#showNearest();
    this.#request({ latent, since, model: this.#model });
    if (what) announce(`${this.#model.row}: ${what}. ${this.#nearText()}`);
    this.changed();
  }

  /** Show a latent that the user chose: an animation stops, or its next frame would replace it. */
  #take(latent, what, point, since) {
    this.interpolation.pause();
    this.setLatent(latent, what, point, since);
  }

  /** Return the image of a latent, (channels, height, width) float32. */
  async decode(latent, model = this.#model) {
    const { row, latent_dim: width } = model;
    const { images } = await this.engine.run(`data/models/${row}/decoder.onnx`, { latents: floats(latent, [1, width]) });
    return images;
  }

  /**
   * Return the latent (latent_dim,) of an image, and the model that encoded it.
   * @param {Float32Array} pixels (channels, height, width) in [0, 1].
   */
  async encode(pixels) {
    const model = this.#model;
    const { channels, height, width } = this.description.dataset;
    const feeds = { images: floats(pixels, [1, channels, height, width]) };
    const { latents } = await this.engine.run(`data/models/${model.row}/encoder.onnx`, feeds);
    return { model, latent: latents };
  }

  /** Go to an encoded latent, unless another model is shown by now. */
  goTo({ model, latent }, what) {
    if (model !== this.#model) return;
    this.#take(latent, what);
    this.map.reveal(this.map.current);
  }

  /** Go to the latent of the image that is nearest on the map. */
  async goToNearest() {
    const { images } = this.shared;
    if (this.#nearest < 0 || !images) return;
    const what = imageName(this.shared, this.#nearest);
    try {
      this.goTo(await this.encode(images.unit(this.#nearest)), what);
    } catch (error) {
      report(error);
    }
  }

  #toolbar() {
    return make(
      "div",
      { class: "toolbar" },
      button("+", () => this.map.zoomBy(1.5), { "aria-label": "Zoom in", title: "Zoom in (+)" }),
      button("−", () => this.map.zoomBy(1 / 1.5), { "aria-label": "Zoom out", title: "Zoom out (-)" }),
      button(
        "All",
        () => {
          this.map.view = null;
          this.changed();
        },
        { "aria-label": "Show all images", title: "Show all images (0)" },
      ),
    );
  }

  #showHeader() {
    const { models } = this.description;
    const model = this.#model;
    const rows = models.map(({ row }) => [row, row]);
    const maps = model.maps.map(({ name }) => [name, MAP_NAMES[name]]);
    const toModel = (row) => {
      const next = models.find((other) => other.row === row);
      const map = next.maps.some(({ name }) => name === this.#space.map.name) ? { map: this.#space.map.name } : {};
      this.open({ ...defaultPane(next), ...map, way: this.interpolation.way })
        .then(() => {
          if (this.#model !== next) return; // something else was chosen in the meantime
          announce(`Model ${row}.`);
          this.switched();
        })
        .catch((error) => {
          report(error);
          this.#showHeader(); // select the model that is still shown
        });
    };
    const toMap = (map) => this.open({ ...this.state, map, view: null, point: null }).catch(report);
    const focused = document.activeElement?.dataset?.choice;
    const within = this.#header.contains(document.activeElement);
    const modelChoice = choice(rows, model.row, toModel);
    const mapChoice = choice(maps, this.#space.map.name, toMap);
    modelChoice.dataset.choice = "model";
    mapChoice.dataset.choice = "map";
    this.#header.replaceChildren(labelled("Model", modelChoice), labelled("Map", mapChoice));
    if (within) this.#header.querySelector(`[data-choice="${focused}"]`)?.focus();
    const kind = model.family === "vae" ? "Variational autoencoder" : "Autoencoder";
    const axes = [0, 1].map((axis) => this.#space.axisName(axis)).filter(Boolean);
    const across = axes.length ? ` Across: ${axes[0]}; up: ${axes[1]}.` : " Images with similar latents are close together.";
    this.#about.textContent = `${kind} with ${model.latent_dim} latents.${across}`;
    this.#describe();
  }

  #describe() {
    const { split } = this.shared;
    const which = split === "both" ? "train and test" : split;
    this.map.label =
      `Map of ${this.#model.row}, ${MAP_NAMES[this.#space.map.name]}: ${this.map.count} ${which} images. ` +
      "Click or use the arrow keys to decode a point.";
  }

  #decodePoint(point, since) {
    const latent = this.#space.latentAt(point, this.latent);
    // A latent between neighbours would be placed slightly off the pointer.
    const shown = this.#space.map.name === "neighbors" ? point : this.#space.pointOf(latent);
    this.#take(latent, `point ${point.map((value) => value.toFixed(2)).join(", ")}`, shown, since);
  }

  #show(pixels, { latent, since, model }) {
    if (model !== this.#model) return;
    showUnit(this.#picture, pixels, this.description.dataset);
    this.decoded = { pixels, latent };
    this.element.dataset.decoded = String(Number(this.element.dataset.decoded ?? 0) + 1);
    // From the pointer to the picture, for observers of performance measures; it is not kept otherwise.
    performance.measure("latentbench: decode", { start: since, end: performance.now() });
    performance.clearMeasures("latentbench: decode");
  }

  #nearText() {
    return this.#nearest < 0 ? "" : `Nearest: ${imageName(this.shared, this.#nearest)}.`;
  }

  #showNearest() {
    const { images } = this.shared;
    this.#nearest = this.map.nearest(this.map.current ?? [0, 0]);
    this.#nearCaption.textContent = this.#nearest < 0 ? "No image is shown" : imageName(this.shared, this.#nearest);
    this.#near.hidden = this.#nearest < 0 || !images;
    if (!this.#near.hidden) images.show(this.#near, this.#nearest);
  }

  #endsChanged() {
    const { from, to } = this.interpolation.ends;
    const marks = [
      [from, "A"],
      [to, "B"],
    ];
    this.map.marks = marks
      .filter(([latent]) => latent)
      .map(([latent, text]) => ({ point: this.#space.pointOf(latent), text }));
    this.map.path = this.interpolation.path().map((latent) => this.#space.pointOf(latent));
    this.map.draw();
    if (this.latent) this.changed();
  }
}

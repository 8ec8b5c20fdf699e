// A diffusion model that shows every step of its sampling.

import { button, choice, labelled, make } from "./elements.js";
import { floats } from "./engine.js";
import { announce, report } from "./messages.js";
import { pictureFor, showUnit } from "./pictures.js";
import { freshSeed, normal } from "./random.js";
import { sample } from "./sampler.js";

/** The panel of the diffusion models. */
export class Diffusion {
  /** The steps of the last sample: {row, seed, label, start, steps: [{level, y, x0, pixels}], done}; for tests. */
  trajectory = null;
  #run = 0; // the number of the sample that may draw
  #label = -1;
  #seed = make("input", { type: "number", min: 0, max: 999_999, step: 1, value: 0, inputMode: "numeric", required: true });
  #noisy;
  #estimate;
  #strip = make("ol", { class: "strip", tabIndex: 0, "aria-label": "Every step" });
  #status = make("p", { class: "note" });
  #stop = button("Stop", () => this.#stopped(), { disabled: true });
  #classes = make("span");

  /**
   * @param {object} description of the pipeline, with diffusion models.
   * @param {import("./engine.js").Engine} engine that runs them.
   */
  constructor({ dataset, diffusion }, engine) {
    this.dataset = dataset;
    this.models = diffusion;
    this.engine = engine;
    this.#noisy = pictureFor(dataset, "", "Noisy image");
    this.#estimate = pictureFor(dataset, "", "Estimate of the image");
    const rows = diffusion.map(({ row }) => [row, row]);
    this.element = make(
      "section",
      { class: "card diffusion", id: "diffusion", "aria-labelledby": "diffusion-title" },
      make("h2", { id: "diffusion-title" }, "Diffusion, step by step"),
      make(
        "p",
        { class: "note" },
        "From noise to an image: at every step the model estimates the image behind the noise, and removes some of the noise.",
      ),
      make(
        "div",
        { class: "controls" },
        labelled("Diffusion model", choice(rows, rows[0][0], (row) => this.#choose(row))),
        labelled("Seed", this.#seed),
        this.#classes,
        button("Sample", () => this.sample()),
        button("Sample again", () => this.#again()),
        this.#stop,
      ),
      make(
        "div",
        { class: "pair" },
        make("figure", {}, this.#noisy, make("figcaption", {}, "Noisy, scaled to the range of images")),
        make("figure", {}, this.#estimate, make("figcaption", {}, "Estimate of the image")),
      ),
      this.#status,
      this.#strip,
    );
    this.#choose(rows[0][0]);
  }

  #choose(row) {
    this.stop();
    this.model = this.models.find((model) => model.row === row);
    this.#label = -1;
    this.#classes.replaceChildren();
    if (this.model.classes_known) {
      const pairs = [["-1", "any"], ...this.dataset.classes.map((name, index) => [String(index), name])];
      this.#classes.append(labelled("Class", choice(pairs, "-1", (value) => (this.#label = Number(value)))));
    }
    const calls = this.model.levels.length - 1;
    const place = this.model.limits ? "pixels" : `${this.model.shape.join(" × ")} latents`;
    this.#status.textContent = `${calls} steps on ${place}.`;
  }

  #again() {
    this.#seed.value = freshSeed();
    return this.sample();
  }

  /** Stop before the next step. */
  stop() {
    this.#run += 1;
    this.#stop.disabled = true;
  }

  #stopped() {
    this.stop();
    const { steps } = this.trajectory;
    this.#status.textContent = `Stopped after ${steps.length} of ${this.model.levels.length - 1} steps.`;
    announce(this.#status.textContent);
  }

  /** Draw a sample with the seed that is set. */
  async sample() {
    if (!this.#seed.reportValidity()) return;
    this.stop();
    const run = this.#run;
    this.#stop.disabled = false;
    try {
      await this.#sample(run);
    } catch (error) {
      report(error);
      if (run === this.#run) this.#status.textContent = "Failed.";
    }
    if (run === this.#run) this.#stop.disabled = true;
  }

  async #sample(run) {
    const { model } = this;
    const { row, shape, levels, limits } = model;
    const seed = this.#seed.valueAsNumber;
    const label = this.#label;
    const size = shape.reduce((product, side) => product * side, 1);
    const start = normal(seed, size).map((value) => Math.sqrt(1 + levels[0] ** 2) * value);
    const trajectory = { row, seed, label, start, steps: [], done: false };
    this.trajectory = trajectory;
    this.#strip.replaceChildren();
    this.#status.textContent = "Loading the model.";
    const denoise = this.#denoiser(model, label);
    for await (const { level, y, x0 } of sample(denoise, levels, start, limits)) {
      const scaled = y.map((value) => value / Math.sqrt(1 + level ** 2));
      const [noisy, pixels] = await this.#decode(model, [scaled, x0]);
      if (run !== this.#run) return;
      trajectory.steps.push({ level, y, x0, pixels });
      this.#showStep(trajectory.steps.length, level, noisy, pixels);
    }
    trajectory.done = true;
    const what = label >= 0 ? `, ${this.dataset.classes[label]}` : "";
    this.#status.textContent = `Done: ${levels.length - 1} steps of ${row}, seed ${seed}${what}.`;
    announce(this.#status.textContent);
  }

  /** Return a function that estimates x_0, moved away from the estimate for any class if one is chosen (Ho & Salimans 2022). */
  #denoiser(model, label) {
    const path = `data/diffusion/${model.row}/denoiser.onnx`;
    const any = this.dataset.classes.length; // the number after the last class stands for any
    const ask = async (y, level, wanted) => {
      const feeds = { noisy: floats(y, [1, ...model.shape]), level: floats(Float32Array.of(level), [1]) };
      if (model.classes_known) feeds.labels = { type: "int64", data: BigInt64Array.of(BigInt(wanted)), dims: [1] };
      return (await this.engine.run(path, feeds)).clean;
    };
    const scale = model.guidance ?? 1;
    return async (y, level) => {
      if (label < 0) return ask(y, level, any);
      const wanted = await ask(y, level, label);
      if (scale === 1) return wanted;
      const anyone = await ask(y, level, any);
      return wanted.map((value, index) => anyone[index] + scale * (value - anyone[index]));
    };
  }

  /** Return data as pixels in [0, 1]. */
  async #decode(model, many) {
    if (model.limits) {
      const [low, high] = model.limits;
      return many.map((data) => data.map((value) => Math.min(1, Math.max(0, (value - low) / (high - low)))));
    }
    const width = many[0].length;
    const together = new Float32Array(many.length * width);
    many.forEach((data, index) => together.set(data, index * width));
    const feeds = { latents: floats(together, [many.length, ...model.shape]) };
    const { images } = await this.engine.run(`data/diffusion/${model.row}/decoder.onnx`, feeds);
    const size = images.length / many.length;
    return many.map((_, index) => images.slice(index * size, (index + 1) * size));
  }

  #showStep(number, level, noisy, pixels) {
    showUnit(this.#noisy, noisy, this.dataset);
    showUnit(this.#estimate, pixels, this.dataset);
    const total = this.model.levels.length - 1;
    this.#status.textContent = `Step ${number} of ${total}: noise ${level.toPrecision(3)}.`;
    const pair = [noisy, pixels].map((image, index) => {
      const canvas = pictureFor(this.dataset, "small", `${index ? "Estimate" : "Noisy image"} of step ${number}`);
      showUnit(canvas, image, this.dataset);
      return canvas;
    });
    this.#strip.append(make("li", {}, ...pair, make("span", {}, level.toPrecision(3))));
  }
}

// A slider for every latent, most important first.

import { button, freshId, make } from "./elements.js";
import { freshSeed, normal } from "./random.js";
import { spread } from "./spaces.js";

const REACH = 4; // spreads on each side of the mean
const QUIET = 100; // ms between updates of all sliders, while the latent changes in every frame

/** Sliders of a model's latents. */
export class Latents {
  #model = null;
  #rows = []; // {slider, output, index} in the order shown
  #latent = null;
  #list = make("div", { class: "sliders" });
  #about = make("p", { class: "note" });
  #last = 0;
  #waiting = 0;

  /** @param {(latent: Float32Array, what: string) => void} changed called with the latent that was set, and how. */
  constructor(changed) {
    this.changed = changed;
    const title = freshId("latents");
    this.#list.setAttribute("aria-labelledby", title);
    this.#list.setAttribute("role", "group");
    this.element = make(
      "section",
      { class: "card latents" },
      make("h3", { id: title }, "Latents"),
      this.#about,
      make(
        "div",
        { class: "buttons" },
        button("Random draw", () => this.#draw()),
        button("Reset to the mean", () => this.changed(Float32Array.from(this.#model.mean), "the mean of all latents")),
      ),
      this.#list,
    );
  }

  /** Show the latents of a model. */
  show(model) {
    this.#model = model;
    const measure = model.ordered_by === "kl" ? "KL divergence" : "variance";
    const unit = model.ordered_by === "kl" ? " nats" : "";
    const fitted = "independent normal distributions, one fitted to each train latent";
    const drawn = model.family === "vae" ? "the prior N(0, I)" : fitted;
    this.#about.textContent = `Ordered by ${measure}. A random draw comes from ${drawn}.`;
    this.#rows = model.order.map((index, place) => {
      const id = freshId("latent");
      const reach = REACH * spread(model, index);
      const slider = make("input", {
        type: "range",
        id,
        min: model.mean[index] - reach,
        max: model.mean[index] + reach,
        step: "any",
        data: { latent: index },
        on: { input: () => this.#slid(index, slider.valueAsNumber) },
      });
      const output = make("output", { for: id });
      const text = `z${index}`;
      const title = `${measure} ${model.importance[place].toPrecision(3)}${unit}`;
      const label = make("label", { for: id, title }, text, make("span", { class: "hidden" }, `, ${title}`));
      const bar = make("span", { class: "importance", "aria-hidden": "true" });
      bar.style.setProperty("--share", model.importance[place] / (model.importance[0] || 1));
      return { index, slider, output, elements: [label, bar, slider, output] };
    });
    this.#list.replaceChildren(...this.#rows.map(({ elements }) => make("div", { class: "slider" }, ...elements)));
    this.#latent = null;
  }

  /** Move the sliders to a latent, but no more often than the eye can see. */
  set latent(latent) {
    this.#latent = latent;
    if (this.#waiting) return;
    const rest = Math.max(0, this.#last + QUIET - performance.now());
    this.#waiting = setTimeout(() => {
      this.#waiting = 0;
      this.#last = performance.now();
      this.#update();
    }, rest);
  }

  #update() {
    for (const { index, slider, output } of this.#rows) {
      const value = this.#latent[index];
      // A slider cannot show a value beyond its ends, so the ends move.
      if (value < Number(slider.min)) slider.min = value;
      if (value > Number(slider.max)) slider.max = value;
      if (slider.valueAsNumber !== value) slider.value = value;
      const text = value.toFixed(2);
      if (output.textContent === text) continue;
      output.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    }
  }

  #slid(index, value) {
    const latent = Float32Array.from(this.#latent);
    latent[index] = value;
    this.changed(latent, `latent ${index} at ${value.toFixed(2)}`);
  }

  #draw() {
    const { family, latent_dim: n, mean, deviation } = this.#model;
    const noise = normal(freshSeed(), n);
    const latent = family === "vae" ? noise : noise.map((value, index) => mean[index] + deviation[index] * value);
    this.changed(latent, "a random draw");
  }
}

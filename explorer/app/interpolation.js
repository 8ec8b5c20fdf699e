// From one picked point to another, as an animation.

import { button, choice, labelled, make } from "./elements.js";
import { report } from "./messages.js";
import { clearPicture, pictureFor, showUnit } from "./pictures.js";
import { WAYS } from "./spaces.js";

const DURATION = 4000; // ms from one end to the other
const STEPS = 8; // still images shown instead, if the system asks for reduced motion
const PATH_POINTS = 33;

/** Picks two latents and plays the path between them. */
export class Interpolation {
  ends = { from: null, to: null };
  #playing = 0; // the requested animation frame
  #pictures = {};
  #way = choice(Object.keys(WAYS).map((way) => [way, way]), "straight", () => {
    this.#changed();
    if (this.#ready) this.#showShare();
  });
  #play = button("Play", () => (this.#playing ? this.pause() : this.#start()), { class: "play", disabled: true });
  #scrubber = make("input", { type: "range", min: 0, max: 100, step: "any", value: 0, disabled: true });
  #position = make("output", {}, "0 %");

  /**
   * @param {object} dataset with the size of images.
   * @param {object} hooks `current()` returns the latent that can be picked, `centre()` the one that spherical paths go around,
   *   `decode(latent)` promises a latent's image, `show(latent, what)` shows a latent, `changed()` is called when an end or the
   *   path changes.
   */
  constructor(dataset, hooks) {
    this.dataset = dataset;
    this.hooks = hooks;
    const end = (name, letter) => {
      this.#pictures[name] = pictureFor(dataset, "small", `${letter}, not picked`);
      return make(
        "div",
        { class: "end" },
        this.#pictures[name],
        button(`Pick ${letter} here`, () => this.pick(name), { data: { end: name } }),
      );
    };
    this.#scrubber.addEventListener("input", () => {
      this.pause();
      this.#showShare();
    });
    this.element = make(
      "section",
      { class: "card interpolation" },
      make("h3", {}, "Interpolation"),
      make("p", { class: "note" }, "Goes from point A to point B. Pick each at the decoded point."),
      make("div", { class: "ends" }, end("from", "A"), end("to", "B")),
      labelled("Path", this.#way),
      make("div", { class: "player" }, this.#play, labelled("Position", this.#scrubber), this.#position),
    );
  }

  get #ready() {
    return this.ends.from !== null && this.ends.to !== null;
  }

  /** The name of the path from A to B. */
  get way() {
    return this.#way.value;
  }

  /** Set the ends, or null for none, and the path between them. */
  reset(from, to, way) {
    this.pause();
    this.ends = { from, to };
    this.#way.value = way;
    this.#scrubber.value = 0;
    this.#position.textContent = "0 %";
    this.#refresh("from");
    this.#refresh("to");
    this.#changed();
  }

  /** Pick the current latent as an end, "from" or "to". */
  pick(name) {
    this.pause();
    this.ends[name] = Float32Array.from(this.hooks.current());
    this.#refresh(name);
    this.#changed();
  }

  /** Return latents along the path, from end to end; none without both ends. */
  path() {
    if (!this.#ready) return [];
    return Array.from({ length: PATH_POINTS }, (_, index) => this.#at(index / (PATH_POINTS - 1)));
  }

  /** Stop where the animation is. */
  pause() {
    cancelAnimationFrame(this.#playing);
    this.#playing = 0;
    this.#play.textContent = "Play";
  }

  #at(share) {
    return WAYS[this.way](this.ends.from, this.ends.to, share, this.hooks.centre());
  }

  #changed() {
    this.#play.disabled = this.#scrubber.disabled = !this.#ready;
    this.hooks.changed();
  }

  async #refresh(name) {
    const canvas = this.#pictures[name];
    const letter = name === "from" ? "A" : "B";
    const latent = this.ends[name];
    canvas.setAttribute("aria-label", latent ? `${letter}, picked` : `${letter}, not picked`);
    if (!latent) {
      clearPicture(canvas);
      return;
    }
    try {
      const pixels = await this.hooks.decode(latent);
      if (this.ends[name] === latent) showUnit(canvas, pixels, this.dataset);
    } catch (error) {
      report(error);
    }
  }

  #showShare() {
    const percent = this.#scrubber.valueAsNumber;
    this.#position.textContent = `${Math.round(percent)} %`;
    this.hooks.show(this.#at(percent / 100), `${Math.round(percent)} % of the way from A to B`);
  }

  #start() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let before = null;
    let way = 1; // to B; -1 on the way back
    let share = this.#scrubber.valueAsNumber / 100;
    if (share >= 1) share = 0;
    const frame = (now) => {
      share += (way * (now - (before ?? now))) / DURATION;
      before = now;
      if (share >= 1 || share <= 0) {
        way = share >= 1 ? -1 : 1;
        share = Math.min(1, Math.max(0, share));
      }
      const shown = 100 * (calm ? Math.round(share * STEPS) / STEPS : share);
      if (shown !== this.#scrubber.valueAsNumber) {
        this.#scrubber.value = shown;
        this.#showShare();
      }
      this.#playing = requestAnimationFrame(frame);
    };
    this.#play.textContent = "Pause";
    this.#playing = requestAnimationFrame(frame);
  }
}

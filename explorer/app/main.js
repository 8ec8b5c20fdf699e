// The page as a whole: what all panes share, the panes, and the address.

import { classColors } from "./colors.js";
import { loadDescription, loadImages, loadLabels } from "./data.js";
import { Diffusion } from "./diffusion.js";
import { button, make } from "./elements.js";
import { Engine } from "./engine.js";
import { announce, notify, report } from "./messages.js";
import { OwnImage } from "./own_image.js";
import { Pane } from "./pane.js";
import { Images } from "./pictures.js";
import { PANES, defaultPane, format, parse } from "./state.js";

const QUIET = 250; // ms without a change before the address is written: browsers limit how often it may change

const element = (id) => document.getElementById(id);
const darkScheme = matchMedia("(prefers-color-scheme: dark)");

/** The whole page. */
class Explorer {
  panes = [];
  #theme = "auto";
  #opening; // a promise that the panes of the address are open
  #writing = 0;

  constructor(description, labels) {
    this.description = description;
    this.shared = {
      dataset: description.dataset,
      labels,
      images: null,
      hidden: new Set(),
      split: "train",
      colors: [],
      theme: "light",
      dragPans: false,
    };
    this.engine = new Engine();
    this.own = new OwnImage(description.dataset, () => this.panes);
    const sections = [this.own.element];
    if (description.diffusion.length) {
      // A separate worker: steps of a sample must not wait for a drag, nor the other way round.
      this.diffusion = new Diffusion(description, new Engine());
      sections.push(this.diffusion.element);
    }
    element("sections").replaceChildren(...sections);
    this.#listen();
  }

  /** Show what the address says. */
  async open() {
    if (!this.description.models.length) {
      this.own.element.hidden = true;
      notify("There is no latent space to show: this run has no autoencoder and no VAE (rows in params.yaml).");
      return;
    }
    const { state, problems } = parse(location.hash, this.description);
    if (problems.length) notify(`Parts of the address could not be read and are ignored: ${problems.join("; ")}.`);
    this.shared.split = state.split;
    this.shared.hidden = state.hidden;
    element("split").value = state.split;
    element("theme").value = state.theme;
    this.#theme = state.theme;
    this.#paint();
    this.#arrange(state.panes.length);
    element("controls").inert = false; // from here on, there is something for them to change
    this.#opening = Promise.all(state.panes.map((pane, index) => (index ? this.#openBeside(pane) : this.panes[0].open(pane))));
    await this.#opening;
  }

  /**
   * Open the second pane; it is closed again if its model does not load, since the address waits for all panes.
   * @returns {Promise<boolean>} whether it shows what the state says.
   */
  async #openBeside(state) {
    const pane = this.panes[1];
    try {
      await pane.open(state);
    } catch (error) {
      if (!pane.model && this.panes[1] === pane) this.#arrange(1);
      report(error);
      return false;
    }
    return this.panes[1] === pane;
  }

  /** Have one pane or two. */
  #arrange(n) {
    while (this.panes.length > n) this.panes.pop().close();
    while (this.panes.length < n) {
      const name = PANES[this.panes.length];
      const changed = () => this.#changed();
      const switched = () => this.own.update([pane]);
      const pane = new Pane(name, this.description, this.shared, this.engine, changed, switched);
      this.panes.push(pane);
      element("panes").append(pane.element);
    }
    element("panes").classList.toggle("two", n > 1);
    element("compare").setAttribute("aria-pressed", String(n > 1));
  }

  #changed() {
    clearTimeout(this.#writing);
    this.#writing = setTimeout(() => this.#write(), QUIET);
  }

  /** Write the view into the address. */
  #write() {
    if (this.panes.some((pane) => !pane.latent)) return;
    const panes = this.panes.map((pane) => pane.state);
    const state = { split: this.shared.split, hidden: this.shared.hidden, theme: this.#theme, panes };
    history.replaceState(null, "", `#${format(state, this.description)}`);
  }

  /** Apply the colours of the theme. */
  #paint() {
    const theme = this.#theme === "auto" ? (darkScheme.matches ? "dark" : "light") : this.#theme;
    document.documentElement.dataset.theme = theme;
    this.shared.theme = theme;
    this.shared.colors = classColors(this.description.dataset.classes.length, theme);
    this.#showLegend();
    for (const pane of this.panes) pane.map.draw();
  }

  #showLegend() {
    const { dataset, hidden, colors } = this.shared;
    const items = dataset.classes.map((name, index) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.setProperty("--color", colors[index]);
      const toggle = button("", () => this.#toggle(index), {
        class: "class",
        "aria-pressed": String(!hidden.has(index)),
        data: { class: index },
      });
      toggle.append(swatch, name);
      return toggle;
    });
    const all = button("All", () => this.#hide(new Set()), { class: "quiet", "aria-label": "Show all classes" });
    const none = button("None", () => this.#hide(new Set(dataset.classes.keys())), {
      class: "quiet",
      "aria-label": "Hide all classes",
    });
    element("legend").replaceChildren(...items, all, none);
  }

  #toggle(index) {
    const hidden = new Set(this.shared.hidden);
    if (!hidden.delete(index)) hidden.add(index);
    this.#hide(hidden);
    const name = this.description.dataset.classes[index];
    announce(`${name} ${hidden.has(index) ? "hidden" : "shown"}, ${this.#count()}.`);
  }

  #count() {
    const [{ model, map }] = this.panes;
    return model ? `${map.count} images on the map` : "the map is loading";
  }

  #hide(hidden) {
    this.shared.hidden = hidden;
    for (const toggle of element("legend").querySelectorAll("[data-class]")) {
      toggle.setAttribute("aria-pressed", String(!hidden.has(Number(toggle.dataset.class))));
    }
    this.#refresh();
  }

  #refresh() {
    for (const pane of this.panes) pane.refresh();
    this.#changed();
  }

  #listen() {
    element("split").addEventListener("change", (event) => {
      this.shared.split = event.target.value;
      this.#refresh();
      announce(`${event.target.selectedOptions[0].text}: ${this.#count()}.`);
    });
    element("theme").addEventListener("change", (event) => {
      this.#theme = event.target.value;
      this.#paint();
      this.#changed();
    });
    element("drag").addEventListener("change", (event) => {
      this.shared.dragPans = event.target.value === "pan";
    });
    element("compare").addEventListener("click", () => this.#compare().catch(report));
    // A plain link would put its target into the address, which holds the view.
    element("skip").addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(".map canvas")?.focus();
    });
    element("share").addEventListener("click", () => this.#share());
    darkScheme.addEventListener("change", () => this.#paint());
    addEventListener("hashchange", () => this.open().catch(report));
  }

  async #compare() {
    if (this.panes.length > 1) {
      this.#arrange(1);
      this.own.update([]);
    } else {
      await this.#opening; // the first model may still be loading
      if (this.panes.length > 1) return;
      const { models } = this.description;
      const next = models[(models.indexOf(this.panes[0].model) + 1) % models.length];
      this.#arrange(2);
      if (!(await this.#openBeside(defaultPane(next)))) return;
      announce(`${next.row} is shown beside ${this.panes[0].model.row}.`);
    }
    this.#changed();
  }

  async #share() {
    // During an animation, changes come too fast for the address to be written.
    clearTimeout(this.#writing);
    this.#write();
    const status = element("share-status");
    try {
      await navigator.clipboard.writeText(location.href);
      status.textContent = "Copied.";
    } catch {
      status.textContent = "Copying is not allowed here: copy the link from the address bar.";
    }
    announce(status.textContent);
  }
}

/**
 * State for tests and curious users to read, as `window.latentbench`; nothing in it changes the page.
 * - ready: a promise that the first map and its decoder are loaded; `imagesReady` that all images are.
 * - panes: for each, `model`, `map`, `view`, `latent`, `from`, `to`, `way`, `decoded` {pixels, latent} and `point` on the map.
 * - ownImage: pixels of the image that was drawn or dropped, or null.
 * - diffusion: the steps of the last sample, or null; see `Diffusion`.
 */
function publish(explorer, ready, imagesReady) {
  const numbers = (array) => array && [...array];
  window.latentbench = Object.freeze({
    ready,
    imagesReady,
    get panes() {
      return explorer().panes.map((pane) => ({
        ...pane.state,
        from: numbers(pane.interpolation.ends.from),
        to: numbers(pane.interpolation.ends.to),
        latent: numbers(pane.latent),
        point: [...pane.map.current],
        decoded: pane.decoded && { pixels: numbers(pane.decoded.pixels), latent: numbers(pane.decoded.latent) },
      }));
    },
    get ownImage() {
      return numbers(explorer().own.pixels);
    },
    get diffusion() {
      return explorer().diffusion?.trajectory ?? null;
    },
  });
}

/** Load what is needed first, show it, then load the images. */
export function start() {
  let explorer;
  const made = async () => {
    const description = await loadDescription();
    explorer = new Explorer(description, await loadLabels(description.dataset));
    await explorer.open();
  };
  const ready = made();
  const imagesReady = ready.then(async () => {
    const { dataset } = explorer.description;
    explorer.shared.images = new Images(await loadImages(dataset), dataset);
    for (const pane of explorer.panes) pane.refresh();
  });
  publish(() => explorer, ready, imagesReady);
}

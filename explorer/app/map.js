// The map: all images as dots, or as pictures when zoomed in far enough; zoom, pan, marks and keys.

import { quadtree, scaleLinear, select, zoom, zoomIdentity } from "../libraries/d3.js";
import { MAP, channels } from "./colors.js";
import { imageName } from "./data.js";
import { make } from "./elements.js";
import { Raster, pixel } from "./raster.js";

const MARGIN = 0.9; // share of the map that all images take when nothing is zoomed
const FARTHEST = 0.5;
const CLOSEST = 2000;
const REACH = 14; // CSS pixels within which the pointer counts as on a dot
const STEP = 12; // CSS pixels that an arrow key moves
const PICTURE = 34; // CSS pixels of a picture's side
const PICTURES_BELOW = 2500; // images in view at which dots become pictures
const KEYS =
  "Arrow keys move the decoded point; with Shift, they move the map. Plus and minus zoom, 0 shows all. " +
  "A and B mark the ends of an interpolation, N goes to the nearest image.";

/** A map of images that the user can view and point at. */
export class ScatterMap {
  #canvas = make("canvas", { tabIndex: 0, role: "application", "aria-roledescription": "map" });
  #tip = make("div", { class: "tip", hidden: true });
  #tipPicture = make("canvas", { "aria-hidden": "true" });
  #tipText = make("span");
  #context = this.#canvas.getContext("2d", { alpha: false }); // opaque, so cheaper to put on the screen
  #raster = null;
  #space = null;
  #drawn = new Uint32Array(); // indices of the images that are shown
  #tree = null; // of those; built on first use
  #frame = 0;
  #stale = true; // whether the next frame must redraw more than its marks
  #marked = []; // boxes around the small marks of the last frame, [left, top, width, height] in device pixels
  #size = { width: 0, height: 0 }; // CSS pixels
  #density = 1; // device pixels in a CSS pixel
  #fit = { x: 0, y: 0, scale: 1 }; // centre of all images, and CSS pixels in a unit, where nothing is zoomed
  #view = { x: 0, y: 0, zoom: 1 }; // centre in units of the map
  #zooming;
  #resizing = new ResizeObserver(() => this.#resize());
  #dragging = false;
  #hovered = -1;

  /**
   * @param {object} shared what all maps share: `dataset`, `labels`, `images` (null until loaded), `colors`, `theme` and
   *   `dragPans`, whether dragging pans.
   * @param {object} listeners called for each event: `decode(point)`, `moved()` when the user changed the view,
   *   `pick(name)` for "from" and "to", `nearest()`.
   */
  constructor(shared, listeners) {
    this.shared = shared;
    this.listeners = listeners;
    this.marks = []; // {point, text}: letters on the map
    this.current = null; // the decoded point
    this.path = []; // points of the interpolation
    this.pictured = 0; // images drawn as pictures
    this.#canvas.setAttribute("aria-description", KEYS);
    this.#tip.append(this.#tipPicture, this.#tipText);
    this.element = make("div", { class: "map" }, this.#canvas, this.#tip);

    this.#zooming = zoom()
      .scaleExtent([FARTHEST, CLOSEST])
      .filter((event) => this.#moves(event))
      .on("zoom", (event) => this.#zoomed(event));
    select(this.#canvas).call(this.#zooming).on("dblclick.zoom", null);
    this.#listen();
    this.#resizing.observe(this.element);
  }

  /** Show a space, all of it or a view. */
  show(space, view = null) {
    this.#space = space;
    this.refresh();
    this.#measure();
    this.view = view;
  }

  /** Stop drawing. */
  close() {
    this.#resizing.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Describe the map for screen readers. */
  set label(text) {
    this.#canvas.setAttribute("aria-label", text);
  }

  /** Update which images are shown. */
  refresh() {
    const { dataset, labels, hidden, split } = this.shared;
    const first = split === "test" ? dataset.n_train : 0;
    const last = split === "train" ? dataset.n_train : dataset.n_train + dataset.n_test;
    const shown = [];
    for (let index = first; index < last; index += 1) if (!hidden.has(labels[index])) shown.push(index);
    this.#drawn = Uint32Array.from(shown);
    this.#tree = null;
    this.draw();
  }

  /** How many images are shown. */
  get count() {
    return this.#drawn.length;
  }

  /** The view, {x, y, zoom}: its centre in units of the map; null if all images are in view. */
  get view() {
    const { x, y, zoom: factor } = this.#view;
    const off = Math.hypot(x - this.#fit.x, y - this.#fit.y) * this.#fit.scale;
    return off < 0.01 && Math.abs(factor - 1) < 1e-6 ? null : { ...this.#view };
  }

  set view(view) {
    const { x, y, zoom: factor } = view ?? { x: this.#fit.x, y: this.#fit.y, zoom: 1 };
    this.#view = { x, y, zoom: Math.min(CLOSEST, Math.max(FARTHEST, factor)) };
    this.#apply();
  }

  /** Move the map, if needed, so that a point is in view. */
  reveal(point) {
    const [x, y] = this.#place(point);
    if (x >= 0 && y >= 0 && x <= this.#size.width && y <= this.#size.height) return;
    this.view = { x: point[0], y: point[1], zoom: Math.min(1, this.#view.zoom) };
  }

  /** Zoom by a factor around the middle. */
  zoomBy(factor) {
    select(this.#canvas).call(this.#zooming.scaleBy, factor);
    this.listeners.moved();
  }

  /** Return the index of the nearest shown image within a reach in CSS pixels, or -1. */
  nearest([x, y], reach = Infinity) {
    if (this.#drawn.length === 0) return -1;
    const { points } = this.#space;
    this.#tree ??= quadtree()
      .x((index) => points[2 * index])
      .y((index) => points[2 * index + 1])
      .addAll(this.#drawn);
    return this.#tree.find(x, y, reach / this.#scale()) ?? -1;
  }

  /** Draw everything in the next frame. */
  draw() {
    this.#stale = true;
    this.#ask();
  }

  /** Move the mark of the decoded point in the next frame. */
  mark(point) {
    this.current = Array.from(point);
    this.#ask();
  }

  #ask() {
    if (this.#frame || !this.#space) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #scale() {
    return this.#fit.scale * this.#view.zoom;
  }

  /** Return where a point is, in CSS pixels. */
  #place([x, y]) {
    const scale = this.#scale();
    return [
      this.#size.width / 2 + scale * (x - this.#view.x),
      this.#size.height / 2 - scale * (y - this.#view.y),
    ];
  }

  /** Return the point at a place in CSS pixels. */
  #point([x, y]) {
    const scale = this.#scale();
    return [this.#view.x + (x - this.#size.width / 2) / scale, this.#view.y - (y - this.#size.height / 2) / scale];
  }

  #resize() {
    const { width, height } = this.element.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const view = this.view;
    this.#size = { width, height };
    this.#density = Math.min(window.devicePixelRatio || 1, 2);
    this.#canvas.width = Math.round(width * this.#density);
    this.#canvas.height = Math.round(height * this.#density);
    this.#raster = new Raster(this.#canvas.width, this.#canvas.height);
    this.#measure();
    this.view = view;
  }

  /** Find the view that contains all images of both splits, so that switching between them moves nothing. */
  #measure() {
    if (!this.#space || !this.#size.width) return;
    const { points } = this.#space;
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    for (let at = 0; at < points.length; at += 1) {
      const axis = at % 2;
      if (points[at] < low[axis]) low[axis] = points[at];
      if (points[at] > high[axis]) high[axis] = points[at];
    }
    const { width, height } = this.#size;
    const scale = Math.min(width / (high[0] - low[0] || 1), height / (high[1] - low[1] || 1));
    this.#fit = { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, scale: MARGIN * scale };
  }

  /** Set the transform of the zoom gestures to match the view. */
  #apply() {
    const { width, height } = this.#size;
    const { x, y, zoom: factor } = this.#view;
    const transform = zoomIdentity
      .translate(width / 2, height / 2)
      .scale(factor)
      .translate(-this.#fit.scale * (x - this.#fit.x), this.#fit.scale * (y - this.#fit.y));
    select(this.#canvas).call(this.#zooming.transform, transform);
    this.draw();
  }

  /** Return whether an event moves the map, rather than the decoded point. */
  #moves(event) {
    if (event.type === "wheel") return true;
    if (event.type.startsWith("touch")) return event.touches.length > 1 || this.shared.dragPans;
    return event.button === 1 || (event.button === 0 && event.shiftKey !== this.shared.dragPans);
  }

  #zoomed({ transform, sourceEvent }) {
    const { width, height } = this.#size;
    const [x, y] = transform.invert([width / 2, height / 2]);
    this.#view = { x: this.#fit.x + x / this.#fit.scale, y: this.#fit.y - y / this.#fit.scale, zoom: transform.k };
    this.#tip.hidden = true;
    this.draw();
    if (sourceEvent) this.listeners.moved();
  }

  #listen() {
    const canvas = this.#canvas;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      // A second finger is not primary. Fingers are not counted here: one that pans may be lifted outside, unnoticed.
      if (event.button !== 0 || !event.isPrimary || event.shiftKey !== this.shared.dragPans) {
        this.#dragging = false;
        return;
      }
      canvas.setPointerCapture(event.pointerId);
      this.#dragging = true;
      this.#tip.hidden = true;
      this.listeners.decode(this.#point(place(event)), event.timeStamp);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#dragging) this.listeners.decode(this.#point(place(event)), event.timeStamp);
      else if (event.pointerType === "mouse" && event.buttons === 0) this.#hover(place(event));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        this.#dragging = false;
      });
    }
    // A drag that panned sends no click; one without movement is an ordinary click.
    canvas.addEventListener("click", (event) => {
      if (this.shared.dragPans !== event.shiftKey) this.listeners.decode(this.#point(place(event)), event.timeStamp);
    });
    canvas.addEventListener("pointerleave", () => this.#hover(null));
    canvas.addEventListener("contextrestored", () => this.draw()); // the browser lost what was drawn
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #hover(place) {
    const index = place ? this.nearest(this.#point(place), this.pictured ? PICTURE / 2 : REACH) : -1;
    if (index !== this.#hovered) {
      this.#hovered = index;
      this.#ask();
    }
    this.#tip.hidden = index < 0;
    if (index < 0) return;
    const { images } = this.shared;
    const [x, y] = this.#place(this.#space.points.subarray(2 * index, 2 * index + 2));
    this.#tip.dataset.index = index;
    this.#tipText.textContent = imageName(this.shared, index);
    this.#tipPicture.hidden = images === null;
    if (images) images.show(this.#tipPicture, index);
    this.#tip.style.left = `${Math.min(x + 12, this.#size.width - 120)}px`;
    this.#tip.style.top = `${y > this.#size.height - 150 ? y - 140 : y + 12}px`;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow && event.shiftKey) {
      const scale = this.#scale();
      this.view = {
        x: this.#view.x + (4 * STEP * arrow[0]) / scale,
        y: this.#view.y - (4 * STEP * arrow[1]) / scale,
        zoom: this.#view.zoom,
      };
      this.listeners.moved();
    } else if (arrow && this.current) {
      const [x, y] = this.#place(this.current);
      this.listeners.decode(this.#point([x + STEP * arrow[0], y + STEP * arrow[1]]), event.timeStamp);
    } else if (event.key === "+" || event.key === "=") {
      this.zoomBy(1.5);
    } else if (event.key === "-") {
      this.zoomBy(1 / 1.5);
    } else if (event.key === "0") {
      this.view = null;
      this.listeners.moved();
    } else if (["a", "b"].includes(event.key.toLowerCase())) {
      this.listeners.pick(event.key.toLowerCase() === "a" ? "from" : "to");
    } else if (event.key.toLowerCase() === "n") {
      this.listeners.nearest();
    } else {
      return;
    }
    event.preventDefault();
  }

  #render() {
    if (!this.#raster || !this.#space) return;
    const { width, height } = this.#raster;
    const boxes = this.#stale ? [[0, 0, width, height]] : this.#marked;
    if (this.#stale) this.#drawImages();
    this.#stale = false;
    this.#marked = this.#smallMarks().map(([x, y]) => {
      const reach = 18 * this.#density;
      return [x * this.#density - reach, y * this.#density - reach, 2 * reach, 2 * reach].map(Math.floor);
    });
    // If only marks moved, restore the places that they left and redraw marks only there.
    const context = this.#context;
    context.save();
    context.beginPath();
    for (const box of [...boxes, ...this.#marked]) context.rect(...box);
    context.clip();
    for (const box of [...boxes, ...this.#marked]) context.putImageData(this.#raster.image, 0, 0, ...box);
    this.#drawMarks();
    context.restore();
  }

  /** Draw the images into the raster, as dots or pictures. */
  #drawImages() {
    const { theme, labels, colors } = this.shared;
    const density = this.#density;
    const scale = this.#scale() * density;
    const view = {
      scale,
      x: this.#raster.width / 2 - scale * this.#view.x,
      y: this.#raster.height / 2 + scale * this.#view.y,
    };
    const base = this.#drawn.length > 20_000 ? 1.1 : 1.9;
    const radius = density * Math.min(5, base * Math.max(1, this.#view.zoom) ** 0.3);
    const pixels = colors.map((color) => pixel(channels(color)));
    this.#raster.clear(pixel(channels(MAP[theme].ground)));
    this.#raster.dots(this.#space.points, this.#drawn, labels, pixels, view, radius);
    this.#drawPictures(view, pixels);
    this.element.dataset.pictures = this.pictured;
    this.element.dataset.count = this.#drawn.length;
    this.element.dataset.zoom = this.#view.zoom.toFixed(2);
  }

  /** Return the places, in CSS pixels, of the marks that move often: the decoded point and the image under the pointer. */
  #smallMarks() {
    const marks = this.current ? [this.#place(this.current)] : [];
    if (this.#hovered >= 0) marks.push(this.#place(this.#space.points.subarray(2 * this.#hovered, 2 * this.#hovered + 2)));
    return marks;
  }

  /** Draw pictures of the images in view if they are few; one in each cell of a fixed grid. */
  #drawPictures(view, pixels) {
    this.pictured = 0;
    const { dataset, labels, images } = this.shared;
    const { points } = this.#space;
    const { width, height } = this.#raster;
    if (!images) return;
    const seen = [];
    for (const index of this.#drawn) {
      const x = view.x + view.scale * points[2 * index];
      const y = view.y - view.scale * points[2 * index + 1];
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      seen.push(index);
      if (seen.length > PICTURES_BELOW) return;
    }
    if (this.#view.zoom < 1.5 && this.#drawn.length > 300) return;
    const side = Math.round(PICTURE * this.#density);
    // The grid's cells halve as the zoom doubles, so that panning and zooming change few of the pictures.
    const field = (2 ** Math.ceil(Math.log2((side + 8) / view.scale)));
    const frame = Math.max(1, Math.round(1.5 * this.#density));
    const taken = new Set();
    for (const index of seen) {
      const key = `${Math.floor(points[2 * index] / field)},${Math.floor(points[2 * index + 1] / field)}`;
      if (taken.has(key)) continue;
      taken.add(key);
      const left = Math.round(view.x + view.scale * points[2 * index] - side / 2) - frame;
      const top = Math.round(view.y - view.scale * points[2 * index + 1] - side / 2) - frame;
      this.#raster.picture(images.pixels(index), dataset, left, top, side, frame, pixels[labels[index]]);
    }
    this.pictured = taken.size;
  }

  #drawMarks() {
    const context = this.#context;
    const { mark, halo } = MAP[this.shared.theme];
    context.save();
    context.scale(this.#density, this.#density);
    this.#drawTicks(context, MAP[this.shared.theme]);
    context.lineJoin = "round";
    const twice = (draw) => {
      for (const [color, width] of [[halo, 5], [mark, 2]]) {
        context.strokeStyle = color;
        context.lineWidth = width;
        draw();
      }
    };
    if (this.path.length > 1) {
      twice(() => {
        context.beginPath();
        for (const point of this.path) context.lineTo(...this.#place(point));
        context.stroke();
      });
    }
    if (this.#hovered >= 0) {
      const [x, y] = this.#place(this.#space.points.subarray(2 * this.#hovered, 2 * this.#hovered + 2));
      twice(() => {
        context.beginPath();
        context.arc(x, y, 6, 0, 2 * Math.PI);
        context.stroke();
      });
    }
    if (this.current) {
      const [x, y] = this.#place(this.current);
      twice(() => {
        context.beginPath();
        context.arc(x, y, 8, 0, 2 * Math.PI);
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(x + 4 * dx, y + 4 * dy);
          context.lineTo(x + 14 * dx, y + 14 * dy);
        }
        context.stroke();
      });
    }
    context.font = "bold 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { point, text } of this.marks) {
      const [x, y] = this.#place(point);
      context.fillStyle = mark;
      context.strokeStyle = halo;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 10, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      context.fillStyle = halo;
      context.fillText(text, x, y + 0.5);
    }
    context.restore();
  }

  #drawTicks(context, { letters, halo, line }) {
    const { width, height } = this.#size;
    if (!this.#space.axisName(0)) return;
    const [left, top] = this.#point([0, 0]);
    const [right, bottom] = this.#point([width, height]);
    const across = scaleLinear([left, right], [0, width]);
    const down = scaleLinear([top, bottom], [0, height]);
    const write = (text, x, y) => {
      context.strokeStyle = halo;
      context.lineWidth = 4;
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
      context.strokeStyle = line;
      context.lineWidth = 1;
    };
    context.font = "11px system-ui, sans-serif";
    context.lineJoin = "round";
    context.fillStyle = letters;
    context.strokeStyle = line;
    context.lineWidth = 1;
    const ticks = (scale, least, most, draw) => {
      const format = scale.tickFormat(6);
      for (const value of scale.ticks(6)) {
        const place = Math.round(scale(value)) + 0.5;
        if (place >= least && place <= most) draw(place, format(value));
      }
    };
    const stroke = (x, y, toX, toY) => {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(toX, toY);
      context.stroke();
    };
    context.textAlign = "center";
    context.textBaseline = "bottom";
    ticks(across, 40, width - 20, (x, text) => {
      stroke(x, height, x, height - 5);
      write(text, x, height - 6);
    });
    context.textAlign = "left";
    context.textBaseline = "middle";
    ticks(down, 14, height - 24, (y, text) => {
      stroke(0, y, 5, y);
      write(text, 8, y);
    });
  }
}

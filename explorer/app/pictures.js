// Images on canvases: grey, or in colour with one channel after the other.

import { make } from "./elements.js";
import { Expected } from "./messages.js";

// A browser whose graphics process has ended draws nothing until a new one has started, after half a second or so.
const TRIES = 100;
const PAUSE = 100; // ms

/** The images of the dataset. */
export class Images {
  /**
   * @param {Uint8Array} bytes (n, channels, height, width)
   * @param {{channels: number, height: number, width: number}} dataset
   */
  constructor(bytes, { channels, height, width }) {
    this.bytes = bytes;
    this.channels = channels;
    this.height = height;
    this.width = width;
  }

  /** Return the pixels of one, (channels, height, width) uint8. */
  pixels(index) {
    const size = this.channels * this.height * this.width;
    return this.bytes.subarray(index * size, (index + 1) * size);
  }

  /** Return the pixels of one, (channels, height, width) float32 in [0, 1]. */
  unit(index) {
    return Float32Array.from(this.pixels(index), (value) => value / 255);
  }

  /** Show one on a canvas. */
  show(canvas, index) {
    showUnit(canvas, this.unit(index), this);
  }
}

/** Return a canvas for an image of the dataset's size, marked as empty until one is shown. */
export function pictureFor({ height, width }, kind, label) {
  const canvas = make("canvas", { class: `picture ${kind} empty`, role: "img", "aria-label": label });
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

const shown = new WeakMap(); // what each canvas shows, as ImageData

/** Show an image on a canvas, and again whenever the browser has lost the canvas's content. */
function put(canvas, image) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!shown.has(canvas)) {
    canvas.addEventListener("contextrestored", () => {
      if (shown.get(canvas)) context.putImageData(shown.get(canvas), 0, 0);
    });
  }
  shown.set(canvas, image);
  context.putImageData(image, 0, 0);
}

/**
 * Return the pixels of a picture that is drawn at a place on a transparent background.
 * @param {ImageBitmap} picture
 * @param {number[]} place left, top, width and height, in pixels of the background.
 * @param {{width: number, height: number}} size of the background.
 * @returns {Promise<ImageData>}
 * @throws {Expected} the browser has not been able to draw for a while.
 */
export async function pixelsOf(picture, place, { width, height }) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const canvas = make("canvas");
    canvas.width = width;
    canvas.height = height + 1; // the last line is a mark: if it cannot be read back, nothing was drawn
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, ...place);
    context.fillRect(0, height, width, 1);
    if (context.getImageData(0, height, 1, 1).data[3] === 255) return context.getImageData(0, 0, width, height);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  throw new Expected("This browser cannot draw at the moment. Load this page again, and choose the file once more.");
}

/** Remove the image from a canvas. */
export function clearPicture(canvas) {
  if (shown.has(canvas)) shown.set(canvas, null);
  canvas.getContext("2d", { willReadFrequently: true }).clearRect(0, 0, canvas.width, canvas.height);
  canvas.classList.add("empty");
}

/** Show pixels, (channels, height, width), clipped to [0, 1], on a canvas of that size; the style sheet enlarges it. */
export function showUnit(canvas, pixels, { channels, height, width }) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(width, height);
  const { data } = image; // clips to 0 and 255, and rounds
  const size = height * width;
  const [green, blue] = channels === 3 ? [size, 2 * size] : [0, 0]; // where each begins
  for (let at = 0; at < size; at += 1) {
    data[4 * at] = 255 * pixels[at];
    data[4 * at + 1] = 255 * pixels[green + at];
    data[4 * at + 2] = 255 * pixels[blue + at];
    data[4 * at + 3] = 255;
  }
  put(canvas, image);
  canvas.classList.remove("empty");
}

/** Return the mean squared difference of two images. */
export function squaredError(first, second) {
  return first.reduce((sum, value, at) => sum + (value - second[at]) ** 2, 0) / first.length;
}

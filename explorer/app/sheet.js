// The sheet to draw on. The page stores its pixels itself: a canvas loses its content whenever the browser's graphics
// process ends, which a driver or a busy machine can cause at any time.

const VISIBLE = 5 / 255; // between the darkest and the lightest pixel of an image that shows something
const FAINT = 0.25; // between the background and the mean brightness of an image that is too close to it

/** A sheet of pixels; where they are transparent, the background of the dataset shows. */
export class Sheet {
  /** The pixels, to be put on a canvas in front of the background. */
  image;
  /** Where a file's picture is, [left, top, right, bottom] in pixels, inclusive. */
  #frame;

  /**
   * @param {number} width in pixels.
   * @param {number} height in pixels.
   * @param {number} background brightness of the dataset's background, in [0, 1].
   */
  constructor(width, height, background) {
    this.image = new ImageData(width, height);
    this.background = background;
    this.clear();
  }

  /** Clear the sheet. */
  clear() {
    const { data, width, height } = this.image;
    data.fill(255 * this.background);
    for (let at = 3; at < data.length; at += 4) data[at] = 255;
    this.#frame = [0, 0, width - 1, height - 1];
  }

  /**
   * Put a picture on the sheet.
   * @param {ImageData} image of the sheet's size, transparent beside the picture.
   * @param {number[]} place of the picture in it: left, top, width and height, in pixels.
   */
  take(image, [left, top, wide, high]) {
    this.image.data.set(image.data);
    const whole = (start, length) => {
      const first = Math.ceil(start);
      return [first, Math.max(first, Math.floor(start + length) - 1)]; // pixels that the picture covers only partly do not count
    };
    const [[x0, x1], [y0, y1]] = [whole(left, wide), whole(top, high)];
    this.#frame = [x0, y0, x1, y1];
  }

  /** Invert the sheet; transparent pixels stay transparent. */
  invert() {
    const { data } = this.image;
    for (let at = 0; at < data.length; at += 1) if (at % 4 < 3) data[at] = 255 - data[at];
  }

  /** Draw a line with round ends; (x, y) of its ends and its width are in pixels, `ink` is red, green and blue to 255. */
  stroke(from, to, lineWidth, ink) {
    const { data, width, height } = this.image;
    const reach = lineWidth / 2;
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const squared = dx * dx + dy * dy;
    const [left, right] = [Math.min(from[0], to[0]) - reach - 1, Math.max(from[0], to[0]) + reach + 1];
    const [top, bottom] = [Math.min(from[1], to[1]) - reach - 1, Math.max(from[1], to[1]) + reach + 1];
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(height, bottom); y += 1) {
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(width, right); x += 1) {
        const [px, py] = [x + 0.5 - from[0], y + 0.5 - from[1]];
        const share = squared ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
        const distance = Math.hypot(px - share * dx, py - share * dy);
        const cover = Math.min(1, Math.max(0, reach + 0.5 - distance));
        if (!cover) continue;
        const at = 4 * (y * width + x);
        const under = (data[at + 3] / 255) * (1 - cover);
        for (let channel = 0; channel < 3; channel += 1) {
          data[at + channel] = (cover * ink[channel] + under * data[at + channel]) / (cover + under);
        }
        data[at + 3] = 255 * (cover + under);
      }
    }
  }

  /**
   * Return the sheet in front of the background, scaled down to an image, (channels, height, width) float32 in [0, 1]; a
   * single channel is the luma.
   * @param {boolean} [inverted] whether to invert the sheet first.
   */
  scaled({ channels, height, width }, inverted = false) {
    const size = width * height;
    const pixels = new Float32Array(channels * size);
    const counts = new Float32Array(size);
    for (let y = 0, at = 0; y < this.image.height; y += 1) {
      const line = Math.floor((y * height) / this.image.height) * width;
      for (let x = 0; x < this.image.width; x += 1, at += 1) {
        const place = line + Math.floor((x * width) / this.image.width);
        counts[place] += 1;
        if (channels === 1) pixels[place] += this.#shown(at, inverted);
        else for (let c = 0; c < channels; c += 1) pixels[c * size + place] += this.#channel(at, c, inverted);
      }
    }
    return pixels.map((value, place) => Math.min(1, value / counts[place % size]));
  }

  /**
   * Return what is wrong with the sheet as an image of a size:
   * - "blank": nothing is visible, even if it were inverted;
   * - "hidden": nothing is visible, but something would be if it were inverted;
   * - "faint": the opaque part is nearly as bright as the background;
   * - "ground": its background is closer to the inverse of the dataset's; only for grey images, others have any background;
   * - null: nothing.
   */
  fault(size) {
    const { channels } = size;
    if (isFlat(this.scaled(size), channels)) return isFlat(this.scaled(size, true), channels) ? "blank" : "hidden";
    const border = this.#border();
    const far = (value) => Math.abs(value - this.background);
    if (channels === 1 && far(median(border.map((at) => this.#shown(at)))) > 0.5) return "ground";
    if (median(border.map((at) => this.#opacity(at))) > 0.5) return null;
    const mean = this.#mean();
    return far(mean) < FAINT && far(1 - mean) > far(mean) ? "faint" : null;
  }

  #opacity(pixel) {
    return this.image.data[4 * pixel + 3] / 255;
  }

  #luma(pixel) {
    const { data } = this.image;
    const at = 4 * pixel;
    return (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) / 255;
  }

  /** Return the brightness of a pixel in front of the background. */
  #shown(pixel, inverted = false) {
    const luma = this.#luma(pixel);
    return this.background + this.#opacity(pixel) * ((inverted ? 1 - luma : luma) - this.background);
  }

  /** Return a channel of a pixel in front of the background. */
  #channel(pixel, channel, inverted = false) {
    const value = this.image.data[4 * pixel + channel] / 255;
    return this.background + this.#opacity(pixel) * ((inverted ? 1 - value : value) - this.background);
  }

  /** Return the pixels at the border of the picture. */
  #border() {
    const [left, top, right, bottom] = this.#frame;
    const { width } = this.image;
    const found = [];
    for (let x = left; x <= right; x += 1) found.push(top * width + x, bottom * width + x);
    for (let y = top + 1; y < bottom; y += 1) found.push(y * width + left, y * width + right);
    return found;
  }

  /** Return the mean brightness of the opaque part. */
  #mean() {
    let sum = 0;
    let weights = 0;
    for (let pixel = 0; 4 * pixel < this.image.data.length; pixel += 1) {
      sum += this.#opacity(pixel) * this.#luma(pixel);
      weights += this.#opacity(pixel);
    }
    return sum / weights;
  }
}

/** Return whether each channel has a single value. */
function isFlat(pixels, channels) {
  const size = pixels.length / channels;
  return Array.from({ length: channels }, (_, c) => pixels.subarray(c * size, (c + 1) * size)).every(
    (plane) => plane.reduce((most, value) => Math.max(most, value)) - plane.reduce((least, value) => Math.min(least, value)) < VISIBLE,
  );
}

function median(values) {
  return values.sort((first, second) => first - second)[Math.floor(values.length / 2)];
}

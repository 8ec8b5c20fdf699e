// Dots and small images written straight into the pixels of a canvas.
//
// A loop over 60,000 points takes a few milliseconds on any machine, with or without a GPU. With software rendering, WebGL
// takes ten times as long for the same picture (`make benchmark-explorer` measures both).

/** Return a pixel as ImageData stores it on the (little-endian) machines that browsers run on. */
export function pixel([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Return a disc as offsets from its centre and the share of each pixel, 0 to 256, that it covers. */
function disc(radius) {
  const reach = Math.ceil(radius);
  const covered = [];
  for (let y = -reach; y <= reach; y += 1) {
    for (let x = -reach; x <= reach; x += 1) {
      const share = Math.round(256 * Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(x, y))));
      if (share > 0) covered.push([x, y, share]);
    }
  }
  return { reach, covered };
}

/** Pixels to draw on, (height, width). */
export class Raster {
  constructor(width, height) {
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.width = width;
    this.height = height;
  }

  /** Make all pixels one colour. */
  clear(color) {
    this.pixels.fill(color);
  }

  /**
   * Draw a disc at each of some points.
   * @param {Float32Array} points (n, 2), in the units of a map.
   * @param {Uint32Array} drawn indices of the points to draw, in this order.
   * @param {Uint8Array} labels (n,)
   * @param {number[]} colors of the labels, as `pixel` gives them.
   * @param {{scale: number, x: number, y: number}} view a point (X, Y) is at (x + scale * X, y - scale * Y) in pixels.
   * @param {number} radius in pixels.
   */
  dots(points, drawn, labels, colors, view, radius) {
    const { pixels, width, height } = this;
    const { reach, covered } = disc(radius);
    const n = covered.length;
    const offsets = Int32Array.from(covered, ([x, y]) => y * width + x);
    const shares = Int32Array.from(covered, ([, , share]) => share);
    for (const index of drawn) {
      const x = Math.round(view.x + view.scale * points[2 * index]);
      const y = Math.round(view.y - view.scale * points[2 * index + 1]);
      if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
      const color = colors[labels[index]];
      const redBlue = color & 0xff00ff;
      const green = color & 0x00ff00;
      const centre = y * width + x;
      for (let part = 0; part < n; part += 1) {
        const at = centre + offsets[part];
        const share = shares[part];
        if (share === 256) {
          pixels[at] = color;
        } else {
          const below = pixels[at];
          const rest = 256 - share;
          pixels[at] =
            0xff000000 |
            ((redBlue * share + (below & 0xff00ff) * rest) >>> 8 & 0xff00ff) |
            ((green * share + (below & 0x00ff00) * rest) >>> 8 & 0x00ff00);
        }
      }
    }
  }

  /**
   * Draw an image with a frame, scaled to nearest pixels and clipped to the raster.
   * @param {Uint8Array} image (channels, height, width)
   * @param {{channels: number, height: number, width: number}} shape of the image.
   * @param {number} left where the frame begins, in pixels.
   * @param {number} top
   * @param {number} size of the longer side, in pixels, without the frame.
   * @param {number} frame its width, in pixels.
   * @param {number} color of the frame, as `pixel` gives it.
   */
  picture(image, { channels, height: imageHeight, width: imageWidth }, left, top, size, frame, color) {
    const { pixels, width, height } = this;
    const plane = imageHeight * imageWidth;
    const [green, blue] = channels === 3 ? [plane, 2 * plane] : [0, 0]; // where each begins
    const ratio = size / Math.max(imageWidth, imageHeight);
    const wide = Math.round(imageWidth * ratio);
    const high = Math.round(imageHeight * ratio);
    for (let row = -frame; row < high + frame; row += 1) {
      const y = top + frame + row;
      if (y < 0 || y >= height) continue;
      const line = Math.floor(row / ratio) * imageWidth;
      for (let column = -frame; column < wide + frame; column += 1) {
        const x = left + frame + column;
        if (x < 0 || x >= width) continue;
        const inside = row >= 0 && row < high && column >= 0 && column < wide;
        const at = line + Math.floor(column / ratio);
        pixels[y * width + x] = inside ? pixel([image[at], image[green + at], image[blue + at]]) : color;
      }
    }
  }
}

// Between a latent space and its maps.

const NEIGHBORS = 8; // as in the stage that places images on the map of neighbours

/** Return the scale of a latent: its deviation over the train images, for a VAE at least that of the prior, never 0. */
export function spread(model, index) {
  return model.family === "vae" ? Math.max(1, model.deviation[index]) : model.deviation[index] || 1;
}

/** Return the centre of spherical interpolation: the prior's mean for a VAE, otherwise that of the train latents. */
export function centre(model) {
  return model.family === "vae" ? new Float32Array(model.latent_dim) : Float32Array.from(model.mean);
}

/** Return the squared distances of points (n, width) to a point. */
function distances(points, width, point) {
  const found = new Float64Array(points.length / width);
  for (let row = 0, at = 0; row < found.length; row += 1) {
    let sum = 0;
    for (let column = 0; column < width; column += 1, at += 1) {
      const difference = points[at] - point[column];
      sum += difference * difference;
    }
    found[row] = sum;
  }
  return found;
}

/** Return the mean of the values (n, width) of the nearest points, weighted by inverse distance; exact at a point itself. */
function interpolated(squared, values, width) {
  const nearest = [];
  for (let row = 0; row < squared.length; row += 1) {
    if (nearest.length === NEIGHBORS && squared[row] >= squared[nearest[NEIGHBORS - 1]]) continue;
    let place = nearest.length;
    while (place > 0 && squared[nearest[place - 1]] > squared[row]) place -= 1;
    nearest.splice(place, 0, row);
    nearest.length = Math.min(nearest.length, NEIGHBORS);
  }
  const exact = squared[nearest[0]] === 0;
  const weights = nearest.map((row) => (exact ? Number(squared[row] === 0) : 1 / Math.sqrt(squared[row])));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = new Float32Array(width);
  for (let column = 0; column < width; column += 1) {
    let sum = 0;
    nearest.forEach((row, place) => {
      sum += weights[place] * values[row * width + column];
    });
    mean[column] = sum / total;
  }
  return mean;
}

/** A map of a model's latent space: where latents lie on it, and which latents its points represent. */
export class Space {
  /**
   * @param {object} model as described by the pipeline.
   * @param {object} map one of its maps.
   * @param {Float32Array} points (n, 2) where the map has the images.
   * @param {Float32Array} anchors (n_anchors, latent_dim) latents that the map of neighbours was fitted on.
   */
  constructor(model, map, points, anchors) {
    this.model = model;
    this.map = map;
    this.points = points;
    this.anchors = anchors;
    this.anchorPoints = new Float32Array(2 * model.anchor_index.length);
    model.anchor_index.forEach((image, row) => {
      this.anchorPoints.set(points.subarray(2 * image, 2 * image + 2), 2 * row);
    });
  }

  /** Return the name of an axis of the map; empty if the axes have no meaning. */
  axisName(axis) {
    if (this.map.name === "latents") return `latent ${this.map.dimensions[axis]}`;
    return this.map.name === "pca" ? `principal component ${axis + 1}` : "";
  }

  /** Return the latent that a point represents, given the current one. */
  latentAt([x, y], current) {
    if (this.map.name === "neighbors") {
      return interpolated(distances(this.anchorPoints, 2, [x, y]), this.anchors, this.model.latent_dim);
    }
    if (this.map.name === "latents") {
      const latent = Float32Array.from(current);
      latent[this.map.dimensions[1]] = y;
      latent[this.map.dimensions[0]] = x; // in a space with one latent, both axes are the same
      return latent;
    }
    const [first, second] = this.map.components;
    return Float32Array.from(this.model.mean, (mean, index) => mean + x * first[index] + y * second[index]);
  }

  /** Return the point (2,) where a latent lies. */
  pointOf(latent) {
    if (this.map.name === "neighbors") {
      const squared = distances(this.anchors, this.model.latent_dim, latent);
      return interpolated(squared, this.anchorPoints, 2);
    }
    if (this.map.name === "latents") return Float32Array.from(this.map.dimensions, (index) => latent[index]);
    return Float32Array.from(this.map.components, (component) =>
      component.reduce((sum, weight, index) => sum + weight * (latent[index] - this.model.mean[index]), 0),
    );
  }
}

/** Return the latent at a share of the way along the straight line between two. */
export function straight(from, to, share) {
  return from.map((value, index) => value + share * (to[index] - value));
}

/**
 * Return the latent at a share of the way along the arc between two around a centre, with the weights of Shoemake 1985; on
 * the straight line if they lie in the same or in opposite directions from it.
 */
export function spherical(from, to, share, around) {
  const length = (vector) => Math.hypot(...vector);
  const [a, b] = [from, to].map((end) => Float64Array.from(end, (value, index) => value - around[index]));
  const product = a.reduce((sum, value, index) => sum + value * b[index], 0);
  const cosine = product / (length(a) * length(b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) > 1e-6)) return straight(from, to, share);
  const first = Math.sin((1 - share) * angle) / Math.sin(angle);
  const second = Math.sin(share * angle) / Math.sin(angle);
  return from.map((_, index) => around[index] + first * a[index] + second * b[index]);
}

/** The paths between two latents, by name. */
export const WAYS = { straight, spherical };

// The view as the part of the address after "#", so that it can be shared.
//
//   split=test&hide=0.3&theme=dark&a=vae_dense&a.map=pca&a.view=0.1,-2,4&a.latent=...&a.from=...&a.to=...&a.way=spherical&b=ae_conv&...
//
// A latent is stored as 16-bit steps of 1/2048 of its spread from the mean, in URL-safe base64. On the map of neighbours,
// a.point=0.1,-2 says where the decoded point is, since other points represent almost the same latent.

import { WAYS, spread } from "./spaces.js";

export const SPLITS = ["train", "test", "both"];
export const THEMES = ["auto", "light", "dark"];
const STEPS = 2048;
const SHOWN = 60; // characters of unreadable text in a message
const FARTHEST = 1e6; // distance of a place from the middle, in units of a map
export const PANES = ["a", "b"];
const LATENTS = ["latent", "from", "to"];

/** Return a latent as text. */
export function encodeLatent(model, latent) {
  const bytes = new DataView(new ArrayBuffer(2 * latent.length));
  latent.forEach((value, index) => {
    const steps = Math.round((STEPS * (value - model.mean[index])) / spread(model, index));
    bytes.setInt16(2 * index, Math.min(32767, Math.max(-32768, steps)), true);
  });
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes.buffer)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Return a latent from text; null if the text is not a latent of this model. */
export function decodeLatent(model, text) {
  let raw;
  try {
    raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null; // not base64: the caller says so
  }
  if (raw.length !== 2 * model.latent_dim) return null;
  const bytes = new DataView(Uint8Array.from(raw, (letter) => letter.charCodeAt(0)).buffer);
  return Float32Array.from(
    { length: model.latent_dim },
    (_, index) => model.mean[index] + (bytes.getInt16(2 * index, true) / STEPS) * spread(model, index),
  );
}

/** Return what a pane shows by default. */
export function defaultPane(model) {
  const latents = { latent: null, from: null, to: null };
  return { model: model.row, map: defaultMap(model), view: null, ...latents, way: "straight", point: null };
}

/** Return the name of the map that a model shows first: the one of neighbours, which separates classes best. */
export function defaultMap(model) {
  return model.maps[model.maps.length - 1].name;
}

/** Return the state in which the page opens. */
export function defaults(description) {
  const model = description.models.find(({ family }) => family === "vae") ?? description.models[0];
  return { split: "train", hidden: new Set(), theme: "auto", panes: [defaultPane(model)] };
}

/** Return a state as text, without defaults. */
export function format(state, description) {
  const parts = [];
  if (state.split !== "train") parts.push(`split=${state.split}`);
  if (state.hidden.size) parts.push(`hide=${[...state.hidden].sort((a, b) => a - b).join(".")}`);
  if (state.theme !== "auto") parts.push(`theme=${state.theme}`);
  state.panes.forEach((pane, index) => {
    const key = PANES[index];
    const model = description.models.find(({ row }) => row === pane.model);
    parts.push(`${key}=${pane.model}`);
    if (pane.map !== defaultMap(model)) parts.push(`${key}.map=${pane.map}`);
    if (pane.view) {
      const { x, y, zoom } = pane.view;
      parts.push(`${key}.view=${numbers([x, y, zoom], 6)}`);
    }
    for (const name of LATENTS) if (pane[name]) parts.push(`${key}.${name}=${encodeLatent(model, pane[name])}`);
    if (pane.way !== "straight") parts.push(`${key}.way=${pane.way}`);
    if (pane.point) parts.push(`${key}.point=${numbers(pane.point, 9)}`);
  });
  return parts.join("&");
}

/**
 * Return the state that a text describes.
 * @returns {{state: object, problems: string[]}} wrong parts of the text keep their defaults and are named in `problems`.
 */
export function parse(text, description) {
  const state = defaults(description);
  const problems = [];
  const given = new Map();
  const wrong = (key, value, what) => problems.push(`${key} is "${short(value)}", ${what}`);
  for (const part of text.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, ...rest] = part.split("=");
    given.set(key, unescaped(rest.join("=")));
  }
  const take = (key) => {
    const value = given.get(key);
    given.delete(key);
    return value;
  };
  const oneOf = (key, allowed, otherwise) => {
    const value = take(key);
    if (value === undefined) return otherwise;
    if (allowed.includes(value)) return value;
    wrong(key, value, `not ${allowed.join(", ")}`);
    return otherwise;
  };
  state.split = oneOf("split", SPLITS, state.split);
  state.theme = oneOf("theme", THEMES, state.theme);
  const hidden = take("hide");
  if (hidden !== undefined) {
    const classes = hidden.split(".").map((value) => (/^\d+$/.test(value) ? Number(value) : Number.NaN));
    if (classes.every((value) => value < description.dataset.classes.length)) state.hidden = new Set(classes);
    else wrong("hide", hidden, "not numbers of classes");
  }
  const rows = description.models.map(({ row }) => row);
  const panes = [];
  for (const key of PANES) {
    const row = oneOf(key, rows, key === "a" ? state.panes[0].model : null);
    if (row === null) continue;
    const model = description.models.find((other) => other.row === row);
    const pane = defaultPane(model);
    pane.map = oneOf(`${key}.map`, model.maps.map(({ name }) => name), pane.map);
    const view = take(`${key}.view`);
    if (view !== undefined) {
      const [x, y, zoom] = read(view, 3) ?? [];
      if (zoom > 0 && near([x, y])) pane.view = { x, y, zoom };
      else wrong(`${key}.view`, view, "not a centre and a zoom");
    }
    for (const name of LATENTS) {
      const latent = take(`${key}.${name}`);
      if (latent === undefined) continue;
      pane[name] = decodeLatent(model, latent);
      if (!pane[name]) problems.push(`${key}.${name} is not a latent of ${row}`);
    }
    pane.way = oneOf(`${key}.way`, Object.keys(WAYS), pane.way);
    const point = take(`${key}.point`);
    if (point !== undefined) {
      const place = read(point, 2);
      if (pane.map === "neighbors" && pane.latent && place && near(place)) pane.point = place;
      if (!pane.point) wrong(`${key}.point`, point, "not the place of a latent on the map of neighbours");
    }
    panes.push(pane);
  }
  state.panes = panes;
  for (const key of given.keys()) problems.push(`"${short(key)}" is unknown`);
  return { state, problems };
}

/** Return numbers as text, with this many digits. */
function numbers(values, digits) {
  return Array.from(values, (value) => Number(value.toPrecision(digits))).join(",");
}

/** Return n numbers from text; null if it is anything else. */
function read(text, n) {
  const values = text.split(",").map((value) => (value.trim() ? Number(value) : Number.NaN));
  return values.length === n && values.every(Number.isFinite) ? values : null;
}

/** Return whether a map can show a place. */
function near(place) {
  return place.every((value) => Math.abs(value) < FARTHEST);
}

/** Return as much of a text as fits into a message. */
function short(text) {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%": the code that reads the value reports it
  }
}

// Fetches what the pipeline wrote, and shows the progress.

import { Expected } from "./messages.js";

const REMEDY = "Run 'make repro', then 'make explore', and load this page again.";

let wanted = 0; // bytes, of everything that is being fetched
let arrived = 0;
let running = 0;

/** Show how far everything that is being fetched has come. */
function showProgress() {
  const bar = document.getElementById("progress");
  bar.hidden = running === 0;
  document.getElementById("progress-bar").value = wanted > 0 ? arrived / wanted : 0;
  document.getElementById("progress-text").textContent =
    `Loading: ${(arrived / 2 ** 20).toFixed(1)} of ${(wanted / 2 ** 20).toFixed(1)} MiB`;
  if (running === 0) wanted = arrived = 0;
}

/**
 * Fetch a file.
 * @param {string} path relative to the page.
 * @returns {Promise<Uint8Array>}
 * @throws {Expected} the file does not load; the message names it.
 */
export async function load(path) {
  running += 1;
  try {
    const answer = await fetch(path);
    if (!answer.ok) throw new Expected(`${path} does not load (${answer.status}). ${REMEDY}`);
    wanted += Number(answer.headers.get("Content-Length") ?? 0);
    const parts = [];
    let size = 0;
    for (const reader = answer.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
      arrived += value.length;
      showProgress();
    }
    const whole = new Uint8Array(size);
    let start = 0;
    for (const part of parts) {
      whole.set(part, start);
      start += part.length;
    }
    return whole;
  } catch (error) {
    if (error instanceof Expected) throw error;
    throw new Expected(`${path} does not load (${error.message}). ${REMEDY}`);
  } finally {
    running -= 1;
    showProgress();
  }
}

/** Fetch a file of numbers, and check how many there are. */
async function loadNumbers(path, Kind, length) {
  const bytes = await load(path);
  if (bytes.length !== length * Kind.BYTES_PER_ELEMENT) {
    throw new Expected(`${path} has ${bytes.length} bytes, not ${length * Kind.BYTES_PER_ELEMENT}. ${REMEDY}`);
  }
  return new Kind(bytes.buffer);
}

/** Fetch a gzipped file; if the server declares it as gzipped, the browser has unpacked it already. */
async function loadGzip(path, length) {
  let bytes = await load(path);
  if (bytes.length !== length && bytes[0] === 0x1f && bytes[1] === 0x8b) {
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    try {
      bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
    } catch (error) {
      throw new Expected(`${path} is damaged (${error.message}). ${REMEDY}`);
    }
  }
  if (bytes.length !== length) {
    throw new Expected(`${path} holds ${bytes.length} bytes, not ${length}. ${REMEDY}`);
  }
  return bytes;
}

/** Fetch the description of everything that the pipeline wrote. */
export async function loadDescription() {
  const path = "data/explorer.json";
  const bytes = await load(path);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new Expected(`${path} is damaged (${error.message}). ${REMEDY}`);
  }
}

/** Fetch the classes of all images, train first, (n_train + n_test,) uint8, or uint16 for more than 256 classes. */
export async function loadLabels({ classes, n_train: nTrain, n_test: nTest }) {
  const Kind = classes.length > 256 ? Uint16Array : Uint8Array;
  const [train, test] = await Promise.all([
    loadNumbers("data/labels/train.bin", Kind, nTrain),
    loadNumbers("data/labels/test.bin", Kind, nTest),
  ]);
  const all = new Kind(nTrain + nTest);
  all.set(train);
  all.set(test, nTrain);
  return all;
}

/** Fetch all images, train first, (n_train + n_test, channels, height, width) uint8. */
export async function loadImages({ channels, height, width, n_train: nTrain, n_test: nTest }) {
  const size = channels * height * width;
  const [test, train] = await Promise.all([
    loadGzip("data/images/test.bin.gz", nTest * size),
    loadGzip("data/images/train.bin.gz", nTrain * size),
  ]);
  const all = new Uint8Array((nTrain + nTest) * size);
  all.set(train);
  all.set(test, nTrain * size);
  return all;
}

/** Return the name of an image, given its index among all images in `shared`, train first; see `ScatterMap`. */
export function imageName({ dataset, labels }, index) {
  const test = index >= dataset.n_train;
  return `${dataset.classes[labels[index]]}, ${test ? "test" : "train"} image ${test ? index - dataset.n_train : index}`;
}

const places = new Map();

/**
 * Fetch the places that a model gives the images, once.
 * @returns {Promise<{maps: Float32Array[], anchors: Float32Array}>} a map is (n_train + n_test, 2), train first; anchors are the
 *   latents (n_anchors, latent_dim) that the map of neighbours was fitted on.
 */
export function loadPlaces(model, dataset) {
  if (!places.has(model.row)) {
    const n = dataset.n_train + dataset.n_test;
    const folder = `data/models/${model.row}`;
    const loading = Promise.all([
      loadNumbers(`${folder}/maps.bin`, Float32Array, model.maps.length * n * 2),
      loadNumbers(`${folder}/anchors.bin`, Float32Array, model.anchor_index.length * model.latent_dim),
    ]).then(([all, anchors]) => ({
      maps: model.maps.map((_, index) => all.subarray(index * n * 2, (index + 1) * n * 2)),
      anchors,
    }));
    loading.catch(() => places.delete(model.row)); // the next call tries again; this one gets the error
    places.set(model.row, loading);
  }
  return places.get(model.row);
}

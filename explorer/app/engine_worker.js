// Runs the exported networks outside the page's thread, so that the page stays smooth.

import { env, InferenceSession, Tensor } from "../libraries/ort.wasm.min.mjs";

env.wasm.wasmPaths = new URL("../libraries/", import.meta.url).href;
env.wasm.numThreads = 1; // more would need headers that not every server sends
env.logLevel = "error";

const sessions = new Map();

function session(path, bytes) {
  if (!sessions.has(path)) sessions.set(path, InferenceSession.create(bytes, { executionProviders: ["wasm"] }));
  return sessions.get(path);
}

async function answer({ id, path, bytes, feeds }) {
  try {
    const network = await session(path, bytes);
    if (!feeds) {
      postMessage({ id, outputs: {} });
      return;
    }
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]),
    );
    const results = await network.run(inputs);
    const outputs = Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data]));
    postMessage({ id, outputs });
  } catch (error) {
    if (!feeds) sessions.delete(path); // otherwise the network is loaded, and the page will not send it again
    postMessage({ id, error: String(error?.message ?? error) });
  }
}

let last = Promise.resolve();
onmessage = ({ data }) => {
  if (data.binary) {
    env.wasm.wasmBinary = data.binary;
    return;
  }
  last = last.then(() => answer(data)); // one after the other: a session cannot run twice at once
};

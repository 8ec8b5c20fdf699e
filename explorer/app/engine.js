// The exported networks, run by onnxruntime-web in a worker.

import { load } from "./data.js";
import { Expected } from "./messages.js";

const RUNTIME = "libraries/ort-wasm-simd-threaded.wasm";
let runtime = null; // a promise of its bytes, which go to all workers

function loadRuntime() {
  if (!runtime) {
    runtime = load(RUNTIME);
    runtime.catch(() => (runtime = null)); // the next call tries again; this one gets the error
  }
  return runtime;
}

/** A worker that runs networks, one call at a time. */
export class Engine {
  #worker = null;
  #open = new Map(); // calls without an answer, by number
  #calls = 0;
  #networks = new Map(); // promises that a network is loaded in the worker, by path

  #start(binary) {
    this.#worker = new Worker(new URL("./engine_worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data: { id, outputs, error } }) => {
      const { resolve, reject, path } = this.#open.get(id);
      this.#open.delete(id);
      if (error === undefined) resolve(outputs);
      else reject(new Expected(`${path} does not run: ${error}. Run 'make repro', and load this page again.`));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const message = "libraries/ort.wasm.min.mjs does not load. ";
      const error = new Expected(`${message}Run 'make repro', then 'make explore', and load this page again.`);
      for (const { reject } of this.#open.values()) reject(error);
      this.#open.clear();
      this.#networks.clear();
      this.#worker.terminate();
      this.#worker = null;
    };
    this.#worker.postMessage({ binary });
  }

  #send(message, transfer = []) {
    this.#calls += 1;
    const id = this.#calls;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject, path: message.path });
      this.#worker.postMessage({ id, ...message }, transfer);
    });
  }

  /** Load a network. */
  prepare(path) {
    if (!this.#networks.has(path)) {
      const ready = Promise.all([load(path), loadRuntime()]).then(([bytes, binary]) => {
        if (!this.#worker) this.#start(binary);
        return this.#send({ path, bytes }, [bytes.buffer]);
      });
      ready.catch(() => this.#networks.delete(path));
      this.#networks.set(path, ready);
    }
    return this.#networks.get(path);
  }

  /**
   * Run a network.
   * @param {string} path of its file, relative to the page.
   * @param {Object<string, {type: string, data: Float32Array | BigInt64Array, dims: number[]}>} feeds inputs by name.
   * @returns {Promise<Object<string, Float32Array>>} outputs by name.
   * @throws {Expected} its file does not load or does not run.
   */
  async run(path, feeds) {
    await this.prepare(path);
    return this.#send({ path, feeds });
  }
}

/** Return an input of float32 numbers. */
export function floats(data, dims) {
  return { type: "float32", data, dims };
}

/**
 * Return a function that makes one request at a time: while it waits for an answer, only the latest new request is kept.
 * @template Request, Answer
 * @param {(request: Request) => Promise<Answer>} ask
 * @param {(answer: Answer, request: Request) => void} show called with every answer.
 * @param {(error: unknown) => void} fail called with what went wrong.
 * @returns {(request: Request) => void}
 */
export function latestOnly(ask, show, fail) {
  let busy = false;
  let next = null;
  return async function request(wanted) {
    if (busy) {
      next = { wanted };
      return;
    }
    busy = true;
    for (let now = { wanted }; now; now = next) {
      next = null;
      try {
        show(await ask(now.wanted), now.wanted);
      } catch (error) {
        fail(error);
      }
    }
    busy = false;
  };
}

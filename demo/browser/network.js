// The network in ONNX Runtime Web: WebAssembly, one thread, so any static host serves it.

const PREPARE = "run: python demo/browser/prepare.py";
// Written so that bundlers see which files belong to this one.
const FILES = {
  "the runtime": new URL("./vendor/ort-wasm-simd-threaded.wasm", import.meta.url),
  "sgz.onnx": new URL("./sgz.onnx", import.meta.url),
};

// What a person can mend; the message is a sentence with the remedy.
export class EnhanceError extends Error {}

// A file beside this one as bytes; report(share) is called as it arrives.
async function fetchBytes(name, report = () => {}) {
  let answer;
  try {
    answer = await fetch(FILES[name]);
  } catch {
    throw new EnhanceError(`The page's host did not answer for ${name}. Is it still running?`);
  }
  if (!answer.ok) {
    throw new EnhanceError(`${name} is not beside the page. Where it is hosted, ${PREPARE}`);
  }
  const total = Number(answer.headers.get("content-length"));
  const parts = [];
  let length = 0;
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    length += part.value.length;
    if (total) report(Math.min(length / total, 1)); // a compressed answer is longer unpacked
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

export class Network {
  // Load runtime and network. Fetched here, the runtime needs no MIME type for .wasm.
  static async load(report) {
    if (typeof WebAssembly === "undefined") {
      throw new EnhanceError("This browser has WebAssembly switched off, in which the network runs.");
    }
    const [wasm, graph] = await Promise.all([
      fetchBytes("the runtime", report),
      fetchBytes("sgz.onnx"),
    ]);
    const network = new Network();
    try {
      network.ort = await import("./vendor/ort.js");
    } catch {
      throw new EnhanceError(`vendor/ort.js is missing or damaged. Where it is hosted, ${PREPARE}`);
    }
    network.ort.env.wasm.numThreads = 1; // more would need headers that static hosts do not send
    network.ort.env.wasm.wasmBinary = wasm;
    try {
      network.session = await network.ort.InferenceSession.create(graph);
    } catch (error) {
      throw new EnhanceError(
        `The network could not be started (${error.message}). ` +
          `An up-to-date browser can; if the files are damaged, ${PREPARE}`,
      );
    }
    return network;
  }

  runs = 0;
  #last = Promise.resolve();

  // The factor map {values, width, height}, values [3, h, w] in [-1, 1], of a small picture alike
  // with values in [0, 1]. One after another: a session answers one call at a time.
  factor(small) {
    const answer = this.#last.then(() => this.#run(small));
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #run({ values, width, height }) {
    const image = new this.ort.Tensor("float32", values, [1, 3, height, width]);
    const { factor } = await this.session.run({ image });
    this.runs += 1;
    return { values: factor.data, width, height };
  }
}

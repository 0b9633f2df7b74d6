// Light for dark photos in the browser.
//
//   import { enhance } from "sgz-web";
//   const bright = await enhance(await createImageBitmap(file)); // an ImageBitmap again
//
// enhance() is for one picture at a time; an Enhancer keeps the picture, so that a setting that is
// changed does not run the network again, and draws into a canvas.

import { EnhanceError, Network } from "./network.js";
import {
  findBlack, fitGuide, fitStrength, meanFactor, spareHighlights, subtract,
} from "./look.js";
import { PlainPainter } from "./plain.js";
import { GlPainter } from "./webgl.js";
import { GpuPainter } from "./webgpu.js";

export { EnhanceError };

const PAINTERS = { webgpu: GpuPainter, webgl: GlPainter, javascript: PlainPainter };
export const DEFAULTS = { look: "natural", strength: 1, iterations: 8 };

// Settings with what is left out; EnhanceError where one cannot be.
export function checked(options = {}) {
  const settings = { ...DEFAULTS, ...options };
  if (!["natural", "paper"].includes(settings.look)) {
    throw new EnhanceError(`look is "natural" or "paper", not ${JSON.stringify(settings.look)}.`);
  }
  if (!(settings.strength >= 0 && settings.strength <= 4)) {
    throw new EnhanceError(`strength is a number from 0 to 4, not ${settings.strength}.`);
  }
  const { iterations } = settings;
  if (!(Number.isInteger(iterations) && iterations >= 0 && iterations <= 64)) {
    throw new EnhanceError(`iterations is a whole number from 0 to 64, not ${iterations}.`);
  }
  return settings;
}

let network; // of all enhancers: one download, one session

// The network, loaded once; after a failure it is tried again.
export function loadNetwork(report) {
  network ??= Network.load(report).catch((error) => {
    network = undefined;
    throw error;
  });
  return network;
}

export class Enhancer {
  // With a painter for pictures; backend: "auto", "webgpu", "webgl" or "javascript".
  static async create({ backend = "auto", onLost = () => {}, report } = {}) {
    if (backend !== "auto" && !(backend in PAINTERS)) {
      const known = Object.keys(PAINTERS).join(", ");
      throw new EnhanceError(`backend is auto, ${known}, not ${JSON.stringify(backend)}.`);
    }
    const enhancer = new Enhancer();
    enhancer.kinds = backend === "auto" ? Object.values(PAINTERS) : [PAINTERS[backend]];
    enhancer.made = new Map(); // kind -> its painter, or null where there can be none
    enhancer.onLost = onLost;
    enhancer.network = await loadNetwork(report);
    return enhancer;
  }

  // Take a picture: ImageBitmap, VideoFrame, canvas or <video>. gray: it is to stay gray, though
  // the paper's three factors would tint it.
  async open(source, { width, height, gray = false } = {}) {
    width ??= source.displayWidth ?? source.videoWidth ?? source.width;
    height ??= source.displayHeight ?? source.videoHeight ?? source.height;
    if (!(width > 0 && height > 0)) throw new EnhanceError("The picture has no pixels.");
    Object.assign(this, { width, height, gray, found: {} });
    for (;;) {
      await this.#take(source, width, height);
      try {
        this.small = await this.painter.shrink();
        return;
      } catch (error) {
        console.warn(error); // a graphics card that fails is done without
        this.made.set(this.painter.constructor, null);
      }
    }
  }

  // Hand the picture to the first painter that can take it; each is made once.
  async #take(source, width, height) {
    for (const kind of this.kinds) {
      if (!this.made.has(kind)) this.made.set(kind, await kind.make(this.onLost));
      const painter = this.made.get(kind);
      if (!painter?.load(source, width, height)) continue;
      this.painter = painter;
      return;
    }
    throw new EnhanceError(
      `${width} × ${height} pixels are more than this browser can hold; try a smaller picture.`,
    );
  }

  get canvas() {
    return this.painter.canvas;
  }

  // Run the network for a look, unless it has seen the picture so; what was measured:
  // {black [3], exposure, factor}, factor the map [3 or 1, h, w].
  async measure(look = DEFAULTS.look) {
    const { small, found } = this;
    found[look] ??= look === "natural" ? this.#natural(small) : this.#paper(small);
    return found[look];
  }

  async #natural(small) {
    const black = findBlack(small);
    const seen = subtract(small, black);
    const factor = spareHighlights(seen, meanFactor(await this.network.factor(seen)));
    const exposure = fitStrength(seen, factor);
    return { black, seen, factor: scaled(factor, exposure), exposure };
  }

  async #paper(small) {
    const factor = await this.network.factor(small);
    const black = new Float32Array(3);
    return { black, seen: small, factor: this.gray ? meanFactor(factor) : factor, exposure: 1 };
  }

  // Draw the picture into the canvas. smoother: averages maps over time (camera.js).
  async draw(options, smoother) {
    const { look, strength, iterations } = checked(options);
    const found = await this.measure(look);
    const map = smoother ? smoother.smooth(found) : found;
    if (strength === 0 || iterations === 0) {
      const { width, height } = map.factor;
      const nothing = { texels: new Float32Array(4 * width * height), black: [0, 0, 0] };
      this.painter.treat({ ...nothing, width, height });
    } else {
      this.painter.treat(treatment(look, map, strength));
    }
    await this.painter.draw(iterations);
    return map;
  }

  // What is drawn, as an ImageBitmap.
  bitmap() {
    return this.painter.bitmap();
  }

  // What is drawn, as a Blob of a type that the browser writes.
  toBlob(type = "image/png", quality = 0.95) {
    return this.painter.toBlob(type, quality);
  }

  // Give the graphics memory back.
  dispose() {
    for (const painter of this.made.values()) painter?.dispose();
    this.made.clear();
  }
}

// What a painter is given (curve.js).
function treatment(look, { black, seen, factor }, strength) {
  const { width, height } = factor;
  const area = width * height;
  const acting = scaled(factor, strength);
  const texels = new Float32Array(4 * area);
  if (look === "natural") {
    const { slope, offset } = fitGuide(seen, acting);
    for (let i = 0; i < area; i++) texels.set([offset[i], offset[i], offset[i], slope[i]], 4 * i);
  } else {
    const channels = acting.values.length / area;
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) texels[4 * i + c] = acting.values[(c % channels) * area + i];
    }
  }
  return { texels, black, width, height };
}

function scaled({ values, width, height }, strength) {
  const clipped = values.map((value) => Math.max(-1, Math.min(1, value * strength)));
  return { values: clipped, width, height };
}

const shared = new Map(); // backend -> a promise of its Enhancer
let last = Promise.resolve();

// The picture (ImageBitmap, VideoFrame, canvas, <video>) brightened: an ImageBitmap of its size.
// options: look, strength, iterations, backend, gray. Calls are answered one after another.
export function enhance(image, options = {}) {
  const answer = last.then(async () => {
    const settings = checked(options);
    const backend = options.backend ?? "auto";
    const lost = () => shared.delete(backend);
    if (!shared.has(backend)) {
      const made = Enhancer.create({ backend, onLost: lost });
      shared.set(backend, made);
      made.catch(lost);
    }
    const enhancer = await shared.get(backend);
    await enhancer.open(image, { gray: options.gray });
    await enhancer.draw(settings);
    return enhancer.bitmap();
  });
  last = answer.catch(() => {});
  return answer;
}

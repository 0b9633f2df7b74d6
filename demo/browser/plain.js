// The curve in plain JavaScript, for where WebGL 2 is absent or its textures are too small.

import { interleave, meanOfCells, MIDDLE, SCALE, small, step } from "./curve.js";

const SLICE_MS = 40; // the page answers between slices of rows

export class PlainPainter {
  kind = "JavaScript";
  canvas = document.createElement("canvas");
  #turn = 0;
  #drawn = Promise.resolve();

  static make() {
    return new PlainPainter();
  }

  // As GlPainter's.
  load(source, width, height) {
    Object.assign(this.canvas, { width, height });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    try {
      this.context.drawImage(source, 0, 0, width, height);
      this.pixels = this.context.getImageData(0, 0, width, height).data;
    } catch {
      return false; // more than this browser's canvas can hold
    }
    this.#turn += 1; // what is still being drawn is of another picture
    this.width = width;
    this.height = height;
    return this.pixels.length === 4 * width * height;
  }

  shrink() {
    const [width, height] = [small(this.width), small(this.height)];
    const words = new Uint32Array(this.pixels.buffer);
    const cells = new Uint32Array(4 * width * height);
    const source = (place, side) => Math.min((place >> 1) * SCALE + MIDDLE + (place & 1), side - 1);
    for (let y = 0; y < 2 * height; y++) {
      const row = source(y, this.height) * this.width;
      for (let x = 0; x < 2 * width; x++) {
        cells[y * 2 * width + x] = words[row + source(x, this.width)];
      }
    }
    return meanOfCells(new Uint8Array(cells.buffer), width, height);
  }

  setFactor(factor) {
    this.factor = factor;
  }

  // Draws slice by slice; a later call ends an earlier one that is still at it.
  draw(strength, iterations) {
    this.#drawn = this.#draw(++this.#turn, strength, iterations);
    return this.#drawn;
  }

  async #draw(turn, strength, iterations) {
    const map = interleave(this.factor, strength);
    const rows = Math.max(1, Math.round(2e6 / (this.width * (iterations + 4))));
    let pause = performance.now() + SLICE_MS;
    for (let top = 0; top < this.height; top += rows) {
      const count = Math.min(rows, this.height - top);
      this.context.putImageData(this.#band(map, iterations, top, count), 0, top);
      if (performance.now() > pause) {
        await new Promise((next) => setTimeout(next));
        if (turn !== this.#turn) return;
        pause = performance.now() + SLICE_MS;
      }
    }
  }

  // Rows top to top + count, enhanced.
  #band(map, iterations, top, count) {
    const { width, height } = this.factor;
    const { pixels, width: wide } = this;
    const out = new ImageData(wide, count);
    const { data } = out;
    const paceX = step(width);
    const paceY = step(height);
    for (let y = 0; y < count; y++) {
      const below = (top + y) * paceY;
      const first = Math.floor(below) * width;
      const second = Math.min(Math.floor(below) + 1, height - 1) * width;
      const wy = below - Math.floor(below);
      for (let x = 0; x < wide; x++) {
        const along = x * paceX;
        const left = Math.floor(along);
        const right = Math.min(left + 1, width - 1);
        const wx = along - left;
        const from = 4 * ((top + y) * wide + x);
        const to = 4 * (y * wide + x);
        for (let c = 0; c < 3; c++) {
          const upper = map[4 * (first + left) + c] * (1 - wx) + map[4 * (first + right) + c] * wx;
          const lower =
            map[4 * (second + left) + c] * (1 - wx) + map[4 * (second + right) + c] * wx;
          const a = upper * (1 - wy) + lower * wy;
          let v = pixels[from + c] / 255;
          for (let i = 0; i < iterations; i++) v += a * (v * v - v);
          data[to + c] = v * 255; // a clamped array rounds by itself
        }
        data[to + 3] = pixels[from + 3];
      }
    }
    return out;
  }

  async toBlob(type, quality) {
    for (let drawn; drawn !== this.#drawn; await drawn) drawn = this.#drawn;
    return new Promise((done) => this.canvas.toBlob(done, type, quality));
  }

  dispose() {
    this.canvas.width = this.canvas.height = 0;
  }
}

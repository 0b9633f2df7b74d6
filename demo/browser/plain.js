// The curve in plain JavaScript, for where WebGL 2 is absent or its textures are too small.

import { meanOfCells, MIDDLE, positions, SCALE, small } from "./curve.js";

const SLICE_MS = 40; // the page answers between slices of rows

export class PlainPainter {
  kind = "JavaScript";
  canvas = document.createElement("canvas");
  #turn = 0;
  #drawn = Promise.resolve();

  static async make() {
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

  async shrink() {
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

  treat(treatment) {
    this.treatment = treatment;
  }

  // Draws slice by slice; a later call ends an earlier one that is still at it.
  draw(iterations) {
    this.#drawn = this.#draw(++this.#turn, iterations);
    return this.#drawn;
  }

  async #draw(turn, iterations) {
    const columns = positions(this.width, this.treatment.width);
    const rows = positions(this.height, this.treatment.height);
    const count = Math.max(1, Math.round(2e6 / (this.width * (iterations + 4))));
    let pause = performance.now() + SLICE_MS;
    for (let top = 0; top < this.height; top += count) {
      const last = Math.min(top + count, this.height);
      this.context.putImageData(this.#band(columns, rows, iterations, top, last), 0, top);
      if (performance.now() > pause) {
        await new Promise((next) => setTimeout(next));
        if (turn !== this.#turn) return;
        pause = performance.now() + SLICE_MS;
      }
    }
  }

  // Rows top to last, enhanced.
  #band(columns, rows, iterations, top, last) {
    const { texels, black, width, height } = this.treatment;
    const { pixels, width: wide } = this;
    const out = new ImageData(wide, last - top);
    const fit = new Float32Array(4);
    const x = new Float32Array(3);
    for (let row = top; row < last; row++) {
      const first = rows.left[row] * width;
      const second = Math.min(rows.left[row] + 1, height - 1) * width;
      const wy = rows.weight[row];
      for (let column = 0; column < wide; column++) {
        const left = columns.left[column];
        const right = Math.min(left + 1, width - 1);
        const wx = columns.weight[column];
        for (let c = 0; c < 4; c++) {
          const at = (line, place) => texels[4 * (line + place) + c];
          const upper = at(first, left) * (1 - wx) + at(first, right) * wx;
          const lower = at(second, left) * (1 - wx) + at(second, right) * wx;
          fit[c] = upper * (1 - wy) + lower * wy;
        }
        const from = 4 * (row * wide + column);
        const to = from - 4 * top * wide;
        for (let c = 0; c < 3; c++) {
          x[c] = Math.max(pixels[from + c] / 255 - black[c], 0) / (1 - black[c]);
        }
        const guided = fit[3] && fit[3] * Math.sqrt(Math.max(x[0], x[1], x[2]));
        for (let c = 0; c < 3; c++) {
          const a = Math.max(-1, Math.min(1, fit[c] + guided));
          let v = x[c];
          for (let i = 0; i < iterations; i++) v += a * (v * v - v);
          out.data[to + c] = v * 255; // a clamped array rounds by itself
        }
        out.data[to + 3] = pixels[from + 3];
      }
    }
    return out;
  }

  // As GlPainter's.
  async bitmap() {
    await this.#settle();
    return createImageBitmap(this.canvas, { premultiplyAlpha: "none" });
  }

  async toBlob(type, quality) {
    await this.#settle();
    return new Promise((done) => this.canvas.toBlob(done, type, quality));
  }

  // What is being drawn is finished.
  async #settle() {
    for (let drawn; drawn !== this.#drawn; await drawn) drawn = this.#drawn;
  }

  dispose() {
    this.canvas.width = this.canvas.height = 0;
  }
}

// The picture's side of the method, with the numbers of curve.py: shrink by 12 for the network,
// then enlarge the factor map and apply x <- x + A (x * x - x) to every pixel.
//
// Two painters of one shape do it, each with a canvas of the picture's full size: webgl.js, and
// plain.js for where that cannot. This is what both need.

export const SCALE = 12;
export const small = (side) => Math.ceil(side / SCALE);
// Of each cell the network sees the mean of the four middle pixels; the last row and column stand
// in for those beyond the edge.
export const MIDDLE = SCALE / 2 - 1;

// [3, h, w] in [0, 1] from RGBA bytes [2h, 2w], the four middle pixels of each cell.
export function meanOfCells(bytes, width, height) {
  const values = new Float32Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const at = (dy, dx) => bytes[((2 * y + dy) * 2 * width + 2 * x + dx) * 4 + c] / 255;
        const upper = (at(0, 0) + at(0, 1)) * 0.5;
        const lower = (at(1, 0) + at(1, 1)) * 0.5;
        values[(c * height + y) * width + x] = (upper + lower) * 0.5;
      }
    }
  }
  return { values, width, height };
}

// RGBA [h, w] of a map, times strength, back in [-1, 1].
export function interleave({ values, width, height }, strength = 1) {
  const area = width * height;
  const pixels = new Float32Array(4 * area);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      pixels[4 * i + c] = Math.max(-1, Math.min(1, values[c * area + i] * strength));
    }
  }
  return pixels;
}

// How far one pixel goes on the map, corners aligned (as the authors enlarge, before the cut).
export const step = (count) => (count - 1) / Math.max(count * SCALE - 1, 1);

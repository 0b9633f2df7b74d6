// The picture's side of the method, with the numbers of sgz/kernels: shrink by 12 for the network,
// then enlarge the small map and apply x <- x + A (x * x - x) to every pixel.
//
// Three painters of one shape do it, each with a canvas of the picture's full size: webgpu.js,
// webgl.js, and plain.js for where those cannot. This is what they need.
//
// What a painter is given, a treatment, is the map of both looks: {texels, black, width, height},
// texels RGBA [h, w], black [3]. A pixel's factor is A = clip(texel.rgb + texel.a g) with
// g = sqrt(largest channel) after black is subtracted; in the paper's path texel.a and black are 0.

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

// How far one pixel goes on the map, corners aligned (as the authors enlarge, before the cut).
export const step = (count) => (count - 1) / Math.max(count * SCALE - 1, 1);

// The value of each pixel of a row on the map: indices left and right, and the weight of right.
export function positions(count, small) {
  const pace = step(small);
  const left = new Uint32Array(count);
  const weight = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    left[i] = Math.floor(i * pace);
    weight[i] = i * pace - left[i];
  }
  return { left, weight };
}

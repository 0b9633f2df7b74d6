// The picture's side of the method, exact in its numbers as curve.py: shrink by 12 for the network,
// then enlarge the factor map and apply x <- x + A (x * x - x) to every pixel.
//
// Two painters of one shape: WebGL 2, and plain JavaScript for where that is absent or the picture
// is larger than a texture may be. Each owns a canvas of the picture's full size.

export const SCALE = 12;
const small = (side) => Math.ceil(side / SCALE);
// Of each cell the network sees the mean of the four middle pixels; the last row and column stand
// in for those beyond the edge.
const MIDDLE = SCALE / 2 - 1;

// [3, h, w] in [0, 1] from RGBA bytes [2h, 2w], the four middle pixels of each cell.
function meanOfCells(bytes, width, height) {
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
function interleave({ values, width, height }, strength = 1) {
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
const step = (count) => (count - 1) / Math.max(count * SCALE - 1, 1);

// ---------------------------------------------------------------------------------------- WebGL 2

const VERTEX = `#version 300 es
void main() {  // one triangle over everything
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

const GATHER = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D picture;
out vec4 pixel;
void main() {
  ivec2 place = ivec2(gl_FragCoord.xy);
  ivec2 source = (place / 2) * ${SCALE} + ${MIDDLE} + place % 2;
  pixel = texelFetch(picture, min(source, textureSize(picture, 0) - 1), 0);
}`;

const CURVE = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D picture;
uniform sampler2D factor;
uniform vec2 pace;
uniform float strength;
uniform int iterations;
out vec4 pixel;
vec3 at(ivec2 place) {
  ivec2 inside = min(place, textureSize(factor, 0) - 1);
  return clamp(texelFetch(factor, inside, 0).rgb * strength, -1.0, 1.0);
}
void main() {
  ivec2 place = ivec2(gl_FragCoord.xy);
  place.y = textureSize(picture, 0).y - 1 - place.y;  // a canvas counts rows from below
  vec4 source = texelFetch(picture, place, 0);
  vec2 position = vec2(place) * pace;
  ivec2 first = ivec2(position);
  vec2 weight = position - vec2(first);
  vec3 above = mix(at(first), at(first + ivec2(1, 0)), weight.x);
  vec3 below = mix(at(first + ivec2(0, 1)), at(first + 1), weight.x);
  vec3 a = mix(above, below, weight.y);
  vec3 x = source.rgb;
  for (int i = 0; i < iterations; i++) x += a * (x * x - x);
  pixel = vec4(floor(x * 255.0 + 0.5) / 255.0, source.a);
}`;

function build(gl, fragment) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`shader: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

function texture(gl) {
  const made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  }
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
    gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  }
  return made;
}

export class GlPainter {
  kind = "WebGL";
  canvas = document.createElement("canvas");

  // A painter, or null where there is no WebGL 2 that works. onLost() when it is taken away.
  static make(onLost) {
    const painter = new GlPainter();
    painter.gl = painter.canvas.getContext("webgl2", {
      antialias: false,
      depth: false,
      premultipliedAlpha: false, // colours under transparent pixels stay what they are
    });
    if (!painter.gl) return null;
    try {
      painter.#prepare();
    } catch (error) {
      console.warn(error);
      return null;
    }
    painter.canvas.addEventListener("webglcontextlost", onLost);
    return painter;
  }

  #prepare() {
    const gl = this.gl;
    this.gather = build(gl, GATHER);
    this.curve = build(gl, CURVE);
    this.picture = texture(gl);
    this.factor = texture(gl);
    this.cells = texture(gl);
    this.frame = gl.createFramebuffer();
    gl.useProgram(this.curve);
    gl.uniform1i(gl.getUniformLocation(this.curve, "picture"), 0);
    gl.uniform1i(gl.getUniformLocation(this.curve, "factor"), 1);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE); // the decoder did it
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  }

  // Take a picture (ImageBitmap or video) of this size; false if it is too large.
  load(source, width, height) {
    const gl = this.gl;
    if (gl.isContextLost()) return false;
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return false;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    if (gl.drawingBufferWidth !== width || gl.drawingBufferHeight !== height) return false;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.picture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, source);
    this.width = width;
    this.height = height;
    return gl.getError() === gl.NO_ERROR;
  }

  // What the network sees: {values [3, h, w] in [0, 1], width, height}.
  shrink() {
    const gl = this.gl;
    const [width, height] = [small(this.width), small(this.height)];
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.cells);
    const format = [gl.RGBA, gl.UNSIGNED_BYTE];
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 2 * width, 2 * height, 0, ...format, null);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.cells, 0);
    gl.useProgram(this.gather);
    gl.viewport(0, 0, 2 * width, 2 * height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    const bytes = new Uint8Array(16 * width * height);
    gl.readPixels(0, 0, 2 * width, 2 * height, ...format, bytes);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return meanOfCells(bytes, width, height);
  }

  setFactor(factor) {
    const gl = this.gl;
    const { width, height } = factor;
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.factor);
    const texels = interleave(factor);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, width, height, 0, gl.RGBA, gl.FLOAT, texels);
    gl.useProgram(this.curve);
    gl.uniform2f(gl.getUniformLocation(this.curve, "pace"), step(width), step(height));
  }

  // Draws; done once the pixels are there. Until then `busy`: more would only pile up.
  async draw(strength, iterations) {
    const gl = this.gl;
    this.#drawNow(strength, iterations);
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.busy = true;
    while (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) {
      await new Promise((next) => setTimeout(next));
    }
    this.busy = false;
    gl.deleteSync(fence);
  }

  #drawNow(strength, iterations) {
    const gl = this.gl;
    this.settings = [strength, iterations];
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.factor);
    gl.useProgram(this.curve);
    gl.uniform1f(gl.getUniformLocation(this.curve, "strength"), strength);
    gl.uniform1i(gl.getUniformLocation(this.curve, "iterations"), iterations);
    gl.viewport(0, 0, this.width, this.height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // The canvas as a file. It is drawn anew: once shown, a WebGL canvas may be cleared.
  toBlob(type, quality) {
    this.#drawNow(...this.settings);
    return new Promise((done) => this.canvas.toBlob(done, type, quality));
  }

  // Give the graphics memory back now, not when the collector comes by.
  dispose(onLost) {
    this.canvas.removeEventListener("webglcontextlost", onLost);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// --------------------------------------------------------------------------------- plain JavaScript

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

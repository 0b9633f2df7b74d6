// The curve in WebGL 2: one pass over the picture's pixels.

import { interleave, meanOfCells, MIDDLE, SCALE, small, step } from "./curve.js";

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

// The curve in WebGL 2: one pass over the picture's pixels.

import { meanOfCells, MIDDLE, SCALE, small, step } from "./curve.js";

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
uniform sampler2D map;
uniform vec2 pace;
uniform vec3 black;
uniform int iterations;
out vec4 pixel;
vec4 at(ivec2 place) {
  return texelFetch(map, min(place, textureSize(map, 0) - 1), 0);
}
void main() {
  ivec2 place = ivec2(gl_FragCoord.xy);
  place.y = textureSize(picture, 0).y - 1 - place.y;  // a canvas counts rows from below
  vec4 source = texelFetch(picture, place, 0);
  vec2 position = vec2(place) * pace;
  ivec2 first = ivec2(position);
  vec2 weight = position - vec2(first);
  vec4 above = mix(at(first), at(first + ivec2(1, 0)), weight.x);
  vec4 below = mix(at(first + ivec2(0, 1)), at(first + 1), weight.x);
  vec4 fit = mix(above, below, weight.y);
  vec3 x = max(source.rgb - black, 0.0) / (1.0 - black);
  float guide = sqrt(max(x.r, max(x.g, x.b)));
  vec3 a = clamp(fit.rgb + fit.a * guide, -1.0, 1.0);
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
  static async make(onLost) {
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
    painter.onLost = onLost;
    painter.canvas.addEventListener("webglcontextlost", onLost);
    return painter;
  }

  #prepare() {
    const gl = this.gl;
    this.gather = build(gl, GATHER);
    this.curve = build(gl, CURVE);
    this.picture = texture(gl);
    this.map = texture(gl);
    this.cells = texture(gl);
    this.frame = gl.createFramebuffer();
    gl.useProgram(this.curve);
    gl.uniform1i(gl.getUniformLocation(this.curve, "picture"), 0);
    gl.uniform1i(gl.getUniformLocation(this.curve, "map"), 1);
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
  async shrink() {
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

  // Take what the pixels are to be given (curve.js).
  treat({ texels, black, width, height }) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.map);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, width, height, 0, gl.RGBA, gl.FLOAT, texels);
    gl.useProgram(this.curve);
    gl.uniform2f(gl.getUniformLocation(this.curve, "pace"), step(width), step(height));
    gl.uniform3f(gl.getUniformLocation(this.curve, "black"), ...black);
  }

  // Draws; done once the pixels are there. Until then `busy`: more would only pile up.
  async draw(iterations) {
    const gl = this.gl;
    this.#drawNow(iterations);
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.busy = true;
    while (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) {
      await new Promise((next) => setTimeout(next));
    }
    this.busy = false;
    gl.deleteSync(fence);
  }

  #drawNow(iterations) {
    const gl = this.gl;
    this.iterations = iterations;
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.map);
    gl.useProgram(this.curve);
    gl.uniform1i(gl.getUniformLocation(this.curve, "iterations"), iterations);
    gl.viewport(0, 0, this.width, this.height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // What is drawn, as an ImageBitmap. It is drawn anew: once shown, a canvas may be cleared.
  bitmap() {
    this.#drawNow(this.iterations);
    return createImageBitmap(this.canvas, { premultiplyAlpha: "none" });
  }

  // The canvas as a file. It is drawn anew: once shown, a WebGL canvas may be cleared.
  toBlob(type, quality) {
    this.#drawNow(this.iterations);
    return new Promise((done) => this.canvas.toBlob(done, type, quality));
  }

  // Give the graphics memory back now, not when the collector comes by.
  dispose() {
    this.canvas.removeEventListener("webglcontextlost", this.onLost);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// The curve in WebGPU: the pass of webgl.js in WGSL, where the browser offers it.
//
// What it makes is read back into a 2D canvas. A WebGPU canvas would save that, but it multiplies
// colours by alpha, and where the browser composes by other means it takes the whole device down.

import { meanOfCells, MIDDLE, SCALE, small, step } from "./curve.js";

const SHADER = `
struct Settings { pace: vec2f, iterations: i32, unused: i32, black: vec4f }
@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var map: texture_2d<f32>;
@group(0) @binding(2) var<uniform> settings: Settings;

@vertex fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
  // one triangle over everything
  return vec4f(select(-1.0, 3.0, index == 1u), select(-1.0, 3.0, index == 2u), 0.0, 1.0);
}

@fragment fn gather(@builtin(position) position: vec4f) -> @location(0) vec4f {
  let place = vec2i(position.xy);
  let source = (place / 2) * ${SCALE} + ${MIDDLE} + place % 2;
  return textureLoad(picture, min(source, vec2i(textureDimensions(picture)) - 1), 0);
}

fn at(place: vec2i) -> vec4f {
  return textureLoad(map, min(place, vec2i(textureDimensions(map)) - 1), 0);
}

@fragment fn brighten(@builtin(position) position: vec4f) -> @location(0) vec4f {
  return curve(vec2i(position.xy));
}

fn curve(place: vec2i) -> vec4f {
  let source = textureLoad(picture, place, 0);
  let spot = vec2f(place) * settings.pace;
  let first = vec2i(spot);
  let weight = spot - vec2f(first);
  let above = mix(at(first), at(first + vec2i(1, 0)), weight.x);
  let below = mix(at(first + vec2i(0, 1)), at(first + 1), weight.x);
  let fit = mix(above, below, weight.y);
  let black = settings.black.rgb;
  var x = max(source.rgb - black, vec3f(0.0)) / (1.0 - black);
  let guide = sqrt(max(x.r, max(x.g, x.b)));
  let a = clamp(fit.rgb + fit.a * guide, vec3f(-1.0), vec3f(1.0));
  for (var i = 0; i < settings.iterations; i++) { x += a * (x * x - x); }
  return vec4f(floor(x * 255.0 + 0.5) / 255.0, source.a);
}`;

const FORMAT = "rgba8unorm";

export class GpuPainter {
  kind = "WebGPU";
  canvas = document.createElement("canvas");

  // As GlPainter's.
  static async make(onLost) {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    if (!adapter) return null;
    const painter = new GpuPainter();
    try {
      painter.device = await adapter.requestDevice({
        requiredLimits: { maxTextureDimension2D: adapter.limits.maxTextureDimension2D },
      });
      await painter.#prepare();
    } catch (error) {
      console.warn(error);
      return null;
    }
    painter.device.lost.then(() => painter.disposed || onLost());
    return painter;
  }

  async #prepare() {
    const { device } = this;
    this.context = this.canvas.getContext("2d");
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code: SHADER });
    const visibility = GPUShaderStage.FRAGMENT;
    const layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility, texture: { sampleType: "unfilterable-float" } },
        { binding: 1, visibility, texture: { sampleType: "unfilterable-float" } },
        { binding: 2, visibility, buffer: {} },
      ],
    });
    const pipeline = (entryPoint) =>
      device.createRenderPipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        vertex: { module, entryPoint: "corner" },
        fragment: { module, entryPoint, targets: [{ format: FORMAT }] },
      });
    this.layout = layout;
    this.gather = pipeline("gather");
    this.curve = pipeline("brighten");
    this.settings = device.createBuffer({
      size: 32,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.map = this.#texture(1, 1, "rgba32float");
    const error = await device.popErrorScope();
    if (error) throw new Error(error.message);
  }

  #texture(width, height, format = FORMAT) {
    const { TEXTURE_BINDING, COPY_DST, COPY_SRC, RENDER_ATTACHMENT } = GPUTextureUsage;
    const more = format === FORMAT ? COPY_SRC | RENDER_ATTACHMENT : 0;
    return this.device.createTexture({
      size: [width, height],
      format,
      usage: TEXTURE_BINDING | COPY_DST | more,
    });
  }

  load(source, width, height) {
    const { device } = this;
    if (Math.max(width, height) > device.limits.maxTextureDimension2D) return false;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    if (this.width !== width || this.height !== height) {
      this.picture?.destroy();
      this.picture = this.#texture(width, height);
    }
    try {
      device.queue.copyExternalImageToTexture(
        { source },
        { texture: this.picture, premultipliedAlpha: false },
        [width, height],
      );
    } catch (error) {
      console.warn(error);
      return false;
    }
    this.width = width;
    this.height = height;
    return true;
  }

  #pass(encoder, pipeline, view) {
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view, loadOp: "clear", storeOp: "store" }],
    });
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      this.device.createBindGroup({
        layout: this.layout,
        entries: [
          { binding: 0, resource: this.picture.createView() },
          { binding: 1, resource: this.map.createView() },
          { binding: 2, resource: { buffer: this.settings } },
        ],
      }),
    );
    pass.draw(3);
    pass.end();
  }

  async shrink() {
    const [width, height] = [small(this.width), small(this.height)];
    const cells = this.#texture(2 * width, 2 * height);
    const encoder = this.device.createCommandEncoder();
    this.#pass(encoder, this.gather, cells.createView());
    const bytes = await this.#read(encoder, cells, 2 * width, 2 * height);
    cells.destroy();
    return meanOfCells(bytes, width, height);
  }

  // RGBA bytes of a texture, once what the encoder holds is done.
  async #read(encoder, texture, width, height) {
    const pitch = Math.ceil((4 * width) / 256) * 256; // as WebGPU wants its rows
    const buffer = this.device.createBuffer({
      size: pitch * height,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow: pitch }, [width, height]);
    this.device.queue.submit([encoder.finish()]);
    await buffer.mapAsync(GPUMapMode.READ);
    const padded = new Uint8Array(buffer.getMappedRange());
    const bytes = new Uint8ClampedArray(4 * width * height);
    for (let y = 0; y < height; y++) {
      bytes.set(padded.subarray(y * pitch, y * pitch + 4 * width), 4 * y * width);
    }
    buffer.destroy();
    return bytes;
  }

  treat({ texels, black, width, height }) {
    if (this.map.width !== width || this.map.height !== height) {
      this.map.destroy();
      this.map = this.#texture(width, height, "rgba32float");
    }
    const row = { bytesPerRow: 16 * width };
    this.device.queue.writeTexture({ texture: this.map }, texels, row, [width, height]);
    this.pace = [step(width), step(height)];
    this.black = black;
  }

  // Draws; done once the pixels are there. Until then `busy`: more would only pile up.
  async draw(iterations) {
    this.busy = true;
    try {
      const data = new ArrayBuffer(32);
      new Float32Array(data).set([...this.pace, 0, 0, ...this.black]);
      new Int32Array(data)[2] = iterations;
      this.device.queue.writeBuffer(this.settings, 0, data);
      const { width, height } = this;
      const target = this.#texture(width, height);
      const encoder = this.device.createCommandEncoder();
      this.#pass(encoder, this.curve, target.createView());
      this.pixels = new ImageData(await this.#read(encoder, target, width, height), width, height);
      target.destroy();
      this.context.putImageData(this.pixels, 0, 0);
    } finally {
      this.busy = false;
    }
  }

  // What is drawn, as an ImageBitmap.
  bitmap() {
    return createImageBitmap(this.pixels, { premultiplyAlpha: "none" });
  }

  toBlob(type, quality) {
    return new Promise((done) => this.canvas.toBlob(done, type, quality));
  }

  dispose() {
    this.disposed = true;
    this.device.destroy();
  }
}

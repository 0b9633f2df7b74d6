// A video file brightened frame by frame: WebCodecs decodes and encodes, mediabunny reads and writes
// the container. No frame is left out, each keeps its time, and the sound is copied.

import { EnhanceError } from "./enhance.js";

// Codecs to write, the first that the browser encodes, and what holds them: MP4 plays everywhere.
const CODECS = ["avc", "vp9", "vp8", "av1"];

export class Film {
  // The film in a file; null where the browser can but play it.
  static async open(file) {
    if (!("VideoEncoder" in globalThis && "VideoDecoder" in globalThis)) return null;
    const bunny = await import("./vendor/mediabunny.js").catch(() => null);
    if (!bunny) return null; // prepare.py of a version before
    const film = new Film();
    film.file = file;
    film.bunny = bunny;
    const source = new bunny.BlobSource(file);
    film.input = new bunny.Input({ source, formats: bunny.ALL_FORMATS });
    try {
      const track = await film.input.getPrimaryVideoTrack();
      if (track && (await track.canDecode()) && (await film.#plan(track))) return film;
    } catch (error) {
      console.warn(error); // the player may take it all the same
    }
    film.stop();
    return null;
  }

  // Choose codec and container; whether all is at hand.
  async #plan(track) {
    const { bunny } = this;
    const width = await track.getDisplayWidth();
    const height = await track.getDisplayHeight();
    const codec = await bunny.getFirstEncodableVideoCodec(CODECS, { width, height });
    if (!codec) return false;
    const format = codec === "avc" ? new bunny.Mp4OutputFormat() : new bunny.WebMOutputFormat();
    this.target = new bunny.BufferTarget();
    this.type = codec === "avc" ? "mp4" : "webm";
    this.frames = 0;
    this.conversion = await bunny.Conversion.init({
      input: this.input,
      output: new bunny.Output({ format, target: this.target }),
      video: async (one) =>
        one.id !== track.id
          ? { discard: true }
          : {
              codec,
              forceTranscode: true,
              allowTransformationMetadata: false,
              quality: bunny.QUALITY_VERY_HIGH, // noise that was brightened needs room
              process: (sample) => this.#process(sample),
            },
      showWarnings: false,
    });
    const lost = this.conversion.discardedTracks.filter(({ reason }) => reason !== "discarded_by_user");
    this.silent = lost.some((one) => one.track.type === "audio");
    return this.conversion.isValid;
  }

  // Brighten it all: `brighten` is given each frame (a picture, its size, seconds, the share that is
  // done) and answers with an ImageBitmap, or null. {blob, name}, or null where it was stopped.
  async convert(brighten) {
    this.brighten = brighten;
    this.conversion.onProgress = (share) => (this.share = share);
    try {
      await this.conversion.execute();
    } catch (error) {
      if (this.stopped) return null;
      if (error instanceof EnhanceError) throw error;
      console.warn(error);
      throw new EnhanceError(
        `“${this.file.name}” was not brightened: it is damaged after ${this.frames} frames.`,
      );
    }
    const stem = this.file.name.replace(/\.[^.]*$/, "") || "video";
    const blob = new Blob([this.target.buffer], { type: `video/${this.type}` });
    return { blob, name: `${stem}-bright.${this.type}` };
  }

  async #process(sample) {
    const size = { width: sample.displayWidth, height: sample.displayHeight };
    const picture = sample.toVideoFrame();
    try {
      const { timestamp, duration } = sample;
      const bright = await this.brighten(picture, size, timestamp, this.share ?? 0);
      if (!bright) return null;
      this.frames += 1;
      const made = new this.bunny.VideoSample(bright, { timestamp, duration });
      bright.close();
      return made;
    } finally {
      picture.close();
    }
  }

  stop() {
    this.stopped = true;
    if (this.conversion?.state === "executing") this.conversion.cancel();
    this.input.dispose?.();
  }
}

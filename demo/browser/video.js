// A video file: played once, its frames one by one, and the canvas they are drawn into recorded.

import { EnhanceError } from "./enhance.js";

const TYPES = [
  "video/mp4;codecs=avc1.640028,mp4a.40.2",
  "video/webm;codecs=vp9,opus",
  "video/webm;codecs=vp8,opus",
  "video/webm",
  "video/mp4",
];
const FRAME_MS = 33;
const BITS_A_PIXEL = 0.2; // each second's each pixel: noise that was brightened needs room

export class VideoFile {
  // Open a file in a <video>; it stands at its first frame.
  static async open(file, video) {
    const opened = new VideoFile();
    Object.assign(opened, { file, video, url: URL.createObjectURL(file) });
    try {
      await new Promise((done, fail) => {
        video.onloadeddata = done;
        video.onerror = fail;
        video.src = opened.url;
      });
    } catch {
      opened.stop();
      throw new EnhanceError(
        "it is damaged, or of a type that this browser cannot play. MP4 (H.264) and WebM work.",
      );
    }
    if (!video.videoWidth) {
      opened.stop();
      throw new EnhanceError("it has no picture.");
    }
    video.onended = () => opened.wake?.(false);
    return opened;
  }

  get share() {
    return this.video.duration ? this.video.currentTime / this.video.duration : 0;
  }

  // Begin to play, and to record a canvas; without a recorder it is shown alone.
  async start(canvas) {
    this.chunks = [];
    const type = globalThis.MediaRecorder && TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    if (type) {
      this.stream = canvas.captureStream(0);
      for (const track of this.#sound()) this.stream.addTrack(track);
      const rate = canvas.width * canvas.height * 30 * BITS_A_PIXEL;
      this.recorder = new MediaRecorder(this.stream, {
        mimeType: type,
        videoBitsPerSecond: Math.max(rate, 1e6),
      });
      this.recorder.ondataavailable = ({ data }) => this.chunks.push(data);
      this.recorder.start(1000);
    }
    await this.video.play();
  }

  #sound() {
    const stream = (this.video.captureStream ?? this.video.mozCaptureStream)?.call(this.video);
    return stream?.getAudioTracks() ?? [];
  }

  // Wait for the next frame; false at the end or once it is stopped.
  next() {
    if (!this.url || this.video.ended) return false;
    return new Promise((done) => {
      this.wake = done;
      const ready = () => done(Boolean(this.url));
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(ready);
      else requestAnimationFrame(ready);
    });
  }

  // A frame is about to be brightened. Where that takes longer than a frame lasts, playing and
  // recording wait for it: their clocks stand still together.
  hold() {
    this.since = performance.now();
    if (!this.slow || !this.recorder) return;
    this.video.pause();
    if (this.recorder.state === "recording") this.recorder.pause();
  }

  // The frame in the canvas is whole: into the recording with it.
  async drawn() {
    this.slow = performance.now() - this.since > FRAME_MS;
    if (this.recorder?.state === "paused") this.recorder.resume();
    this.stream?.getVideoTracks()[0].requestFrame?.();
    if (this.stream && this.video.paused && !this.video.ended) await this.video.play();
  }

  // The recording {blob, name}, or null where the browser has no recorder.
  async finish() {
    if (!this.recorder) return null;
    if (this.recorder.state !== "inactive") {
      await new Promise((done) => {
        this.recorder.onstop = done;
        this.recorder.stop();
      });
    }
    const type = this.recorder.mimeType.split(";")[0];
    const stem = this.file.name.replace(/\.[^.]*$/, "") || "video";
    const suffix = type === "video/mp4" ? "mp4" : "webm";
    return { blob: new Blob(this.chunks, { type }), name: `${stem}-bright.${suffix}` };
  }

  stop() {
    const { url } = this;
    this.url = null;
    if (url) {
      this.video.pause();
      this.video.removeAttribute("src");
      this.video.load();
      URL.revokeObjectURL(url);
    }
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.wake?.(false);
  }
}

// The webcam: its frames one by one, and factor maps smoothed over time against flicker.

import { EnhanceError } from "./enhance.js";

const REASONS = {
  NotAllowedError: "The browser may not use the camera; allow it beside the page's address.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

export class Camera {
  // Start the camera into a <video>.
  static async start(video) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new EnhanceError("Browsers offer the camera only to pages from https:// or localhost.");
    }
    const camera = new Camera();
    camera.video = video;
    try {
      camera.stream = await navigator.mediaDevices.getUserMedia({
        video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" },
      });
      video.srcObject = camera.stream;
      await video.play();
    } catch (error) {
      camera.stop();
      throw new EnhanceError(REASONS[error.name] ?? `The camera did not start (${error.message}).`);
    }
    const [track] = camera.stream.getVideoTracks();
    camera.mirrored = track.getSettings().facingMode !== "environment";
    track.addEventListener("ended", () => camera.stop()); // unplugged
    return camera;
  }

  // Wait for the next frame; false once the camera is stopped.
  next() {
    if (!this.stream) return false;
    return new Promise((done) => {
      this.wake = done;
      const ready = () => done(Boolean(this.stream));
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(ready);
      else requestAnimationFrame(ready);
    });
  }

  // Release the camera: its light goes out.
  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.wake?.(false);
  }
}

const SECONDS = 0.5; // time after which a map's weight has fallen to 1/e
const JUMP = 0.15; // a change of the map as a whole: the light was switched, or the scene changed

// An exponential mean of what was measured: the map and the black point, never the picture, so
// nothing can ghost.
export class Smoother {
  // What to give the frame of now: {black, seen, factor, exposure} with means of map and black.
  smooth(found) {
    const time = this.now ?? performance.now() / 1000; // a film has a time of its own
    const { values } = found.factor;
    if (this.mean?.length !== values.length || change(this.mean, values) > JUMP) {
      this.mean = Float32Array.from(values);
      this.black = Float32Array.from(found.black);
    } else {
      const weight = 1 - Math.exp(-Math.max(time - this.time, 0) / SECONDS);
      for (let i = 0; i < values.length; i++) this.mean[i] += weight * (values[i] - this.mean[i]);
      for (let c = 0; c < 3; c++) this.black[c] += weight * (found.black[c] - this.black[c]);
    }
    this.time = time;
    return { ...found, black: this.black, factor: { ...found.factor, values: this.mean } };
  }
}

function change(before, now) {
  let sum = 0;
  for (let i = 0; i < now.length; i++) sum += Math.abs(now[i] - before[i]);
  return sum / now.length;
}

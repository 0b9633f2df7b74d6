// Pictures that move: the camera, and videos, frame by frame or as they play.

import { Camera, Smoother } from "./camera.js";
import { EnhanceError, loadNetwork } from "./enhance.js";
import { Film } from "./film.js";
import { draw, now, show, take } from "./picture.js";
import { $, complain, page, say } from "./said.js";
import { VideoFile } from "./video.js";
import { setPicture } from "./view.js";

export async function startCamera() {
  const mine = ++now.asked;
  await loadNetwork();
  say("Starting the camera …");
  const started = await Camera.start($("before-video"));
  if (mine < now.shown) return started.stop();
  begin(mine, started, { name: "camera", type: "image/jpeg" });
  $("camera").textContent = "Stop the camera";
  $("stage").classList.toggle("mirrored", started.mirrored);
  say("The camera is on; its pictures stay in this page.");
  runUntilDone(follow(started, "camera"));
}

// Brighten a video frame by frame where the browser can; else it is played and recorded.
export async function openVideo(file) {
  const mine = ++now.asked;
  page.ariaBusy = "true";
  await loadNetwork();
  try {
    stopRunning();
    const film = page.dataset.played ? null : await Film.open(file);
    const opened = film ?? (await VideoFile.open(file, $("before-video")));
    if (mine < now.shown) return opened.stop();
    begin(mine, opened, { name: file.name, type: "image/png", size: file.size });
    $("camera").textContent = "Stop";
    $("download").textContent = "Download the video";
    $("download").disabled = true;
    runUntilDone(film ? convert(film) : follow(opened, "video"));
  } catch (error) {
    show("empty");
    throw new EnhanceError(`“${file.name}” was not brightened: ${error.message}`);
  }
}

function begin(mine, started, picture) {
  now.shown = mine;
  stopRunning();
  now.running = started;
  now.measured = null;
  if (now.photo?.url) URL.revokeObjectURL(now.photo.url);
  now.photo = picture;
  page.dataset.first = "";
  page.dispatchEvent(new Event("shown"));
}

function runUntilDone(work) {
  work.catch((error) => {
    stopRunning();
    complain(error);
  });
}

// Brighten a frame on the stage; whether what it belongs to was not stopped meanwhile.
async function showFrame(source, size, smoother, still) {
  const { photo } = now;
  if (photo.width !== size.width || photo.height !== size.height) setPicture(size.width, size.height);
  Object.assign(photo, size);
  await take(source, size);
  if (still()) await draw(smoother);
  return still();
}

// Brighten frame after frame of what plays until there is none or something else is opened.
async function follow(source, state) {
  const smoother = new Smoother();
  const { video } = source;
  let frames = 0;
  const still = () => source === now.running;
  const frame = async () => {
    if (!video.videoWidth || !still()) return;
    source.hold?.();
    const size = { width: video.videoWidth, height: video.videoHeight };
    if (!(await showFrame(video, size, smoother, still))) return;
    if (page.dataset.state !== state) show(state);
    await source.drawn?.();
    frames += 1;
    if (state === "video") progress(source.share);
  };
  if (state === "video") {
    await frame(); // the canvas has its size before it is recorded
    await source.start(now.enhancer.canvas);
  }
  while (await source.next()) {
    if (!still()) return;
    await frame();
  }
  if (!still()) return;
  if (state === "camera") return stopRunning();
  const recording = await source.finish();
  const alone = "This browser cannot record the video; shown alone.";
  finish(recording, recording ? `Done. ${frames} frames.` : alone);
}

// Brighten every frame of a film into a file.
async function convert(film) {
  const smoother = new Smoother();
  const before = $("before-frame");
  const still = () => film === now.running;
  const recording = await film.convert(async (picture, size, seconds, share) => {
    if (!still()) return null;
    if (before.width !== size.width || before.height !== size.height) Object.assign(before, size);
    before.getContext("2d").drawImage(picture, 0, 0, size.width, size.height);
    smoother.now = seconds;
    if (!(await showFrame(picture, size, smoother, still))) return null;
    if (page.dataset.state !== "film") show("film");
    progress(share);
    return now.enhancer.bitmap(); // once shown, a canvas may be cleared
  });
  if (!still()) return;
  const silent = film.silent ? " Its sound could not be kept." : "";
  finish(recording, `Done. ${film.frames} frames.${silent}`);
}

function progress(share) {
  $("progress").hidden = false;
  $("progress").value = share;
  say(`Brightening …, ${Math.round(100 * share)} %`);
}

function finish(recording, words) {
  $("progress").hidden = true;
  now.recording = recording;
  $("download").disabled = !recording;
  $("camera").textContent = "Start the camera";
  now.running = null;
  say(words);
}

export function stopRunning() {
  now.recording = null;
  $("download").textContent = "Download";
  $("download").disabled = false;
  if (!now.running) return;
  const stopped = now.running;
  now.running = null;
  stopped.stop();
  $("progress").hidden = true;
  $("stage").classList.remove("mirrored");
  $("camera").textContent = "Start the camera";
  show("empty");
  say("");
}

// The page: photos, a video or the camera in, the brightened picture out.

import { Camera, Smoother } from "./camera.js";
import { Enhancer, EnhanceError, loadNetwork } from "./enhance.js";
import { encode, readPhoto, save } from "./photo.js";
import { VideoFile } from "./video.js";
import { drawMap, setPicture, startView, sweep } from "./view.js";
import { zip } from "./zip.js";

const $ = (id) => document.getElementById(id);
const page = $("page");
const SAMPLES = ["chelsea.png", "sunset.jpg", "meadow.jpg"];

let enhancer; // of the picture that is shown
let photo; // {name, type, …} of it, of a file, the video or the camera
let measured; // what was found for it
let running; // the camera or the video, while it runs
let recording; // {blob, name} of a video that is done
let files = []; // all photos that were chosen
let asked = 0; // how often something was to be opened,
let shown = 0; // and which of these is shown: the last one that can be

// --- what the page says

function say(text) {
  $("status").textContent = text;
}

function complain(error) {
  if (!(error instanceof EnhanceError)) console.error(error);
  $("error-text").textContent =
    error instanceof EnhanceError ? error.message : `Something went wrong: ${error.message}`;
  $("error").hidden = false;
}

// Run one of the person's wishes; what fails is said, and the page goes on.
async function attempt(wish) {
  $("error").hidden = true;
  try {
    await wish();
  } catch (error) {
    say("");
    complain(error);
  } finally {
    page.ariaBusy = "false";
  }
}

function describe() {
  const size = photo.size ? ` · ${(photo.size / 1e6).toFixed(1)} MB` : "";
  $("name").textContent = `${photo.name} · ${photo.width} × ${photo.height}${size}`;
  const black = Math.round((255 * (measured.black[0] + measured.black[1] + measured.black[2])) / 3);
  $("measured").textContent =
    settings().look === "natural" ? `Black ${black} · Exposure ${measured.exposure.toFixed(1)}` : "";
}

// --- the picture

function settings() {
  const look = document.querySelector("[name=look]:checked").value;
  return { look, strength: Number($("strength").value), iterations: Number($("iterations").value) };
}

async function draw(smoother) {
  measured = await enhancer.draw(settings(), smoother);
  page.dataset.draws = Number(page.dataset.draws) + 1;
  page.dataset.runs = enhancer.network.runs;
  page.dataset.painter = enhancer.painter.kind;
  if (!photo) return;
  describe();
  if ($("show-map").checked) drawMap(measured.factor, photo);
}

let waiting = false;
// Draw once for all that changes before the screen's next frame.
function drawSoon() {
  if (waiting || !measured || running) return;
  waiting = true;
  requestAnimationFrame(function now() {
    if (enhancer.painter.busy) return requestAnimationFrame(now);
    waiting = false;
    if (measured) draw().catch(complain);
  });
}

// An enhancer with this picture in it, its canvas on the stage.
async function take(source, picture, plain = false) {
  const backend = plain || page.dataset.plain ? "javascript" : "auto";
  if (!enhancer || enhancer.asked !== backend) {
    enhancer?.dispose();
    enhancer = await Enhancer.create({ backend, onLost });
    enhancer.asked = backend;
  }
  await enhancer.open(source, picture);
  if ($("after").firstChild !== enhancer.canvas) $("after").replaceChildren(enhancer.canvas);
}

// The graphics card may be taken away at any time: go on without it.
function onLost() {
  if (photo?.file && !running) attempt(() => open(photo.file, { plain: true }));
  else if (running) {
    stopRunning();
    complain(new EnhanceError("The graphics card was taken away; start again."));
  }
}

function show(state) {
  page.dataset.state = state;
  if (state === "empty") measured = photo = null;
}

// --- photos

async function open(file, { plain = false, first = false } = {}) {
  const mine = ++asked;
  page.ariaBusy = "true";
  await loadNetwork();
  say("Brightening …");
  try {
    const read = await readPhoto(file);
    if (mine < shown) {
      URL.revokeObjectURL(read.url);
      return read.bitmap.close();
    }
    shown = mine;
    stopRunning();
    if (photo?.url) URL.revokeObjectURL(photo.url);
    measured = null; // nothing is drawn until the new map is there
    photo = { ...read, file };
    try {
      await take(read.bitmap, read, plain);
      if (mine !== shown) return;
      $("before-photo").src = read.url;
      setPicture(read.width, read.height);
      await draw();
    } finally {
      read.bitmap.close();
    }
    if (mine !== shown) return;
    if (!first) page.dataset.first = "";
    $("drop-words").textContent = first ? "Choose photos" : "Add photos";
    show("photo");
    say(first ? "" : "Done.");
    markShelf();
  } catch (error) {
    if (mine < shown) return;
    show("empty");
    error = error instanceof EnhanceError ? error : new EnhanceError(`${error.message}.`);
    throw new EnhanceError(`“${file.name}” was not brightened: ${error.message}`);
  }
}

// Take all photos; the first of them is shown, the others lie on the shelf.
function openAll(chosen) {
  if (!chosen.length) return;
  const photos = [...chosen];
  attempt(async () => {
    files.push(...photos);
    layShelf();
    await open(photos[0]);
  });
}

function layShelf() {
  $("shelf").hidden = $("download-all").hidden = files.length < 2;
  $("shelf").replaceChildren(
    ...files.map((file) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: file.name, title: file.name });
      button.addEventListener("click", () => attempt(() => open(file)));
      return button;
    }),
  );
  markShelf();
}

function markShelf() {
  [...$("shelf").children].forEach((button, i) => {
    button.ariaPressed = String(files[i] === photo?.file);
  });
}

async function sampleFile(name) {
  const answer = await fetch(`vendor/${name}`).catch(() => null);
  if (!answer?.ok) {
    throw new EnhanceError(
      "The samples are not beside the page. Where it is hosted, run: python demo/browser/prepare.py",
    );
  }
  const blob = await answer.blob();
  return new File([blob], name, { type: name.endsWith("png") ? "image/png" : "image/jpeg" });
}

function laySamples() {
  for (const name of SAMPLES) {
    const button = document.createElement("button");
    const image = document.createElement("img");
    Object.assign(image, { src: `vendor/${name}`, alt: `Sample ${name.split(".")[0]}` });
    button.type = "button";
    button.append(image);
    button.addEventListener("click", () => attempt(async () => open(await sampleFile(name))));
    $("samples").append(button);
  }
}

// --- what is downloaded

async function download() {
  if (recording) return save(recording);
  if (!measured) throw new EnhanceError("The picture is not ready yet.");
  page.ariaBusy = "true";
  say("Writing the file …");
  save(await encode(enhancer, photo));
  say("Done.");
}

// Every photo at the settings of now; what cannot be brightened is named and left out.
async function downloadAll() {
  page.ariaBusy = "true";
  const chosen = settings();
  const made = [];
  const failed = [];
  const worker = await Enhancer.create({ backend: enhancer.asked });
  for (const [i, file] of files.entries()) {
    say(`Brightening …, ${files.length - i} to go`);
    try {
      const read = await readPhoto(file);
      await worker.open(read.bitmap, read);
      read.bitmap.close();
      URL.revokeObjectURL(read.url);
      await worker.draw(chosen);
      made.push(await encode(worker, read));
    } catch (error) {
      failed.push(`“${file.name}” was not brightened: ${error.message}`);
    }
  }
  worker.dispose();
  if (made.length) save({ blob: await zip(made), name: "bright.zip" });
  say(made.length ? "Done." : "");
  if (failed.length) throw new EnhanceError(failed.join(" "));
}

// --- the camera and videos

async function startCamera() {
  const mine = ++asked;
  await loadNetwork();
  say("Starting the camera …");
  const started = await Camera.start($("before-video"));
  if (mine < shown) return started.stop();
  begin(mine, started, { name: "camera", type: "image/jpeg" });
  $("camera").textContent = "Stop the camera";
  $("stage").classList.toggle("mirrored", started.mirrored);
  say("The camera is on; its pictures stay in this page.");
  brighten(started, "camera");
}

async function openVideo(file) {
  const mine = ++asked;
  page.ariaBusy = "true";
  await loadNetwork();
  try {
    stopRunning();
    const opened = await VideoFile.open(file, $("before-video"));
    if (mine < shown) return opened.stop();
    begin(mine, opened, { name: file.name, type: "image/png", size: file.size });
    $("camera").textContent = "Stop";
    $("download").textContent = "Download the video";
    $("download").disabled = true;
    brighten(opened, "video");
  } catch (error) {
    show("empty");
    throw new EnhanceError(`“${file.name}” was not brightened: ${error.message}`);
  }
}

function begin(mine, started, picture) {
  shown = mine;
  stopRunning();
  running = started;
  measured = null;
  if (photo?.url) URL.revokeObjectURL(photo.url);
  photo = picture;
  page.dataset.first = "";
  markShelf();
}

// Brighten frame after frame until there is none or something else is opened.
function brighten(source, state) {
  follow(source, state).catch((error) => {
    stopRunning();
    complain(error);
  });
}

async function follow(source, state) {
  const smoother = new Smoother();
  const { video } = source;
  let frames = 0;
  const still = () => source === running;
  const frame = async () => {
    if (!video.videoWidth) return;
    source.hold?.();
    const size = { width: video.videoWidth, height: video.videoHeight };
    if (photo.width !== size.width || photo.height !== size.height) setPicture(...Object.values(size));
    Object.assign(photo, size);
    await take(video, size);
    if (still()) await draw(smoother);
    if (!still()) return;
    if (page.dataset.state !== state) show(state);
    await source.drawn?.();
    frames += 1;
    if (state === "video") {
      $("progress").value = source.share;
      say(`Brightening …, ${Math.round(100 * source.share)} %`);
    }
  };
  if (state === "video") {
    await frame(); // the canvas has its size before it is recorded
    $("progress").hidden = false;
    await source.start(enhancer.canvas);
  }
  while (await source.next()) {
    if (!still()) return;
    await frame();
  }
  if (!still()) return;
  if (state === "camera") return stopRunning();
  $("progress").hidden = true;
  recording = await source.finish();
  $("download").disabled = !recording;
  $("camera").textContent = "Start the camera";
  running = null;
  say(recording ? `Done. ${frames} frames.` : "This browser cannot record the video; shown alone.");
}

function stopRunning() {
  recording = null;
  $("download").textContent = "Download";
  $("download").disabled = false;
  if (!running) return;
  const stopped = running;
  running = null;
  stopped.stop();
  $("progress").hidden = true;
  $("stage").classList.remove("mirrored");
  $("camera").textContent = "Start the camera";
  show("empty");
  say("");
}

// --- controls

function showSettings() {
  $("strength-value").textContent = Number($("strength").value).toFixed(2);
  $("iterations-value").textContent = $("iterations").value;
  drawSoon();
}

function listen() {
  const sliders = ["strength", "iterations"];
  for (const id of sliders) $(id).addEventListener("input", showSettings);
  for (const radio of document.querySelectorAll("[name=look]")) {
    radio.addEventListener("change", showSettings);
  }
  $("reset").addEventListener("click", () => {
    for (const id of sliders) $(id).value = $(id).defaultValue;
    document.querySelector("[name=look]").checked = true;
    showSettings();
  });
  $("show-map").addEventListener("change", () => {
    const shows = $("show-map").checked;
    page.dataset.map = shows ? "shown" : "";
    $("after-tag").textContent = shows ? "Factor map" : "After";
    if (measured && shows) drawMap(measured.factor, photo);
  });
  $("error-close").addEventListener("click", () => ($("error").hidden = true));
  $("download").addEventListener("click", () => attempt(download));
  $("download-all").addEventListener("click", () => attempt(downloadAll));
  $("camera").addEventListener("click", () => {
    if (running) stopRunning();
    else attempt(startCamera);
  });
  $("file").addEventListener("change", () => {
    openAll($("file").files);
    $("file").value = ""; // the same file may be chosen again
  });
  $("video-file").addEventListener("change", () => {
    const [file] = $("video-file").files;
    if (file) attempt(() => openVideo(file));
    $("video-file").value = "";
  });
  document.addEventListener("paste", (event) => openEither(event.clipboardData.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    page.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) page.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    page.classList.remove("dropping");
    openEither(event.dataTransfer.files);
  });
}

function openEither(list) {
  const [first] = list;
  if (first?.type.startsWith("video/")) attempt(() => openVideo(first));
  else openAll(list);
}

// --- start

$("unstarted").remove();
page.hidden = false;
// ?plain shows the page as it is without a graphics card.
if (new URLSearchParams(location.search).has("plain")) page.dataset.plain = "yes";
listen();
startView();
showSettings();
laySamples();
attempt(async () => {
  say("Loading the network …");
  try {
    // What goes wrong is said now, and again when a picture is opened.
    await loadNetwork((share) => ($("progress").value = share));
  } finally {
    $("progress").hidden = true;
  }
  say("");
  if (asked === 0) await open(await sampleFile(SAMPLES[0]), { first: true });
  page.dataset.network = "ready";
  if (page.dataset.first) sweep();
});

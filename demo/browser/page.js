// The page: a photo or the camera in, the brightened picture out.

import { Camera, Smoother } from "./camera.js";
import { SCALE } from "./curve.js";
import { Network, PageError } from "./network.js";
import { encode, readPhoto, save } from "./photo.js";
import { PlainPainter } from "./plain.js";
import { GlPainter } from "./webgl.js";

const $ = (id) => document.getElementById(id);
const page = $("page");

let network; // a promise
let painter; // of the picture that is shown
let photo; // {name, type, …} of it, of the file or the camera
let factor; // its map
let camera; // while it runs
let asked = 0; // how often something was to be opened,
let shown = 0; // and which of these is shown: the last one that can be

// --- what the page says

function say(text) {
  $("status").textContent = text;
}

function complain(error) {
  const expected = error instanceof PageError;
  if (!expected) console.error(error);
  $("error-text").textContent = expected ? error.message : `Something went wrong: ${error.message}`;
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

// --- the picture

const settings = () => [Number($("strength").value), Number($("iterations").value)];

async function draw() {
  await painter.draw(...settings());
  page.dataset.draws = Number(page.dataset.draws) + 1;
  if (factor && $("show-map").checked) drawMap(); // it may be gone by now
}

let waiting = false;
// Draw once for all that changes before the screen's next frame.
function drawSoon() {
  if (waiting || !factor) return;
  waiting = true;
  requestAnimationFrame(function now() {
    if (painter.busy) return requestAnimationFrame(now);
    waiting = false;
    if (factor) draw().catch(complain);
  });
}

// From the map's least brightening to its most: indigo, plum, orange, pale yellow.
const RAMP = [[27, 20, 84], [139, 35, 112], [238, 120, 60], [252, 240, 170]];

function drawMap() {
  const { values, width, height } = factor;
  const area = width * height;
  const [strength] = settings();
  const mean = (i) => (values[i] + values[area + i] + values[2 * area + i]) / 3;
  const light = Float32Array.from({ length: area }, (_, i) => Math.min(1, -mean(i) * strength));
  const least = light.reduce((a, b) => Math.min(a, b));
  const most = light.reduce((a, b) => Math.max(a, b));
  $("least").textContent = least.toFixed(2);
  $("most").textContent = most.toFixed(2);
  const image = new ImageData(width, height);
  for (let i = 0; i < area; i++) {
    const place = ((light[i] - least) / (most - least || 1)) * (RAMP.length - 1);
    const first = Math.min(Math.floor(place), RAMP.length - 2);
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] =
        RAMP[first][c] + (place - first) * (RAMP[first + 1][c] - RAMP[first][c]);
    }
    image.data[4 * i + 3] = 255;
  }
  Object.assign($("map"), { width, height });
  $("map").getContext("2d").putImageData(image, 0, 0);
  // The map may reach beyond the picture's edge, where the picture is cut.
  $("map").style.width = `${(100 * width * SCALE) / photo.width}%`;
  $("map").style.height = `${(100 * height * SCALE) / photo.height}%`;
}

// Hand the picture to a painter that can take it, and see to its canvas.
function take(source, width, height, plain = false) {
  const kinds = plain || page.dataset.plain ? [PlainPainter] : [GlPainter, PlainPainter];
  for (const kind of kinds) {
    const next = painter instanceof kind ? painter : kind.make(onLost);
    if (!next) continue;
    if (next !== painter) {
      painter?.dispose(onLost);
      painter = next;
      $("after").replaceChildren(painter.canvas);
    }
    if (painter.load(source, width, height)) {
      page.dataset.painter = painter.kind;
      $("stage").style.setProperty("--ratio", width / height);
      return;
    }
  }
  throw new PageError(
    `${width} × ${height} pixels are more than this browser can hold; try a smaller picture.`,
  );
}

// The graphics card may be taken away at any time: go on without it.
function onLost() {
  if (photo?.file) attempt(() => open(photo.file, true));
  else if (camera) {
    stopCamera();
    complain(new PageError("The graphics card was taken away; start the webcam again."));
  }
}

async function findFactor() {
  const loaded = await network;
  const found = await loaded.factor(painter.shrink());
  page.dataset.runs = loaded.runs;
  return found;
}

// One map for all colours: gray stays gray.
function grayed({ values, width, height }) {
  const area = width * height;
  const mean = new Float32Array(3 * area);
  for (let i = 0; i < 3 * area; i++) {
    const j = i % area;
    mean[i] = (values[j] + values[area + j] + values[2 * area + j]) / 3;
  }
  return { values: mean, width, height };
}

function show(state) {
  page.dataset.state = state;
  if (state === "empty") factor = photo = null;
}

// --- photos

async function open(file, plain = false) {
  const mine = ++asked;
  page.ariaBusy = "true";
  await network;
  say(`Reading ${file.name} …`);
  const read = await readPhoto(file);
  if (mine < shown) {
    URL.revokeObjectURL(read.url);
    return read.bitmap.close();
  }
  shown = mine;
  stopCamera();
  say("Looking at the picture …");
  const start = performance.now();
  if (photo?.url) URL.revokeObjectURL(photo.url);
  factor = null; // nothing is drawn until the new map is there
  photo = { ...read, file };
  try {
    take(read.bitmap, read.width, read.height, plain);
    const found = await findFactor();
    if (mine !== shown) return;
    factor = read.gray ? grayed(found) : found;
  } catch (error) {
    show("empty");
    throw error;
  } finally {
    read.bitmap.close();
  }
  $("before-photo").src = read.url;
  painter.setFactor(factor);
  await draw();
  if (mine !== shown) return;
  show("photo");
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  say(`${read.name}: ${read.width} × ${read.height}, enhanced in ${seconds} s.`);
}

async function openSample() {
  const answer = await fetch("vendor/sample.png").catch(() => null);
  if (!answer?.ok) {
    throw new PageError(
      "The sample is not beside the page. Where it is hosted, run: python demo/browser/prepare.py",
    );
  }
  await open(new File([await answer.blob()], "cat.png", { type: "image/png" }));
}

async function download() {
  if (!factor) throw new PageError("The picture is not ready yet.");
  page.ariaBusy = "true";
  say("Writing the file …");
  const file = await encode(painter, photo);
  save(file);
  const size = `${photo.width} × ${photo.height}, ${(file.blob.size / 1e6).toFixed(1)} MB`;
  say(`Saved ${file.name}: ${size}.`);
}

// --- the camera

async function startCamera() {
  const mine = ++asked;
  await network;
  say("Starting the camera …");
  const started = await Camera.start($("before-video"));
  if (mine < shown) return started.stop();
  shown = mine;
  camera = started;
  factor = null;
  if (photo?.url) URL.revokeObjectURL(photo.url);
  photo = { name: "webcam", type: "image/jpeg" };
  $("stage").classList.toggle("mirrored", camera.mirrored);
  $("camera-label").textContent = "Stop the webcam";
  say("The webcam is on; its pictures stay in this page.");
  enhanceFrames(camera).catch((error) => {
    stopCamera();
    complain(error);
  });
}

async function enhanceFrames(running) {
  const smoother = new Smoother();
  const video = running.video;
  while (await running.next()) {
    if (!video.videoWidth) continue;
    Object.assign(photo, { width: video.videoWidth, height: video.videoHeight });
    take(video, photo.width, photo.height);
    const found = await findFactor();
    if (running !== camera) return;
    factor = smoother.smooth(found, performance.now() / 1000);
    painter.setFactor(factor);
    await draw();
    if (running !== camera) return;
    if (page.dataset.state !== "camera") show("camera");
  }
  if (running === camera) stopCamera();
}

function stopCamera() {
  if (!camera) return;
  camera.stop();
  camera = null;
  $("stage").classList.remove("mirrored");
  $("camera-label").textContent = "Use the webcam";
  show("empty");
  say("The webcam is off.");
}

// --- controls

function showSettings() {
  $("strength-value").textContent = `${Math.round(100 * $("strength").value)} %`;
  $("iterations-value").textContent = $("iterations").value;
  drawSoon();
}

function showSplit() {
  const value = $("split").value;
  $("stage").style.setProperty("--split", `${value}%`);
  $("split").setAttribute("aria-valuetext", `${Math.round(value)} % of the width is the original`);
}

for (const id of ["strength", "iterations"]) $(id).addEventListener("input", showSettings);
$("split").addEventListener("input", showSplit);
$("reset").addEventListener("click", () => {
  for (const id of ["strength", "iterations"]) $(id).value = $(id).defaultValue;
  showSettings();
});
$("show-map").addEventListener("change", () => {
  page.dataset.map = $("show-map").checked ? "shown" : "";
  if (factor && $("show-map").checked) drawMap();
});
$("error-close").addEventListener("click", () => ($("error").hidden = true));
$("download").addEventListener("click", () => attempt(download));
$("sample").addEventListener("click", () => attempt(openSample));
$("camera").addEventListener("click", () => {
  if (camera) stopCamera();
  else attempt(startCamera);
});
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) attempt(() => open(file));
  $("file").value = ""; // the same file may be chosen again
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) attempt(() => open(file));
});
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
  const [file] = event.dataTransfer.files;
  if (file) attempt(() => open(file));
});

// --- start

$("unstarted").remove();
page.hidden = false;
// ?plain shows the page as it is without WebGL.
if (new URLSearchParams(location.search).has("plain")) page.dataset.plain = "yes";
showSettings();
showSplit();
attempt(async () => {
  say("Loading the network …");
  network = Network.load((share) => ($("progress").value = share));
  try {
    await network; // what goes wrong is said now, and again when a picture is opened
    page.dataset.network = "ready";
    say("Ready.");
  } finally {
    $("progress").hidden = true;
  }
});

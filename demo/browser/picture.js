// The picture that is shown: of a photo, a video or the camera, with the settings of now.

import { Enhancer } from "./enhance.js";
import { $, complain, page } from "./said.js";
import { drawMap } from "./view.js";

// What the page is at, one for all its modules.
export const now = {
  enhancer: null, // of the picture that is shown
  photo: null, // {name, type, …} of it, of a file, the video or the camera
  measured: null, // what was found for it
  running: null, // the camera or the video, while it runs
  recording: null, // {blob, name} of a video that is done
  asked: 0, // how often something was to be opened,
  shown: 0, // and which of these is shown: the last one that can be
  lost: () => {}, // called when the graphics card is taken away
};

export function settings() {
  const look = document.querySelector("[name=look]:checked").value;
  return { look, strength: Number($("strength").value), iterations: Number($("iterations").value) };
}

export async function draw(smoother) {
  now.measured = await now.enhancer.draw(settings(), smoother);
  page.dataset.draws = Number(page.dataset.draws) + 1;
  page.dataset.runs = now.enhancer.network.runs;
  page.dataset.painter = now.enhancer.painter.kind;
  if (!now.photo) return;
  describe();
  if ($("show-map").checked) drawMap(now.measured.factor, now.photo);
}

function describe() {
  const { photo, measured } = now;
  const size = photo.size ? ` · ${(photo.size / 1e6).toFixed(1)} MB` : "";
  $("name").textContent = `${photo.name} · ${photo.width} × ${photo.height}${size}`;
  const black = Math.round((255 * (measured.black[0] + measured.black[1] + measured.black[2])) / 3);
  $("measured").textContent =
    settings().look === "natural" ? `Black ${black} · Exposure ${measured.exposure.toFixed(1)}` : "";
}

let waiting = false;
// Draw once for all that changes before the screen's next frame.
export function drawSoon() {
  if (waiting || !now.measured || now.running) return;
  waiting = true;
  requestAnimationFrame(function then() {
    if (now.enhancer.painter.busy) return requestAnimationFrame(then);
    waiting = false;
    if (now.measured) draw().catch(complain);
  });
}

// An enhancer with this picture in it, its canvas on the stage.
export async function take(source, picture, plain = false) {
  const backend = plain || page.dataset.plain ? "javascript" : "auto";
  if (!now.enhancer || now.enhancer.asked !== backend) {
    now.enhancer?.dispose();
    now.enhancer = await Enhancer.create({ backend, onLost: () => now.lost() });
    now.enhancer.asked = backend;
  }
  await now.enhancer.open(source, picture);
  const { canvas } = now.enhancer;
  if ($("after").firstChild !== canvas) $("after").replaceChildren(canvas);
}

export function show(state) {
  page.dataset.state = state;
  if (state === "empty") now.measured = now.photo = null;
  page.dispatchEvent(new Event("shown"));
}

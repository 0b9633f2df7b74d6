// What is seen of a picture: the divider, the size of view, the factor map as colours.

import { SCALE } from "./curve.js";

const $ = (id) => document.getElementById(id);
const stage = $("stage");

// --- the divider

export function showSplit() {
  const { value } = $("split");
  stage.style.setProperty("--split", `${value}%`);
  $("split").setAttribute("aria-valuetext", `${Math.round(value)} % of the width is the original`);
}

// From right to left once, then to the middle; whoever takes hold of it ends that.
export function sweep() {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const start = performance.now();
  const split = $("split");
  const stop = () => (sweep.running = null);
  const running = (sweep.running = {});
  split.addEventListener("pointerdown", stop, { once: true });
  split.addEventListener("keydown", stop, { once: true });
  requestAnimationFrame(function move(now) {
    if (sweep.running !== running) return;
    const share = Math.max(0, Math.min(1, (now - start) / 2400));
    const turn = 0.7; // of the time it goes to the left
    split.value = share < turn
      ? 95 - 80 * smoothed(share / turn)
      : 15 + 35 * smoothed((share - turn) / (1 - turn));
    showSplit();
    if (share < 1) requestAnimationFrame(move);
  });
}

const smoothed = (share) => share * share * (3 - 2 * share);

// --- the size of view: all of it, or one pixel of the picture on one of the screen

const view = { whole: false, x: 0, y: 0, width: 1, height: 1 };

export function setPicture(width, height) {
  Object.assign(view, { width, height });
  stage.style.setProperty("--ratio", width / height);
  zoom(false);
}

export function zoom(whole) {
  view.whole = whole;
  stage.classList.toggle("whole", whole);
  $("fit").ariaPressed = String(!whole);
  $("whole").ariaPressed = String(whole);
  if (whole) {
    const [width, height] = size();
    view.x = (stage.clientWidth - width) / 2;
    view.y = (stage.clientHeight - height) / 2;
  }
  place();
}

const size = () => [view.width / devicePixelRatio, view.height / devicePixelRatio];

function place() {
  const [width, height] = size();
  const limit = (at, room, side) =>
    side <= room ? (room - side) / 2 : Math.min(0, Math.max(room - side, at));
  view.x = limit(view.x, stage.clientWidth, width);
  view.y = limit(view.y, stage.clientHeight, height);
  const values = view.whole ? [view.x, view.y, width, height].map((v) => `${v}px`) : [];
  ["--x", "--y", "--w", "--h"].forEach((name, i) => stage.style.setProperty(name, values[i] ?? ""));
}

// At 100 % a drag moves the picture; the divider is then moved by its handle, or by keys.
function drag(event) {
  if (!view.whole) return;
  const box = stage.getBoundingClientRect();
  const handle = box.left + (box.width * $("split").value) / 100;
  if (Math.abs(event.clientX - handle) < 24) return;
  event.preventDefault();
  let [x, y] = [event.clientX, event.clientY];
  stage.setPointerCapture(event.pointerId);
  const move = (next) => {
    view.x += next.clientX - x;
    view.y += next.clientY - y;
    [x, y] = [next.clientX, next.clientY];
    place();
  };
  const end = () => stage.removeEventListener("pointermove", move);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", end, { once: true });
  stage.addEventListener("pointercancel", end, { once: true });
}

// --- the factor map, from its least brightening to its most: indigo, plum, orange, pale yellow

const RAMP = [[27, 20, 84], [139, 35, 112], [238, 120, 60], [252, 240, 170]];

export function drawMap({ values, width, height }, picture) {
  const area = width * height;
  const channels = values.length / area;
  const light = new Float32Array(area);
  for (let i = 0; i < values.length; i++) light[i % area] -= values[i] / channels;
  const least = light.reduce((a, b) => Math.min(a, b));
  const most = light.reduce((a, b) => Math.max(a, b));
  const image = new ImageData(width, height);
  for (let i = 0; i < area; i++) {
    const place = ((light[i] - least) / Math.max(most - least, 1e-6)) * (RAMP.length - 1);
    const first = Math.min(Math.floor(place), RAMP.length - 2);
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] =
        RAMP[first][c] + (place - first) * (RAMP[first + 1][c] - RAMP[first][c]);
    }
    image.data[4 * i + 3] = 255;
  }
  const map = $("map");
  Object.assign(map, { width, height });
  map.getContext("2d").putImageData(image, 0, 0);
  // The map may reach beyond the picture's edge, where the picture is cut.
  map.style.width = `${(100 * width * SCALE) / picture.width}%`;
  map.style.height = `${(100 * height * SCALE) / picture.height}%`;
}

export function startView() {
  $("split").addEventListener("input", showSplit);
  $("fit").addEventListener("click", () => zoom(false));
  $("whole").addEventListener("click", () => zoom(true));
  stage.addEventListener("pointerdown", drag, { capture: true });
  new ResizeObserver(place).observe(stage);
  showSplit();
}

// Before and after with a line to drag between them: fitted to the page, or at 100 % to be moved.
const find = (name) => element.querySelector(name);
const [stage, range, divider] = [".stage", "input", ".divider"].map(find);
const [before, after] = [".before", ".after"].map(find);
const planes = [find(".before-plane"), find(".after-plane")];
const buttons = [...element.querySelectorAll("[data-zoom]")];
let [actual, x, y, name] = [false, 0, 0, ""];

// The divider is a plain range control over the picture: mouse, finger and keys move it.
const move = () => stage.style.setProperty("--at", `${range.value}%`);
range.addEventListener("input", move);

const place = () => {
  const { full_width, full_height } = props.value;
  const ratio = 1 / (window.devicePixelRatio || 1); // a pixel of the photo on a pixel of the screen
  const [width, height] = [full_width * ratio, full_height * ratio];
  const [room, depth] = [stage.clientWidth, stage.clientHeight];
  x = width <= room ? (room - width) / 2 : Math.min(0, Math.max(room - width, x));
  y = height <= depth ? (depth - height) / 2 : Math.min(0, Math.max(depth - height, y));
  for (const plane of planes) {
    plane.style.cssText = actual
      ? `width: ${width}px; height: ${height}px; transform: translate(${x}px, ${y}px)` : "";
  }
};
const addTiles = () => {
  const { tiles, full_width, full_height } = props.value;
  for (const [plane, side] of [[planes[0], "before"], [planes[1], "after"]]) {
    plane.querySelectorAll(".tile").forEach((tile) => tile.remove());
    if (!actual) continue;
    for (const tile of tiles) {
      const image = document.createElement("img");
      image.className = "tile";
      image.loading = "lazy";
      image.alt = "";
      image.style.cssText = `left: ${100 * tile.x / full_width}%; top: ${100 * tile.y / full_height}%;
        width: ${100 * tile.width / full_width}%; height: ${100 * tile.height / full_height}%`;
      image.src = tile[side];
      plane.append(image);
    }
  }
};
const zoom = (to, ask = true) => {
  actual = to;
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String((button.dataset.zoom === "actual") === actual));
  }
  if (actual) stage.style.height = `${stage.clientHeight}px`;
  stage.classList.toggle("actual", actual);
  if (!actual) stage.style.height = "";
  if (actual && !x && !y) {
    const ratio = 1 / (window.devicePixelRatio || 1);
    x = (stage.clientWidth - props.value.full_width * ratio) / 2;
    y = (stage.clientHeight - props.value.full_height * ratio) / 2;
  }
  place();
  addTiles();
  if (actual && ask && !props.value.tiles.length && !props.value.shows_map) trigger("select", {});
};
for (const button of buttons) {
  button.addEventListener("click", () => zoom(button.dataset.zoom === "actual"));
}
// At 100 % dragging moves the picture; the divider is taken at its handle.
const shift = (dx, dy) => {
  [x, y] = [x + dx, y + dy];
  place();
};
let held = null;
stage.addEventListener("pointerdown", (event) => {
  if (!actual) return;
  held = event.target === divider ? "divider" : "picture";
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  if (held === "picture") shift(event.movementX, event.movementY);
  if (held === "divider") {
    const frame = stage.getBoundingClientRect();
    range.value = 100 * (event.clientX - frame.left) / frame.width;
    move();
  }
});
for (const kind of ["pointerup", "pointercancel"]) {
  stage.addEventListener(kind, () => { held = null; });
}
const STEPS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
range.addEventListener("keydown", (event) => {
  if (!actual || !event.shiftKey || !STEPS[event.key]) return;
  event.preventDefault();
  shift(...STEPS[event.key]);
});
window.addEventListener("resize", () => { if (actual) place(); });

// Once, on the first screen: the line sweeps across, so that one sees what is to be had.
const sweep = () => {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const [start, time] = [performance.now() + 500, 2200];
  const step = (now) => {
    if (document.activeElement === range || range.dataset.touched) return;
    const part = Math.min(Math.max((now - start) / time, 0), 1);
    const eased = part < 0.5 ? 2 * part * part : 1 - 2 * (1 - part) ** 2;
    range.value = eased < 0.75 ? 96 - 92 * eased / 0.75 : 4 + 46 * (eased - 0.75) / 0.25;
    move();
    if (part < 1) requestAnimationFrame(step);
  };
  range.value = 96;
  move();
  requestAnimationFrame(step);
};
range.addEventListener("pointerdown", () => { range.dataset.touched = "yes"; });

const show = () => {
  const value = props.value;
  if (!value) return;
  stage.style.setProperty("--w", value.width);
  stage.style.setProperty("--h", value.height);
  before.src = value.before;
  after.src = value.after;
  before.alt = `Before: ${value.name}`;
  after.alt = `${value.shows_map ? "Factor map" : "After"}: ${value.name}`;
  find(".right").textContent = value.shows_map ? "Factor map" : "After";
  find(".name").textContent = value.name;
  find(".size").textContent = value.facts;
  find(".measured").textContent = value.measured;
  find(".legend").hidden = !value.shows_map;
  find(".zoom").hidden = value.sweep;
  if (value.sweep) sweep();
  if (value.name !== name) {
    name = value.name;
    [x, y] = [0, 0];
    zoom(false);
  } else if (actual) {
    zoom(true, !value.tiles.length);
  }
};
watch("value", show);
move();
show();

// The brightened video and its dark original in step, with a line to drag between them.
const find = (name) => element.querySelector(name);
const [stage, split, seek, play, sound, link] = [
  ".stage", ".split", ".seek", ".play", ".sound", "a"].map(find);
const [before, after, time] = [".before", ".after", ".time"].map(find);
const LAG = 0.08; // seconds by which the original may be beside the other

const move = () => stage.style.setProperty("--at", `${split.value}%`);
split.addEventListener("input", move);
const clock = (seconds) => {
  const whole = Math.floor(seconds || 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};
const follow = () => {
  if (!seek.matches(":active") && after.duration) seek.value = after.currentTime / after.duration;
  time.textContent = `${clock(after.currentTime)} / ${clock(after.duration)}`;
  if (Math.abs(before.currentTime - after.currentTime) > LAG) before.currentTime = after.currentTime;
  if (!after.paused) requestAnimationFrame(follow);
};
play.addEventListener("click", () => (after.paused ? after.play() : after.pause()));
after.addEventListener("play", () => {
  play.textContent = "Pause";
  before.play().catch(() => {});
  follow();
});
after.addEventListener("pause", () => {
  play.textContent = "Play";
  before.pause();
});
for (const kind of ["loadedmetadata", "seeked"]) after.addEventListener(kind, follow);
seek.addEventListener("input", () => {
  after.currentTime = seek.value * (after.duration || 0);
});
sound.addEventListener("click", () => {
  after.muted = !after.muted;
  sound.textContent = after.muted ? "Sound on" : "Sound off";
});
// Some browsers do not play the original's codec: then there is the result alone.
const alone = () => stage.classList.toggle("alone", true);
before.addEventListener("error", () => { if (before.getAttribute("src")) alone(); });

let shown = "";
const show = () => {
  const value = props.value;
  if (!value || value.after === shown) return;
  shown = value.after;
  stage.style.setProperty("--w", value.width);
  stage.style.setProperty("--h", value.height);
  stage.classList.toggle("alone", !value.before);
  after.muted = true;
  sound.textContent = "Sound on";
  after.src = value.after;
  if (value.before) before.src = value.before;
  else before.removeAttribute("src");
  find(".name").textContent = value.name;
  find(".size").textContent = value.facts;
  link.href = value.after;
  link.download = value.name;
  after.play().catch(() => {});
};
after.loop = true;
watch("value", show);
move();
show();

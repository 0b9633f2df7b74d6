// The divider is a plain range control over the picture: mouse, finger and keys move it.
const range = element.querySelector("input");
const move = () => element.style.setProperty("--at", `${range.value}%`);
range.addEventListener("input", move);
move();

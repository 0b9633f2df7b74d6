// Sends a chosen or dropped file and tells the page where it went.
const input = element.querySelector("input");
const say = (message, kind) => {
  props.value = { ...props.value, message, kind };
};
const send = async (file) => {
  if (!file) return;
  const megabytes = props.value.max_bytes / 1e6;
  if (file.size > props.value.max_bytes) {
    say(`This file has ${(file.size / 1e6).toFixed(1)} MB; at most ${megabytes} MB are taken.`,
      "error");
    return;
  }
  say("Sending …", "busy");
  try {
    const { path } = await upload(file);
    say("Waiting for the answer …", "busy");
    trigger("upload", { path, name: file.name });
  } catch (error) {
    say("The file did not arrive; please try again.", "error");
  }
};
input.addEventListener("change", () => {
  send(input.files[0]);
  input.value = ""; // the same file can be chosen again
});
// A file dropped beside the frame would otherwise replace the page.
const over = (event) => {
  event.preventDefault();
  element.dataset.over = event.type === "dragover" ? "yes" : "";
};
element.addEventListener("dragover", over);
element.addEventListener("dragleave", over);
element.addEventListener("drop", (event) => {
  over(event);
  send(event.dataTransfer.files[0]);
});
window.addEventListener("paste", (event) => {
  if (element.offsetParent) send(event.clipboardData.files[0]); // the tab that is seen
});
if (!window.dropsElsewhere) {
  window.dropsElsewhere = true;
  for (const kind of ["dragover", "drop"]) {
    window.addEventListener(kind, (event) => event.preventDefault());
  }
}

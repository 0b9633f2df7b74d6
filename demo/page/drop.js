// Sends chosen, dropped or pasted files one after another and tells the server of each.
const field = element.querySelector("input");
const title = element.querySelector("strong");
const message = element.querySelector(".message");
const RETRIES = 60, WAIT = 5000; // where there is no room for more at the moment

const say = (lines, kind = "") => {
  message.className = `message ${kind}`;
  message.replaceChildren(...lines.map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
};
const show = () => {
  title.textContent = props.value.title;
  say(props.value.lines, props.value.kind);
};
watch("value", show);
show();

// The server's name for what was sent; null if it could not be.
const send = async (file) => {
  if (file.size > props.value.max_bytes) return null;
  for (let attempt = 0; attempt < RETRIES; attempt += 1) {
    let answer;
    try {
      answer = await fetch("upload-photo", { method: "POST", body: file });
    } catch {
      return null; // the server is gone, or the file has changed since
    }
    if (answer.ok) return (await answer.json()).key;
    if (answer.status !== 503) return null;
    say(["Many photos wait at the moment; yours goes in as soon as there is room."], "busy");
    await new Promise((done) => setTimeout(done, WAIT));
  }
  return null;
};
let queue = Promise.resolve();
const take = (files) => {
  const chosen = [...files];
  if (!chosen.length) return;
  const batch = Date.now();
  const taken = props.value.several ? chosen : chosen.slice(0, 1);
  queue = queue.then(async () => {
    for (const [number, file] of taken.entries()) {
      say([taken.length > 1 ? `Sending ${number + 1} of ${taken.length} …` : "Sending …"], "busy");
      const upload = await send(file);
      trigger("upload", {
        upload, name: file.name, size: file.size, batch, place: number,
        left_out: chosen.length - taken.length,
      });
    }
  });
};
field.addEventListener("change", () => {
  take(field.files);
  field.value = ""; // the same file can be chosen again
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
  take(event.dataTransfer.files);
});
window.addEventListener("paste", (event) => {
  if (element.offsetParent) take(event.clipboardData.files); // the tab that is seen
});
if (!window.dropsElsewhere) {
  window.dropsElsewhere = true;
  for (const kind of ["dragover", "drop"]) {
    window.addEventListener(kind, (event) => event.preventDefault());
  }
}

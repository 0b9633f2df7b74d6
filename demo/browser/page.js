// The page: what the person does is handed to what does it, and the start.

import { EnhanceError, loadNetwork } from "./enhance.js";
import { openVideo, startCamera, stopRunning } from "./moving.js";
import {
  SAMPLES, download, downloadAll, laySamples, markShelf, open, openAll, sampleFile,
} from "./photos.js";
import { drawSoon, now } from "./picture.js";
import { $, attempt, complain, page, say } from "./said.js";
import { drawMap, startView, sweep } from "./view.js";

// --- controls

const sliders = ["strength", "iterations"];

function showSettings() {
  for (const id of sliders) $(`${id}-value`).textContent = $(id).value;
  drawSoon();
}

function listen() {
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
    if (now.measured && shows) drawMap(now.measured.factor, now.photo);
  });
  $("error-close").addEventListener("click", () => ($("error").hidden = true));
  $("download").addEventListener("click", () => attempt(download));
  $("download-all").addEventListener("click", () => attempt(downloadAll));
  $("camera").addEventListener("click", () => {
    if (now.running) stopRunning();
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
// ?plain shows the page as it is without a graphics card, ?played as without WebCodecs.
for (const word of ["plain", "played"]) {
  if (new URLSearchParams(location.search).has(word)) page.dataset[word] = "yes";
}
// The graphics card may be taken away at any time: go on without it.
now.lost = () => {
  if (now.photo?.file && !now.running) attempt(() => open(now.photo.file, { plain: true }));
  else if (now.running) {
    stopRunning();
    complain(new EnhanceError("The graphics card was taken away; start again."));
  }
};
page.addEventListener("shown", markShelf);
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
  if (now.asked === 0) await open(await sampleFile(SAMPLES[0]), { first: true });
  page.dataset.network = "ready";
  if (page.dataset.first) sweep();
});

// Photos: opened, laid on a shelf, handed back.

import { Enhancer, EnhanceError, loadNetwork } from "./enhance.js";
import { stopRunning } from "./moving.js";
import { encode, readPhoto, save } from "./photo.js";
import { draw, now, settings, show, take } from "./picture.js";
import { $, attempt, page, say } from "./said.js";
import { setPicture } from "./view.js";
import { zip } from "./zip.js";

export const SAMPLES = ["theatre.jpg", "coffee.png", "chelsea.png"];
const files = []; // all that were chosen

export async function open(file, { plain = false, first = false } = {}) {
  const mine = ++now.asked;
  page.ariaBusy = "true";
  await loadNetwork();
  say("Brightening …");
  try {
    const read = await readPhoto(file);
    if (mine < now.shown) {
      URL.revokeObjectURL(read.url);
      return read.bitmap.close();
    }
    now.shown = mine;
    stopRunning();
    if (now.photo?.url) URL.revokeObjectURL(now.photo.url);
    now.measured = null; // nothing is drawn until the new map is there
    now.photo = { ...read, file };
    try {
      await take(read.bitmap, read, plain);
      if (mine !== now.shown) return;
      $("before-photo").src = read.url;
      setPicture(read.width, read.height);
      await draw();
    } finally {
      read.bitmap.close();
    }
    if (mine !== now.shown) return;
    if (!first) page.dataset.first = "";
    $("drop-words").textContent = first ? "Choose photos" : "Add photos";
    show("photo");
    say(first ? "" : "Done.");
    markShelf();
  } catch (error) {
    if (mine < now.shown) return;
    show("empty");
    error = error instanceof EnhanceError ? error : new EnhanceError(`${error.message}.`);
    throw new EnhanceError(`“${file.name}” was not brightened: ${error.message}`);
  }
}

// Take all photos; the first of them is shown, the others lie on the shelf.
export function openAll(chosen) {
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

export function markShelf() {
  [...$("shelf").children].forEach((button, i) => {
    button.ariaPressed = String(files[i] === now.photo?.file);
  });
  if (now.photo?.file) {
    $("download").textContent = files.length > 1 ? "Download this one" : "Download";
  }
}

export async function sampleFile(name) {
  const answer = await fetch(`vendor/${name}`).catch(() => null);
  if (!answer?.ok) {
    throw new EnhanceError(
      "The samples are not beside the page. Where it is hosted, run: python demo/browser/prepare.py",
    );
  }
  const blob = await answer.blob();
  return new File([blob], name, { type: name.endsWith("png") ? "image/png" : "image/jpeg" });
}

export function laySamples() {
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

export async function download() {
  if (now.recording) return save(now.recording);
  if (!now.measured) throw new EnhanceError("The picture is not ready yet.");
  page.ariaBusy = "true";
  say("Writing the file …");
  save(await encode(now.enhancer, now.photo));
  say("Done.");
}

// Every photo at the settings of now; what cannot be brightened is named and left out.
export async function downloadAll() {
  page.ariaBusy = "true";
  const chosen = settings();
  const made = [];
  const failed = [];
  const worker = await Enhancer.create({ backend: now.enhancer.asked });
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

// A photograph's file: read as the browser reads it, upright and in sRGB, and named for saving.

import { EnhanceError } from "./enhance.js";

const MAX_MEGAPIXELS = 100; // a picture is held four times over, at four bytes a pixel
const QUALITY = 0.95;
const SUFFIX = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp" };

// The photograph in a file: {name, type, size, gray, url, bitmap, width, height}. The message of
// an EnhanceError follows the file's name.
export async function readPhoto(file) {
  const url = URL.createObjectURL(file);
  try {
    const { width, height } = await measure(url);
    if (width * height > MAX_MEGAPIXELS * 1e6) {
      throw new EnhanceError(
        `it has ${Math.round((width * height) / 1e6)} megapixels, and this page takes up to ` +
          `${MAX_MEGAPIXELS}.`,
      );
    }
    // Colours under transparent pixels stay what they are. A profile is converted to sRGB and
    // the camera's rotation applied, the browser's defaults: the result looks as the photo did.
    const bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
    const gray = isGray(new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer()));
    const { name, type, size } = file;
    return { name, type, size, gray, url, bitmap, width: bitmap.width, height: bitmap.height };
  } catch (error) {
    URL.revokeObjectURL(url);
    if (error instanceof EnhanceError) throw error;
    throw new EnhanceError(
      "it is damaged, or of a type that this browser cannot read. " +
        "JPEG, PNG, WebP and AVIF work.",
    );
  }
}

// Its size, from its header: what is too large is never decoded.
function measure(url) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done({ width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => fail(new Error("no image"));
    image.src = url;
  });
}

// Whether a JPEG or PNG is stored without colour. Such a picture is to stay gray, as in Python.
function isGray(bytes) {
  if (bytes[0] === 0x89) return bytes[25] === 0 || bytes[25] === 4; // PNG's colour type
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return false;
  for (let at = 2; bytes[at] === 0xff; at += 2 + bytes[at + 2] * 256 + bytes[at + 3]) {
    const marker = bytes[at + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return bytes[at + 9] === 1; // JPEG's count of components
  }
  return false;
}

// What an enhancer has drawn as a file {blob, name}: of the photo's type where the browser writes
// it, else PNG.
export async function encode(enhancer, { name, type }) {
  const blob = await enhancer.toBlob(type in SUFFIX ? type : "image/png", QUALITY);
  if (!blob) throw new EnhanceError("This browser could not write a picture of that size.");
  const stem = name.replace(/\.[^.]*$/, "") || "photo";
  return { blob, name: `${stem}-bright.${SUFFIX[blob.type]}` };
}

// Hand a file to the person.
export function save({ blob, name }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // a slow disk still reads from it
}

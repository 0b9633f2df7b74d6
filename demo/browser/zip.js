// Several files as one .zip, stored as they are: pictures do not get smaller by packing.

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function checksum(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return ~crc >>> 0;
}

// Little-endian numbers: [size in bytes, value] each.
function record(...fields) {
  const bytes = [];
  for (const [size, value] of fields) {
    for (let i = 0; i < size; i++) bytes.push(Math.floor(value / 256 ** i) & 255);
  }
  return Uint8Array.from(bytes);
}

// A name for each, no two alike: photo.jpg, photo-2.jpg, …
export function distinct(names) {
  const seen = new Set();
  return names.map((name) => {
    const [, stem, suffix] = name.match(/^(.*?)(\.[^.]*)?$/s);
    let free = name;
    for (let i = 2; seen.has(free.toLowerCase()); i++) free = `${stem}-${i}${suffix ?? ""}`;
    seen.add(free.toLowerCase());
    return free;
  });
}

// files: [{name, blob}]; the archive as a Blob (APPNOTE.TXT 6.3, stored, names in UTF-8).
export async function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  const names = distinct(files.map((file) => file.name));
  for (const [i, { blob }] of files.entries()) {
    const name = new TextEncoder().encode(names[i]);
    const crc = checksum(new Uint8Array(await blob.arrayBuffer()));
    const [version, flags, method, time, date] = [20, 0x0800, 0, 0, 0x21];
    const common = [[2, version], [2, flags], [2, method], [2, time], [2, date], [4, crc],
      [4, blob.size], [4, blob.size], [2, name.length], [2, 0]];
    const head = record([4, 0x04034b50], ...common);
    const place = [[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]];
    directory.push(record([4, 0x02014b50], [2, version], ...common, ...place), name);
    parts.push(head, name, blob);
    offset += head.length + name.length + blob.size;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const count = files.length;
  const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, length],
    [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

// npm runs it before packing: a package without its network would install and not work.

import { existsSync } from "node:fs";

for (const file of ["sgz.onnx", "vendor/ort.js", "vendor/ort-wasm-simd-threaded.wasm"]) {
  if (existsSync(file)) continue;
  console.error(`${file} is missing; run: python demo/browser/prepare.py`);
  process.exit(1);
}

"""demo/browser as a package: npm pack, an empty Vite project, a picture enhanced in chromium."""

import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from pictures import png, scene

from sgz.enhancer import Enhancer
from sgz.model import load_model
from sgz.onnx_graph import network_to_onnx

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "demo/browser"
WEIGHT = ROOT / "weight/Epoch99.pth"
MAIN = """
import { EnhanceError, enhance } from "sgz-web";
const pixels = (bitmap) => {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return [...context.getImageData(0, 0, bitmap.width, bitmap.height).data];
};
window.brighten = async (options) => {
  const bitmap = await createImageBitmap(await (await fetch("dark.png")).blob());
  return pixels(await enhance(bitmap, options));
};
window.brightenFrame = async () => {
  const bitmap = await createImageBitmap(await (await fetch("dark.png")).blob());
  const frame = new VideoFrame(bitmap, { timestamp: 0 });
  const bright = await enhance(frame);
  frame.close();
  return pixels(bright);
};
const told = (error) => error instanceof EnhanceError && error.message;
window.refuse = (options) => window.brighten(options).then(() => "", told);
document.title = "ready";
"""


class Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript"}

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """What npm pack makes of the folder."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    if not (PAGE / "vendor/ort.js").is_file():
        pytest.skip("demo/browser/vendor is not there; run python demo/browser/prepare.py")
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(PAGE, folder / "page")
    (folder / "page/sgz.onnx").write_bytes(network_to_onnx(load_model(WEIGHT)))
    done = subprocess.run(
        ["npm", "pack", "--json", "--pack-destination", folder],
        cwd=folder / "page",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.tgz"))


def test_the_package_holds_what_its_modules_import(packed, tmp_path):
    shutil.unpack_archive(packed, tmp_path, filter="data")
    folder = tmp_path / "package"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"README.md", "package.json", "enhance.d.ts", "sgz.onnx"} <= names
    for name in names:
        if name.endswith(".js") and not name.startswith("vendor/"):
            text = (folder / name).read_text()
            for found in re.findall(r'(?:from|import\(|URL\()\s*"\./([^"]+)"', text):
                assert found in names, f"{name} needs {found}"
    manifest = json.loads((folder / "package.json").read_text())
    assert manifest["exports"]["."]["default"] == "./enhance.js"
    assert "dependencies" not in manifest
    assert not {"page.js", "index.html", "prepare.py"} & names


def test_a_package_without_its_network_is_not_packed(packed, tmp_path):
    shutil.copytree(PAGE, tmp_path / "page", ignore=shutil.ignore_patterns("vendor", "sgz.onnx"))
    done = subprocess.run(["npm", "pack"], cwd=tmp_path / "page", capture_output=True, text=True)
    assert done.returncode != 0
    assert "sgz.onnx is missing; run: python demo/browser/prepare.py" in done.stderr


@pytest.fixture(scope="module")
def site(packed, tmp_path_factory):
    """An empty Vite project that imports the package, built; and its dark picture."""
    project = tmp_path_factory.mktemp("vite")
    (project / "package.json").write_text('{"private": true, "type": "module"}')
    (project / "index.html").write_text('<script type="module" src="main.js"></script>')
    (project / "main.js").write_text(MAIN)
    (project / "public").mkdir()
    dark = scene(130, 96)
    (project / "public/dark.png").write_bytes(png(dark))
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "vite@8", packed]
    done = subprocess.run(install, cwd=project, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install Vite here: {done.stderr.strip()[-200:]}")
    build = ["npx", "vite", "build", "--logLevel", "error"]
    done = subprocess.run(build, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return project / "dist", dark


def test_a_vite_project_enhances_a_picture_and_a_video_frame(site, chromium):
    dist, dark = site
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=dist))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = chromium.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.wait_for_function("document.title === 'ready'")

    def image(script: str) -> np.ndarray:
        values = np.array(page.evaluate(script), np.uint8)
        return values.reshape(*dark.shape[:2], 4)[..., :3].astype(int)

    for look in ("natural", "paper"):
        expected = Enhancer(WEIGHT, threads=1, look=look, denoise="off")(dark)
        for backend in ("auto", "javascript"):
            found = image(f"brighten({{look: '{look}', backend: '{backend}'}})")
            assert np.abs(found - expected).max() <= 2
    assert np.abs(image("brighten({strength: 0})") - dark).max() == 0
    natural = Enhancer(WEIGHT, threads=1, look="natural", denoise="off")(dark)
    frame = image("brightenFrame()")
    assert np.abs(frame - natural).max() <= 8  # a frame's colours go through the browser's own
    for options, sentence in (
        ("{look: 'vivid'}", 'look is "natural" or "paper", not "vivid".'),
        ("{strength: -1}", "strength is a number from 0 to 4, not -1."),
        ("{iterations: 2.5}", "iterations is a whole number from 0 to 64, not 2.5."),
        ("{backend: 'cuda'}", 'backend is auto, webgpu, webgl, javascript, not "cuda".'),
    ):
        assert page.evaluate(f"refuse({options})") == sentence
    server.shutdown()
    server.server_close()

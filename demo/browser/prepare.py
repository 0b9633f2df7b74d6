"""Fetch what the browser's page runs on, and write the network beside it.

    python demo/browser/prepare.py
    python -m http.server -d demo/browser

What is written into the page's folder is not kept in git: `vendor/` with ONNX Runtime Web and
mediabunny from npm and three sample photographs, and the network of a checkpoint as `sgz.onnx`.
Then the folder can be copied to any static host, and `npm pack` makes a package of it.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run from anywhere

import argparse

from option import add_checkpoint_option
from sgz.command import new_parser, run_script
from sgz.errors import UserError
from sgz.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
# Of each package the page needs one or two files; the names served end in .js and .wasm, as many
# hosts do not know .mjs. Served to other people's browsers, they must be what was tested.
PACKAGES = {
    "onnxruntime-web@1.30.0": {
        "ort.js": (
            "package/dist/ort.wasm.bundle.min.mjs",
            "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
        ),
        "ort-wasm-simd-threaded.wasm": (
            "package/dist/ort-wasm-simd-threaded.wasm",
            "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        ),
    },
    "mediabunny@1.61.0": {
        "mediabunny.js": (
            "package/dist/bundles/mediabunny.min.mjs",
            "fa696c53494b6b09a8b310ec51e3c44a59e79513234fb832255a38c686162009",
        ),
    },
}
SAMPLES = ("photographs/theatre.jpg", "samples/coffee.png", "samples/chelsea.png")


def fetch_package(package: str, folder: Path) -> Path:
    """A package's archive, downloaded into a folder by npm.

    Raises:
        UserError: there is no npm, or it cannot fetch the package.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("npm is not installed; it comes with Node.js (Debian: apt install npm)")
    done = subprocess.run(
        [npm, "pack", package, "--silent", "--pack-destination", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise UserError(
            f"npm could not fetch {package}; check the connection with: npm view {package} version"
        )
    return archives[0]


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def is_vendored(package: str, vendor: Path) -> bool:
    """Whether the folder holds a package's files already, unharmed."""
    return all(
        (vendor / name).is_file() and digest((vendor / name).read_bytes()) == expected
        for name, (_, expected) in PACKAGES[package].items()
    )


def fetch_vendor(package: str, vendor: Path) -> None:
    """Put a package's files into the folder.

    Raises:
        UserError: the package cannot be had, or is not the one that was tested.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fetch_package(package, Path(folder))) as archive,
    ):
        for name, (member, expected) in PACKAGES[package].items():
            content = archive.extractfile(member).read()
            if digest(content) != expected:
                raise UserError(f"{package} came with another {member} than was tested; not used")
            write_whole(vendor / name, content)


def write_network(weight: Path, target: Path) -> None:
    """Write a checkpoint's network as ONNX.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """
    from sgz.model import load_model
    from sgz.onnx_graph import network_to_onnx

    content = network_to_onnx(load_model(weight))
    write_whole(target, content)
    print(f"{target}: {len(content) / 1000:.1f} kB, from {weight}")


def browser_parser() -> argparse.ArgumentParser:
    """Options of demo/browser/prepare.py."""
    parser = new_parser("Fetch what the browser's page runs on, and write the network beside it.")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--page_dir", type=Path, default=Path("demo/browser"), help="the folder with the page"
    )
    return parser


def main() -> None:
    options = browser_parser().parse_args()
    vendor = options.page_dir / "vendor"
    for package in PACKAGES:
        there = is_vendored(package, vendor)
        if not there:
            fetch_vendor(package, vendor)
        print(f"{vendor}: {package}{' is there' if there else ''}")
    for name in SAMPLES:
        content = (ROOT / "data/test_data" / name).read_bytes()
        write_whole(vendor / Path(name).name, content)
    write_network(options.weight_dir, options.page_dir / "sgz.onnx")
    print(f"look at it: python -m http.server -d {options.page_dir}")


if __name__ == "__main__":
    run_script(main)

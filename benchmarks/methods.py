"""Make the README's comparison of methods: folders of results, their tables, a figure.

    python benchmarks/methods.py
    python benchmarks/methods.py --ours weight/Epoch99.pth --shared ../shared --work methods

Writes what gamma 1/2.2, CLAHE, the two published checkpoints and ours, without and with automatic
exposure, make of the pairs and of DICM as PNG under --work, prints evaluate.py's tables of them,
and draws docs/methods.jpg.
"""

import argparse
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import new_parser

SCALE_FACTOR = 12
# The photographs of the figure, of data/dicm: indoors, backlit, night, dusk, windows, bright.
PHOTOS = ("03", "10", "13", "28", "32", "57")
CELL = (216, 144)  # width and height of each in the figure
LABEL_HEIGHT = 24
TABLES = {
    "pairs": ("psnr", "ssim", "niqe", "loe", "newly_clipped"),
    "dicm": ("niqe", "loe", "newly_clipped"),
}


def gamma(image: np.ndarray) -> np.ndarray:
    """x ** (1 / 2.2) of [H, W, 3] uint8."""
    levels = np.rint(255 * (np.arange(256) / 255) ** (1 / 2.2)).astype(np.uint8)
    return levels[image]


def build_methods(options: Namespace) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name -> what it does to [H, W, 3] uint8, in the order of tables and figure."""
    from benchmarks.images import equalise
    from sgz.enhancer import Enhancer

    def checkpoint(path: Path, look: str = "paper") -> Enhancer:
        return Enhancer(path, SCALE_FACTOR, device="cpu", threads=1, look=look)

    published = options.shared / "weights"
    return {
        "gamma 1/2.2": gamma,
        "CLAHE": equalise,
        "Zero-DCE++": checkpoint(published / "zero_dce_pp_Epoch99.pth"),
        "SGZ (authors')": checkpoint(published / "sgz_official_Epoch99.pth"),
        "ours": checkpoint(options.ours),
        "ours, natural": checkpoint(options.ours, "natural"),
    }


def write_results(methods: dict[str, Callable], source: Path, target: Path) -> dict[str, Path]:
    """Enhance a folder with every method; returns the methods' folders."""
    from sgz.files import find_files, write_whole
    from sgz.image.photo import IMAGE_SUFFIXES, encode_photo, read_photo

    folders = {name: target / f"{number}" for number, name in enumerate(methods)}

    def enhance(path: Path) -> None:
        photo = read_photo(path)
        for name, method in methods.items():
            content = encode_photo(photo.with_pixels(method(photo.pixels)), ".png")
            result = folders[name] / path.relative_to(source).with_suffix(".png")
            write_whole(result, content)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(enhance, find_files(source, IMAGE_SUFFIXES)))
    return folders


def print_table(folders: dict[str, Path], source: Path, reference: Path | None, metrics) -> None:
    """evaluate.py's table of the folders."""
    command = [sys.executable, ROOT / "evaluate.py", "--format", "markdown", "--input_dir", source]
    command += ["--compare", *(f"{name}={folder}" for name, folder in folders.items())]
    command += ["--metrics", *metrics]
    command += ["--reference_dir", reference] if reference else []
    subprocess.run(command, check=True)


def draw_figure(methods: dict[str, Callable], source: Path, target: Path) -> None:
    """PHOTOS, a row each, across the input and all methods."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    from sgz.image.photo import read_photo

    columns = {"input": lambda image: image} | methods
    width, height = CELL
    gap = 4
    size = (len(columns) * (width + gap) - gap, LABEL_HEIGHT + len(PHOTOS) * (height + gap) - gap)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    font = ImageFont.load_default(15)
    for column, (name, method) in enumerate(columns.items()):
        left = column * (width + gap)
        draw.text((left + width // 2, LABEL_HEIGHT // 2), name, "black", font, anchor="mm")
        for row, photo in enumerate(PHOTOS):
            pixels = method(read_photo(source / f"{photo}.jpg").pixels)
            cell = ImageOps.fit(Image.fromarray(pixels), CELL, Image.Resampling.LANCZOS)
            figure.paste(cell, (left, LABEL_HEIGHT + row * (height + gap)))
    figure.save(target, quality=84)


def methods_parser() -> argparse.ArgumentParser:
    """Options of docs/make_methods.py."""
    parser = new_parser("Compare methods on the pairs and on DICM: tables and a figure.")
    parser.add_argument(
        "--ours", type=Path, default=Path("weight/Epoch99.pth"), help="the checkpoint called ours"
    )
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path("../shared"),
        help="folder with data/pairs, data/dicm and weights of the published checkpoints",
    )
    parser.add_argument(
        "--work", type=Path, default=Path("methods"), help="where the results go, as PNG"
    )
    return parser


def main() -> None:

    options = methods_parser().parse_args()
    methods = build_methods(options)
    data = options.shared / "data"
    draw_figure(methods, data / "dicm", ROOT / "docs" / "methods.jpg")
    for name, metrics in TABLES.items():
        paired = name == "pairs"
        source = data / name / "low" if paired else data / name
        folders = write_results(methods, source, options.work / name)
        print(f"\n{name}:\n", flush=True)
        print_table(folders, source, data / name / "high" if paired else None, metrics)


if __name__ == "__main__":
    main()

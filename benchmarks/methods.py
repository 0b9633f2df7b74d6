"""Compare methods: folders of results, their tables, and figures to look at.

    python benchmarks/methods.py
    python benchmarks/methods.py --figures_only
    python benchmarks/methods.py --ours weight/Epoch99.pth --shared ../shared --work methods

Draws docs/methods.jpg (methods side by side), docs/look.jpg and docs/look_crops.jpg (a dozen
photographs and frames as taken, by the authors' checkpoint, by ours, and in the natural look;
whole, and parts at 100 %). Then writes what gamma 1/2.2, CLAHE, the two published checkpoints and
ours, in both looks, make of the pairs and of DICM as PNG under --work, and prints evaluate.py's
tables.
"""

import argparse
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import new_parser, run_script
from sgz.method import SCALE_FACTOR

# The photographs of the figure, of data/dicm: indoors, backlit, night, dusk, windows, bright.
PHOTOS = ("03", "10", "13", "28", "32", "57")
CELL = (216, 144)  # width and height of each in the figure
LABEL_HEIGHT, GAP = 24, 4
# A dozen of photographs and frames: of data/dicm, data/pairs/low, data/video and data/camvid_dusk.
LOOKED_AT = (
    "dicm/03.jpg", "dicm/10.jpg", "dicm/13.jpg", "dicm/28.jpg", "dicm/32.jpg", "dicm/57.jpg",
    "pairs/low/56.png", "pairs/low/113.png", "pairs/low/600.png",
    "camvid_dusk/images/0001TP_006690.png", "video/dim_room.mp4:90", "video/dim_room.mp4:180",
)  # fmt: skip
# Edges, blacks and flat areas of them: what, and where its upper left corner lies.
PARTS = (
    ("dicm/13.jpg", (110, 60)), ("dicm/32.jpg", (60, 80)), ("dicm/03.jpg", (40, 20)),
    ("pairs/low/56.png", (120, 250)), ("pairs/low/113.png", (180, 260)),
    ("pairs/low/600.png", (150, 200)), ("camvid_dusk/images/0001TP_006690.png", (100, 120)),
    ("video/dim_room.mp4:90", (60, 420)), ("video/dim_room.mp4:90", (250, 430)),
    ("video/dim_room.mp4:180", (60, 100)),
)  # fmt: skip
PART = (264, 176)  # width and height of each
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


def draw_grid(
    methods: dict[str, Callable], rows: list[tuple[np.ndarray, Callable]], cell, target: Path
) -> None:
    """Pictures, a row each, across the input and all methods.

    Args:
        rows: (picture, what makes a cell of what a method makes of it).
        cell: width and height.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = {"input": lambda image: image} | methods
    width, height = cell
    size = (len(columns) * (width + GAP) - GAP, LABEL_HEIGHT + len(rows) * (height + GAP) - GAP)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    font = ImageFont.load_default(15)
    for column, (name, method) in enumerate(columns.items()):
        left = column * (width + GAP)
        draw.text((left + width // 2, LABEL_HEIGHT // 2), name, "black", font, anchor="mm")
        for row, (picture, cut) in enumerate(rows):
            place = left, LABEL_HEIGHT + row * (height + GAP)
            figure.paste(cut(Image.fromarray(method(picture))), place)
    figure.save(target, quality=84)


def read_picture(data: Path, name: str) -> np.ndarray:
    """A photograph, or FILE:NUMBER of a video's frame: [H, W, 3] uint8."""
    from benchmarks.look import read, read_frame

    path, _, number = name.partition(":")
    return read_frame(data / path, int(number)) if number else read(data / path)


def draw_figures(methods: dict[str, Callable], data: Path) -> None:
    """docs/methods.jpg, docs/look.jpg and docs/look_crops.jpg."""
    from PIL import Image, ImageOps

    def fit(picture):
        return ImageOps.fit(picture, CELL, Image.Resampling.LANCZOS)

    def part(corner, picture):
        top, left = corner
        return picture.crop((left, top, left + PART[0], top + PART[1]))

    docs = ROOT / "docs"
    photos = [(read_picture(data, f"dicm/{name}.jpg"), fit) for name in PHOTOS]
    draw_grid(methods, photos, CELL, docs / "methods.jpg")
    looks = {
        "authors": methods["SGZ (authors')"],
        "ours, paper": methods["ours"],
        "ours, natural": methods["ours, natural"],
    }
    wholes = [(read_picture(data, name), fit) for name in LOOKED_AT]
    draw_grid(looks, wholes, CELL, docs / "look.jpg")
    parts = [(read_picture(data, name), partial(part, corner)) for name, corner in PARTS]
    draw_grid(looks, parts, PART, docs / "look_crops.jpg")


def methods_parser() -> argparse.ArgumentParser:
    """Options of benchmarks/methods.py."""
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
    parser.add_argument("--figures_only", action="store_true", help="draw, and measure nothing")
    return parser


def main() -> None:
    options = methods_parser().parse_args()
    methods = build_methods(options)
    data = options.shared / "data"
    draw_figures(methods, data)
    if options.figures_only:
        return
    for name, metrics in TABLES.items():
        paired = name == "pairs"
        source = data / name / "low" if paired else data / name
        folders = write_results(methods, source, options.work / name)
        print(f"\n{name}:\n", flush=True)
        print_table(folders, source, data / name / "high" if paired else None, metrics)


if __name__ == "__main__":
    run_script(main)

"""Methods side by side, to look at: docs/methods.jpg, docs/look.jpg and docs/look_crops.jpg.

    python benchmarks/methods.py

The first shows gamma 1/2.2, CLAHE, the published checkpoints and ours; the others a dozen
photographs and frames as taken, by the authors' checkpoint, by ours, and in the natural look, whole
and parts at 100 %. docs/reproduce.md says where the data is from; what is absent is left out and
named. Tables of the same methods: benchmarks/reproduce.py.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import new_parser, run_script
from sgz.errors import UserError
from sgz.method import SCALE_FACTOR

DICM, LOL = "test_data/DICM", "LOL/our485/low"
DUSK, CLIP = "camvid_dusk/images/0001TP_006690.png", "test_data/dim_room.mp4"
# The photographs of methods.jpg: indoors, backlit, night, dusk, windows, bright.
PHOTOS = tuple(f"{DICM}/{number}.jpg" for number in ("03", "10", "13", "28", "32", "57"))
CELL = (216, 144)  # width and height of each in the figure
LABEL_HEIGHT, GAP = 24, 4
# A dozen of photographs and frames.
LOOKED_AT = (
    *PHOTOS, f"{LOL}/56.png", f"{LOL}/113.png", f"{LOL}/600.png", DUSK, f"{CLIP}:90", f"{CLIP}:180",
)  # fmt: skip
# Edges, blacks and flat areas of them: what, and where its upper left corner lies.
PARTS = (
    (f"{DICM}/13.jpg", (110, 60)), (f"{DICM}/32.jpg", (60, 80)), (f"{DICM}/03.jpg", (40, 20)),
    (f"{LOL}/56.png", (120, 250)), (f"{LOL}/113.png", (180, 260)), (f"{LOL}/600.png", (150, 200)),
    (DUSK, (100, 120)),
    (f"{CLIP}:90", (60, 420)), (f"{CLIP}:90", (250, 430)), (f"{CLIP}:180", (60, 100)),
)  # fmt: skip
PART = (264, 176)  # width and height of each


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

    published = options.data / "published"
    both = {
        "Zero-DCE++": published / "zero_dce_pp_Epoch99.pth",
        "SGZ (authors')": published / "sgz_official_Epoch99.pth",
    }
    return {
        "gamma 1/2.2": gamma,
        "CLAHE": equalise,
        **{name: checkpoint(path) for name, path in both.items() if is_there(path)},
        "ours": checkpoint(options.ours),
        "ours, natural": checkpoint(options.ours, "natural"),
    }


def is_there(path: Path) -> bool:
    """Whether a file is there; else it is named as left out."""
    if not path.is_file():
        print(f"left out: {path} is not there; see docs/reproduce.md")
    return path.is_file()


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


def read_picture(name: str) -> np.ndarray:
    """A photograph, or FILE:NUMBER of a video's frame: [H, W, 3] uint8."""
    from benchmarks.look import read, read_frame

    path, _, number = name.partition(":")
    return read_frame(Path(path), int(number)) if number else read(Path(path))


def draw_figures(methods: dict[str, Callable], data: Path, docs: Path) -> None:
    """methods.jpg, look.jpg and look_crops.jpg, of what is there."""
    from PIL import Image, ImageOps

    def fit(picture):
        return ImageOps.fit(picture, CELL, Image.Resampling.LANCZOS)

    def part(corner, picture):
        top, left = corner
        return picture.crop((left, top, left + PART[0], top + PART[1]))

    files = dict.fromkeys(name.partition(":")[0] for name in LOOKED_AT)
    absent = {file for file in files if not is_there(data / file)}
    there = {name for name in LOOKED_AT if name.partition(":")[0] not in absent}
    if not there:
        raise UserError(f"nothing to draw under {data}; see docs/reproduce.md")
    looks = {name: method for name, method in methods.items() if "ours" in name or "SGZ" in name}
    figures = {
        "methods.jpg": (methods, [(name, fit) for name in PHOTOS], CELL),
        "look.jpg": (looks, [(name, fit) for name in LOOKED_AT], CELL),
        "look_crops.jpg": (looks, [(name, partial(part, at)) for name, at in PARTS], PART),
    }
    for file, (columns, rows, cell) in figures.items():
        seen = [(read_picture(f"{data / name}"), cut) for name, cut in rows if name in there]
        draw_grid(columns, seen, cell, docs / file)
        print(f"drawn: {docs / file}")


def methods_parser() -> argparse.ArgumentParser:
    """Options of benchmarks/methods.py."""
    parser = new_parser("Draw methods side by side.")
    parser.add_argument(
        "--ours", type=Path, default=Path("weight/Epoch99.pth"), help="the checkpoint called ours"
    )
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of the data sets")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the figures go")
    return parser


def main() -> None:
    options = methods_parser().parse_args()
    draw_figures(build_methods(options), options.data, options.docs)


if __name__ == "__main__":
    run_script(main)

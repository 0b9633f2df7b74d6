"""Draw a clip in both looks: docs/video_natural.jpg (parts of frames) and docs/video_strip.jpg.

    python benchmarks/film.py data/test_data/dim_room.mp4

A strip shows one column of pixels over time: what flickers or crawls there is seen at a glance.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import new_parser, run_script
from sgz.errors import UserError

PARTS = ((10, (20, 440)), (90, (278, 20)), (180, (150, 270)))  # frame, upper left corner
SIDE, GAP = 200, 4  # of a part, and between them
COLUMN, ROWS = 120, slice(90, 250)  # of the strip


def draw_parts(films: list[list[np.ndarray]]) -> np.ndarray:
    """Parts of frames at 100 %, a row for each film of [H, W, 3] uint8."""
    side = len(PARTS) * (SIDE + GAP) - GAP, len(films) * (SIDE + GAP) - GAP
    figure = np.full((side[1], side[0], 3), 255, np.uint8)
    for row, film in enumerate(films):
        for column, (number, (top, left)) in enumerate(PARTS):
            y, x = row * (SIDE + GAP), column * (SIDE + GAP)
            figure[y : y + SIDE, x : x + SIDE] = film[number][top : top + SIDE, left : left + SIDE]
    return figure


def draw_strips(films: list[list[np.ndarray]]) -> np.ndarray:
    """The same column of all frames, film beside film."""
    strips = [np.stack([frame[ROWS, COLUMN] for frame in film], axis=1) for film in films]
    white = np.full((len(strips[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for strip in strips for part in (strip, white)][:-1], axis=1)


def film_parser() -> argparse.ArgumentParser:
    """Options of this script."""
    parser = new_parser("Draw a clip in both looks.")
    parser.add_argument("clip", type=Path, help="a video of at least 181 frames of 640x478")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the figures go")
    return parser


def main() -> None:
    from benchmarks.flicker import read_clip
    from sgz import Enhancer, enhance_video
    from sgz.files import write_whole
    from sgz.image.photo import Photo, encode_photo

    options = film_parser().parse_args()
    films = [read_clip(options.clip)[0]]
    if len(films[0]) <= PARTS[-1][0] or min(np.subtract(films[0][0].shape, (478, 640, 3))) < 0:
        raise UserError(f"{options.clip} is too short or too small: see --help")
    with TemporaryDirectory() as folder:
        for look in ("paper", "natural"):
            made = Path(folder) / f"{look}.mp4"
            enhance_video(Enhancer(ROOT / "weight/Epoch99.pth", look=look), options.clip, made)
            films.append(read_clip(made)[0])
    for name, draw in {"video_natural.jpg": draw_parts, "video_strip.jpg": draw_strips}.items():
        write_whole(options.docs / name, encode_photo(Photo(draw(films)), ".jpg"))
        print(f"drawn: {options.docs / name}")


if __name__ == "__main__":
    run_script(main)

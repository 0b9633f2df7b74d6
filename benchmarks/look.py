"""Measure the natural look: what it reaches, and what it costs.

    python benchmarks/look.py
    python benchmarks/look.py --pairs data/test_data/LOL --photos data/test_data/DICM --rounds 9

Sets that are not there are left out. Its denoising beside others': benchmarks/denoisers.py.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from evaluation.camera import darken, to_linear, to_srgb
from evaluation.metrics import newly_clipped, psnr, ssim
from evaluation.naturalness import niqe
from option import add_checkpoint_option
from sgz import Enhancer
from sgz.command import SIZE, new_parser, run_script
from sgz.files import find_files
from sgz.image.photo import IMAGE_SUFFIXES, read_photo
from sgz.machine import describe_machine
from sgz.pixels import to_8_bit, to_rgb

TEST_DATA = Path("data/test_data")
DAYLIGHT = ("astronaut", "coffee", "chelsea", "rocket", "stereo_motorcycle")  # of scikit-image
# Photographs of scikit-image, and in which part of their light they are taken.
DARKENED = {
    "astronaut": 4, "coffee": 6, "chelsea": 8, "rocket": 12, "stereo_motorcycle": 16,
    "camera": 20, "immunohistochemistry": 24, "brick": 32, "grass": 8, "gravel": 16,
}  # fmt: skip
PARTS = {
    "paper": {},
    "black point": {"black_point": True},
    "one factor": {"hue_preserving": True},
    "exposure": {"exposure": True},
    "guided map": {"map": "guided"},
    "denoise": {"denoise": "auto"},
    "all": {"look": "natural"},
}
TABLES = ("bars", "parts", "speed")


@cache
def photograph(name: str) -> np.ndarray:
    """One of scikit-image's photographs: [H, W, 3] uint8."""
    from skimage import data

    picture = getattr(data, name)()
    return to_rgb(picture[0] if isinstance(picture, tuple) else picture)


def read(path: Path) -> np.ndarray:
    """[H, W, 3] uint8 of a file."""
    return to_rgb(to_8_bit(read_photo(path).pixels))


def made_dark(jpeg: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(bright original, dark with noise, dark without and not rounded) of DARKENED."""
    rng = np.random.default_rng(0)
    for name, cut in DARKENED.items():
        bright = photograph(name)
        dark = darken(bright, cut, rng)
        if jpeg:
            code = cv2.imencode(".jpg", dark[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            dark = np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])
        yield bright, dark, to_srgb(to_linear(bright / 255) / cut).astype(np.float32)


def disk(noise: float) -> np.ndarray:
    """A disk of 200 on ground that rises from 6 to 24 across 800x600."""
    rows, columns = np.mgrid[0:600, 0:800]
    ground = np.repeat((6 + 18 * columns / 799)[..., None], 3, 2)
    ground[(columns - 400) ** 2 + (rows - 300) ** 2 < 60**2] = 200
    noisy = ground + np.random.default_rng(0).normal(0, noise, ground.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def halo(enhance: Callable, noise: float) -> float:
    """Largest dip of the ground beside the disk against the same ground far off, in per cent."""
    luma = cv2.blur(enhance(disk(noise)).astype(np.float32).mean(2), (9, 9))
    rows, columns = np.mgrid[0:600, 0:800]
    distance = np.hypot(columns - 400, rows - 300)
    far = np.maximum(luma[20:60].mean(0), 1)
    return 100 * float((1 - luma / far)[(distance > 67) & (distance < 160)].max())


def veil(enhance: Callable, frame: np.ndarray) -> float:
    """Mean luma of the output where the input (9x9 mean) is among its darkest 5 %."""
    before = cv2.blur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (9, 9))
    after = cv2.cvtColor(enhance(frame), cv2.COLOR_RGB2GRAY)
    return float(after[before <= np.quantile(before, 0.05)].mean())


def read_frame(path: Path, number: int) -> np.ndarray:
    """One frame of a video: [H, W, 3] uint8."""
    import av

    with av.open(str(path)) as container:
        for count, frame in enumerate(container.decode(video=0)):
            if count == number:
                return frame.to_ndarray(format="rgb24")
    raise ValueError(f"{path} has no frame {number}")


def mean_of(work: Callable, items: list) -> np.ndarray:
    """Means over items of what work gives of each, NaN left out."""
    with ThreadPoolExecutor(2) as pool:
        return np.nanmean(np.array(list(pool.map(work, items)), np.float64), axis=0)


def pairs_of(folder: Path) -> list[tuple[Path, Path]]:
    return [(path, folder / "high" / path.name) for path in files_of(folder / "low")]


def files_of(folder: Path) -> list[Path]:
    return sorted(find_files(folder, IMAGE_SUFFIXES)) if folder.is_dir() else []


def print_bars(looks: dict[str, Enhancer], options: Namespace) -> None:
    """What each look reaches, a line for each measure."""
    print(f"\n| | {' | '.join(looks)} |\n|---|{'---:|' * len(looks)}")

    def row(label: str, measure: Callable[[Enhancer], str]) -> None:
        values = " | ".join(measure(enhance) for enhance in looks.values())
        print(f"| {label} | {values} |", flush=True)

    pairs, photos = pairs_of(options.pairs), files_of(options.photos)
    if pairs:

        def score(enhance, pair):
            result, reference = enhance(read(pair[0])), read(pair[1])
            return psnr(result, reference), ssim(result, reference), niqe(result)

        row(
            f"{len(pairs)} pairs: PSNR, SSIM, NIQE",
            lambda e: "{:.2f}, {:.3f}, {:.2f}".format(*mean_of(partial(score, e), pairs)),
        )
    if photos:

        def rate(enhance, path):
            image = read(path)
            result = enhance(image)
            return niqe(result), 100 * newly_clipped(result, image)

        row(
            f"{len(photos)} dark photographs: NIQE, newly clipped",
            lambda e: "{:.2f}, {:.1f} %".format(*mean_of(partial(rate, e), photos)),
        )
    day = [photograph(name) for name in DAYLIGHT]
    row(
        "daylight: PSNR to itself",
        lambda e: f"{np.mean([min(psnr(e(image), image), 60) for image in day]):.1f}",
    )
    row("halo: dip beside a disk", lambda e: f"{halo(e, 0):.0f} %")
    row("the same with noise", lambda e: f"{halo(e, 2):.0f} %")
    if options.video.is_file():
        frame = read_frame(options.video, 90)
        row("veil: luma of the darkest 5 %", lambda e: f"{veil(e, frame):.0f}")
    for label, jpeg in (("made dark: PSNR", False), ("made dark, JPEG 90: PSNR", True)):
        made = [(bright, dark) for bright, dark, _ in made_dark(jpeg)]
        row(label, lambda e, made=made: f"{np.mean([psnr(e(d), b) for b, d in made]):.2f}")


def full_hd(noise: float) -> np.ndarray:
    """A dark picture of 1920x1080, with noise of that deviation in levels."""
    rows, columns = np.mgrid[0:1080, 0:1920].astype(np.float32)
    light = 30 + 20 * np.sin(columns / 300) * np.cos(rows / 200)
    noisy = light[..., None] + np.random.default_rng(0).normal(0, noise, (1080, 1920, 3))
    return noisy.round().clip(0, 255).astype(np.uint8)


def print_speed(options: Namespace) -> None:
    """Milliseconds, and peak memory, of whole calls beside the reference path's."""
    from benchmarks.images import peak_memory, time_paths
    from sgz.model import enhance_plainly, load_model

    paths = {
        "reference path": partial(enhance_plainly, load_model(options.weight_dir)),
        "paper": Enhancer(options.weight_dir, device="cpu"),
        "natural": Enhancer(options.weight_dir, device="cpu", look="natural"),
    }
    print("\n| 1920x1080 | ms | times the reference path | bytes a pixel |\n|---|---:|---:|---:|")
    for label, noise in (("without noise", 0.0), ("with noise", 3.0)):
        image = full_hd(noise)
        times = time_paths(paths, image, options.rounds)
        for name, ms in times.items():
            memory = ""
            if name != "reference path":
                kind = "natural" if name == "natural" else "enhancer"
                memory = f"{peak_memory(kind, (1080, 1920), options.weight_dir, 12):.1f}"
            ratio = times["reference path"] / ms
            print(f"| {name}, {label} | {ms:.1f} | {ratio:.1f} | {memory} |", flush=True)
    blur = {"": lambda image: cv2.bilateralFilter(image, 9, 50, 5)}
    ms = time_paths(blur, paths["natural"](full_hd(3.0)), options.rounds)[""]
    print(f"| cv2.bilateralFilter(9, …) of the result alone | {ms:.1f} | | |")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The sets that are measured on."""
    parser.add_argument(
        "--pairs", type=Path, default=TEST_DATA / "LOL", help="folder with low/ and high/"
    )
    parser.add_argument("--photos", type=Path, default=TEST_DATA / "DICM", help="dark photographs")


def look_parser() -> argparse.ArgumentParser:
    """Options of benchmarks/look.py."""
    parser = new_parser("Measure the natural look: quality and speed.")
    add_checkpoint_option(parser)
    add_data_options(parser)
    parser.add_argument("--authors", type=Path, help="the authors' checkpoint, to compare with")
    parser.add_argument(
        "--video",
        type=Path,
        default=TEST_DATA / "dim_room.mp4",
        help="a clip with a veil, for frame 90",
    )
    parser.add_argument("--rounds", type=SIZE, default=9, help="measured calls a path")
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        default=TABLES,
        help="what is measured",
    )
    return parser


def main() -> None:
    options = look_parser().parse_args()
    print(f"{describe_machine()}; medians of {options.rounds} calls")
    if "bars" in options.tables:
        checkpoints = {"ours": options.weight_dir}
        if options.authors:
            checkpoints["authors"] = options.authors
        looks = {
            f"{name}, {look}": Enhancer(weight, device="cpu", look=look, threads=1)
            for name, weight in checkpoints.items()
            for look in ("paper", "natural")
        }
        print_bars(looks, options)
    if "parts" in options.tables:
        cpu = partial(Enhancer, options.weight_dir, device="cpu", threads=1)
        print_bars({name: cpu(**parts) for name, parts in PARTS.items()}, options)
    if "speed" in options.tables:
        print_speed(options)


if __name__ == "__main__":
    run_script(main)

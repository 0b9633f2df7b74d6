"""Measure the natural look: what it reaches, what it costs, its denoising beside others'.

    python benchmarks/look.py
    python benchmarks/look.py --pairs data/test_data/LOL --photos data/test_data/DICM --rounds 9

Sets that are not there are left out. bm3d, and scikit-image's wavelets, which want PyWavelets, are
measured where those are installed.
"""

import argparse
import importlib.util
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from benchmarks.denoisers import DENOISERS
from evaluation.camera import darken, to_linear, to_srgb
from evaluation.metrics import newly_clipped, psnr, ssim
from evaluation.naturalness import niqe
from option import add_checkpoint_option
from sgz import Enhancer
from sgz.command import SIZE, new_parser, run_script
from sgz.files import find_files
from sgz.image.photo import IMAGE_SUFFIXES, read_photo
from sgz.look.noise import estimate_sigma
from sgz.look.treatment import black_of, mean_gain
from sgz.machine import describe_machine
from sgz.pixels import to_8_bit, to_rgb

DAYLIGHT = ("astronaut", "coffee", "chelsea", "rocket", "stereo_motorcycle")  # of scikit-image
# Photographs of scikit-image, and in which part of their light they are taken.
DARKENED = {
    "astronaut": 4, "coffee": 6, "chelsea": 8, "rocket": 12, "stereo_motorcycle": 16,
    "camera": 20, "immunohistochemistry": 24, "brick": 32, "grass": 8, "gravel": 16,
}  # fmt: skip
OURS = "ours, before the curve"
NEEDS = {"bm3d": "bm3d", "skimage denoise_wavelet": "pywt"}  # packages that are no requirement
PARTS = {
    "paper": {},
    "black point": {"black_point": True},
    "one factor": {"hue_preserving": True},
    "exposure": {"exposure": True},
    "guided map": {"map": "guided"},
    "denoise": {"denoise": "auto"},
    "all": {"look": "natural"},
}
TABLES = ("bars", "parts", "speed", "denoisers")


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


def gained_sigma(enhancer: Enhancer, image: np.ndarray) -> float:
    """The noise's deviation in the result, in levels: what the others are told."""
    treatment = enhancer.treatment(image)
    _, seen = black_of(enhancer.shrink(image), enhancer.look)
    gain = mean_gain(seen, treatment.slope, treatment.offset, enhancer.iterations)
    return 255 * estimate_sigma(image, 255.0) * gain


def print_denoisers(options: Namespace) -> None:
    """Quality and time of every denoiser, a line each."""
    enhancer = partial(Enhancer, options.weight_dir, device="cpu", look="natural", threads=1)
    plain, ours = enhancer(denoise="off"), enhancer()
    pairs, photos = pairs_of(options.pairs), files_of(options.photos)

    def run(name: str, image: np.ndarray) -> np.ndarray:
        if name == OURS:
            return ours(image)
        sigma = gained_sigma(plain, image)
        return DENOISERS[name](plain(image), sigma) if name != "none" and sigma else plain(image)

    def made(name: str, jpeg: bool):
        for _, dark, clean in made_dark(jpeg):
            treatment = plain.treatment(dark)
            goal = np.rint(255 * plain.apply_treatment(clean, treatment)).astype(np.uint8)
            result = run(name, dark)
            yield psnr(result, goal), ssim(result, goal)

    print(
        "\n| denoiser | pairs: PSNR SSIM NIQE | photographs: NIQE | made dark: PSNR SSIM |", end=""
    )
    print(" the same, JPEG 90 | core-ms at 1080p |\n|---|---|---:|---|---|---:|")
    for name in ("none", OURS, *DENOISERS):
        needed = NEEDS.get(name)
        if needed and importlib.util.find_spec(needed) is None:
            continue

        def score(pair, name=name):
            result, reference = run(name, read(pair[0])), read(pair[1])
            return psnr(result, reference), ssim(result, reference), niqe(result)

        cells = ["–", "–"]  # noqa: RUF001
        if pairs:
            cells[0] = "{:.2f} {:.3f} {:.2f}".format(*mean_of(score, pairs))
        if photos:
            cells[1] = f"{mean_of(lambda p, n=name: niqe(run(n, read(p))), photos):.2f}"
        for jpeg in (False, True):
            cells.append("{:.2f} {:.3f}".format(*np.mean(list(made(name, jpeg)), axis=0)))
        cells.append(time_denoiser(name, plain, ours))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def time_denoiser(name: str, plain: Enhancer, ours: Enhancer) -> str:
    """Milliseconds of one core that a denoiser takes of a noisy picture of 1920x1080."""
    image = full_hd(3.0)
    result, sigma = plain(image), gained_sigma(plain, image)
    if name == "none":
        return "0"
    if name == OURS:
        with_it, without = ours.treatment(image), plain.treatment(image)
        both = [work_of(partial(ours.apply_treatment, image, t)) for t in (with_it, without)]
        return f"{both[0] - both[1]:.0f}"
    return f"{work_of(lambda: DENOISERS[name](result, sigma)):.0f}"


def work_of(call: Callable, rounds: int = 5) -> float:
    """Median milliseconds of all cores together after a warm-up; once, where it takes seconds."""
    samples = []
    for _ in range(rounds + 1):
        start = time.process_time()
        call()
        samples.append(1000 * (time.process_time() - start))
        if samples[0] > 2000:
            return samples[0]
    return median(samples[1:])


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
    name = "cv2.bilateralFilter(9, 50, 5)"
    blur = {name: partial(DENOISERS[name], sigma=3.0)}
    ms = time_paths(blur, paths["natural"](full_hd(3.0)), options.rounds)[name]
    print(f"| cv2.bilateralFilter(9, …) of the result alone | {ms:.1f} | | |")


def look_parser() -> argparse.ArgumentParser:
    """Options of benchmarks/look.py."""
    parser = new_parser("Measure the natural look: quality, denoising, speed.")
    add_checkpoint_option(parser)
    data = Path("data/test_data")
    parser.add_argument("--authors", type=Path, help="the authors' checkpoint, to compare with")
    parser.add_argument(
        "--pairs", type=Path, default=data / "LOL", help="folder with low/ and high/"
    )
    parser.add_argument("--photos", type=Path, default=data / "DICM", help="dark photographs")
    parser.add_argument(
        "--video", type=Path, default=data / "dim_room.mp4", help="a clip with a veil, for frame 90"
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
    if "denoisers" in options.tables:
        print_denoisers(options)


if __name__ == "__main__":
    run_script(main)

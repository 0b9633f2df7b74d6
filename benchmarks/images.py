"""Measure speed, memory and exactness against the reference path, on this machine.

python benchmarks/images.py
python benchmarks/images.py --charts benchmark_charts

Video is measured by benchmarks/video.py.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from option import add_checkpoint_option
from sgz.command import SIZE, new_parser, run_script
from sgz.errors import UserError
from sgz.machine import describe_machine
from sgz.method import SCALE_FACTOR

SIZES = {"600x400": (400, 600), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}
PATHS = ("reference", "enhancer", "clahe")
FOLDERS = (  # images, size, suffix, how many
    ("600x400 PNG", (400, 600), "png", 600),
    ("600x400 PNG", (400, 600), "png", 2000),
    ("12 megapixel JPEG", (3000, 4000), "jpg", 24),
)
FOLDER_ROUNDS = 3  # at most: they take minutes
WARM_UP = 3


def dark_image(height: int, width: int) -> np.ndarray:
    """[H, W, 3] uint8: smooth light, noise and texture, dark as a photograph is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 40 + 30 * np.sin(x / width * 5) * np.cos(y / height * 4)
    noise = rng.normal(0, 6, (height, width, 3)).astype(np.float32)
    return np.clip(light[..., None] + noise, 0, 255).astype(np.uint8)


def build_path(name: str, weights: Path, scale_factor: int) -> Callable[[np.ndarray], np.ndarray]:
    """A way to enhance [H, W, 3] uint8, by its name in PATHS."""
    if name == "reference":
        from sgz.model import enhance_plainly, load_model

        return partial(enhance_plainly, load_model(weights, scale_factor))
    if name == "enhancer":
        from sgz.enhancer import Enhancer

        return Enhancer(weights, scale_factor, device="cpu")
    if name == "natural":
        from sgz.enhancer import Enhancer

        return Enhancer(weights, scale_factor, device="cpu", look="natural")
    return equalise


def equalise(image: np.ndarray) -> np.ndarray:
    """What people use without learning: OpenCV's CLAHE on the lightness of LAB."""
    import cv2

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def time_paths(paths: dict[str, Callable], image: np.ndarray, rounds: int) -> dict[str, float]:
    """Median milliseconds of each path; each is measured in a block, after its own warm-up."""
    times = {}
    for name, path in paths.items():
        samples = []
        for i in range(WARM_UP + rounds):
            start = time.perf_counter()
            path(image)
            if i >= WARM_UP:
                samples.append(1000 * (time.perf_counter() - start))
        times[name] = median(samples)
    return times


def peak_memory(name: str, size: tuple[int, int], weights: Path, scale_factor: int) -> float:
    """Bytes per pixel that one call adds to a process of its own, above its input."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measure_memory, (name, size, weights, scale_factor))


def measure_memory(name: str, size: tuple[int, int], weights: Path, scale_factor: int) -> float:
    """peak_memory's part in the process of its own."""
    path = build_path(name, weights, scale_factor)
    path(dark_image(120, 120))  # libraries and compiled code are there before the count begins
    image = dark_image(*size)
    before = int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the image
    path(image)
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    return max(peak - before, 0) * 1024 / (size[0] * size[1])


def measure_images(options: Namespace) -> list[dict]:
    """A row for every size and path."""
    rows = []
    paths = {n: build_path(n, options.weight_dir, options.scale_factor) for n in PATHS}
    for label, size in SIZES.items():
        image = dark_image(*size)
        times = time_paths(paths, image, options.rounds)
        reference = paths["reference"](image).astype(int)
        difference = np.abs(paths["enhancer"](image) - reference)
        for name in PATHS:
            rows.append(
                {
                    "size": label,
                    "path": name,
                    "ms": times[name],
                    "fps": 1000 / times[name],
                    "ratio": times["reference"] / times[name],
                    "bytes_per_pixel": peak_memory(
                        name, size, options.weight_dir, options.scale_factor
                    ),
                    "levels": int(difference.max()) if name == "enhancer" else None,
                    "pixels_off": float((difference > 0).mean()) if name == "enhancer" else None,
                }
            )
    return rows


def measure_folders(options: Namespace) -> list[dict]:
    """test.py over folders, its own way and with --reference in turns, wall clock."""
    from PIL import Image

    rows = []
    for label, size, suffix, count in FOLDERS:
        times = []
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder, "in", f"0.{suffix}")
            first.parent.mkdir()
            Image.fromarray(dark_image(*size)).save(first, quality=90)
            for i in range(1, count):
                os.link(first, first.with_name(f"{i}.{suffix}"))
            for _ in range(min(options.rounds, FOLDER_ROUNDS)):
                fast = run_tester(options, first.parent, Path(folder, "fast"))
                slow = run_tester(options, first.parent, Path(folder, "slow"), "--reference")
                times.append((*fast, *slow))
        fast, fast_work, slow, slow_work = map(median, zip(*times, strict=True))
        rows.append(
            {
                "folder": f"{count} {label}",
                "images_per_s": count / fast_work,
                "ratio": slow_work / fast_work,
                "ratio_with_start": slow / fast,
            }
        )
    return rows


def run_tester(options: Namespace, source: Path, target: Path, *flags: str) -> tuple[float, float]:
    """Seconds that test.py takes from start to end, and by its own count after start-up."""
    command = [sys.executable, ROOT / "test.py", "--input_dir", source, "--test_dir", target]
    command += ["--weight_dir", options.weight_dir, "--device", "cpu", *flags]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, float(re.search(r"in ([\d.]+) s", done.stdout)[1])


def measure_start(options: Namespace) -> float:
    """Median seconds from the start of test.py until its first image is written."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.png")
        Image.fromarray(dark_image(120, 160)).save(source)
        written = Path(folder, "out", "in.png")
        samples = []
        for _ in range(5):
            start = time.time()
            run_tester(options, source, written.parent)
            samples.append(written.stat().st_mtime - start)
        return median(samples)


def print_tables(result: dict) -> None:
    """The result as Markdown."""
    print(f"\n{result['machine']}; medians of {result['rounds']} calls\n")
    print("| size | path | ms | fps | times the reference | bytes/pixel | levels off |")
    print("|---|---|---:|---:|---:|---:|---|")
    for row in result["images"]:
        off = (
            "" if row["levels"] is None else f"{row['levels']} ({1e6 * row['pixels_off']:.0f} ppm)"
        )
        print(
            f"| {row['size']} | {row['path']} | {row['ms']:.1f} | {row['fps']:.1f} | "
            f"{row['ratio']:.1f} | {row['bytes_per_pixel']:.1f} | {off} |"
        )
    print("\n| test.py over | images/s | times --reference | with start-up |\n|---|---:|---:|---:|")
    for row in result["folders"]:
        ratios = f"{row['ratio']:.1f} | {row['ratio_with_start']:.1f}"
        print(f"| {row['folder']} | {row['images_per_s']:.1f} | {ratios} |")
    print(f"\nFrom start to first image written: {result['start_s']:.2f} s")


def draw_charts(result: dict, folder: Path) -> None:
    """Bars of milliseconds and of times the reference, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    for key, label in (("ms", "milliseconds (log scale)"), ("ratio", "times the reference")):
        figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
        for i, name in enumerate(PATHS):
            values = [row[key] for row in result["images"] if row["path"] == name]
            bars = axes.bar(np.arange(len(SIZES)) + 0.27 * (i - 1), values, 0.25, label=name)
            axes.bar_label(bars, fmt="%.3g", fontsize=8)
        axes.set_xticks(range(len(SIZES)), list(SIZES))
        axes.set_ylabel(label)
        axes.set_yscale("log" if key == "ms" else "linear")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        axes.set_title(result["machine"], fontsize=8)
        figure.savefig(folder / f"{key}.png", dpi=150)
        pyplot.close(figure)


def benchmark_parser() -> argparse.ArgumentParser:
    """Options of benchmark.py."""
    parser = new_parser("Measure speed, memory and exactness on this machine.")
    add_checkpoint_option(parser)
    parser.add_argument("--scale_factor", type=SIZE, default=SCALE_FACTOR, help="as in test.py")
    parser.add_argument("--rounds", type=SIZE, default=15, help="measured calls a path")
    parser.add_argument(
        "--charts",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="also draw PNG charts there (needs matplotlib)",
    )
    return parser


def main() -> None:
    options = benchmark_parser().parse_args()
    if options.charts and importlib.util.find_spec("matplotlib") is None:
        raise UserError("--charts needs matplotlib; pip install matplotlib, or leave it out")
    result = {
        "machine": describe_machine(),
        "rounds": options.rounds,
        "images": measure_images(options),
        "folders": measure_folders(options),
        "start_s": measure_start(options),
    }
    print_tables(result)
    if options.charts:
        draw_charts(result, options.charts)
    print(json.dumps(result))


if __name__ == "__main__":
    run_script(main)

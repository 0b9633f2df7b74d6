"""Ways to take noise out of an enhanced picture, ours and others', compared.

    python benchmarks/denoisers.py

Sets that are not there are left out. bm3d, and scikit-image's wavelets, which want PyWavelets, are
measured where those are installed.
"""

import argparse
import importlib
import importlib.util
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from benchmarks.look import add_data_options, files_of, full_hd, made_dark, mean_of, pairs_of, read
from evaluation.metrics import psnr, ssim
from evaluation.naturalness import niqe
from option import add_checkpoint_option
from sgz import Enhancer
from sgz.command import new_parser, run_script
from sgz.look.noise import estimate_sigma
from sgz.look.treatment import black_of, mean_gain
from sgz.machine import describe_machine

# [H, W, 3] uint8 and the noise's standard deviation in levels of 255 -> [H, W, 3] uint8.
Denoiser = Callable[[np.ndarray, float], np.ndarray]
ONE_AT_A_TIME = threading.Lock()


def bilateral(image: np.ndarray, sigma: float) -> np.ndarray:
    """OpenCV's bilateral filter, 9 pixels wide, at the settings that are common."""
    import cv2

    return cv2.bilateralFilter(image, 9, 50, 5)


def non_local_means(image: np.ndarray, sigma: float) -> np.ndarray:
    """OpenCV's non-local means."""
    import cv2

    return cv2.fastNlMeansDenoisingColored(image, None, sigma, sigma, 7, 21)


def wavelets(image: np.ndarray, sigma: float) -> np.ndarray:
    """scikit-image's BayesShrink."""
    from skimage.restoration import denoise_wavelet

    options = {"convert2ycbcr": True, "channel_axis": 2, "rescale_sigma": True}
    return to_levels(255 * denoise_wavelet(image, sigma=sigma, **options))


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """BM3D of colours, its authors' package: for research alone, so no requirement of ours."""
    package = importlib.import_module("bm3d")
    gray = bool((image == image[..., :1]).all())  # its colours would be divided by their range, 0
    with ONE_AT_A_TIME:  # its own threads bear no others
        if gray:
            plane = package.bm3d(image[..., 0] / 255.0, sigma / 255)
            return to_levels(255 * np.repeat(plane[..., None], 3, axis=2))
        return to_levels(255 * package.bm3d_rgb(image / 255.0, sigma / 255))


def ffmpeg(image: np.ndarray, sigma: float, filter_name: str) -> np.ndarray:
    """One of FFmpeg's filters, through PyAV."""
    import av

    arguments, pix_fmt = {
        "dctdnoiz": (f"sigma={sigma:.3f}", "rgb24"),
        "fftdnoiz": (f"sigma={1.5 * sigma:.3f}", "gbrp"),
        "nlmeans": (f"s={min(max(sigma, 1), 30):.3f}", "gbrp"),
    }[filter_name]
    graph = av.filter.Graph()
    height, width = image.shape[:2]
    source = graph.add_buffer(width=width, height=height, format=pix_fmt, time_base="1/25")
    shrinking, sink = graph.add(filter_name, arguments), graph.add("buffersink")
    source.link_to(shrinking)
    shrinking.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    frame = frame.reformat(format=pix_fmt)
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    return graph.pull().to_ndarray(format="rgb24")


def ours_after(image: np.ndarray, sigma: float) -> np.ndarray:
    """Our shrinkage, on the result in place of the dark picture."""
    from sgz.kernels.denoise import denoise
    from sgz.look.denoise import shrinkage_of

    return to_levels(denoise(image, shrinkage_of(sigma, image.shape)))


def to_levels(values: np.ndarray) -> np.ndarray:
    """Floats of 0 to 255 as uint8, rounded."""
    return values.round().clip(0, 255).astype(np.uint8)


DENOISERS: dict[str, Denoiser] = {
    "ours, after the curve": ours_after,
    "cv2.bilateralFilter(9, 50, 5)": bilateral,
    "cv2.fastNlMeansDenoisingColored": non_local_means,
    "skimage denoise_wavelet": wavelets,
    "FFmpeg dctdnoiz": partial(ffmpeg, filter_name="dctdnoiz"),
    "FFmpeg fftdnoiz": partial(ffmpeg, filter_name="fftdnoiz"),
    "FFmpeg nlmeans": partial(ffmpeg, filter_name="nlmeans"),
    "bm3d": bm3d,
}
OURS = "ours, before the curve"
NEEDS = {"bm3d": "bm3d", "skimage denoise_wavelet": "pywt"}  # packages that are no requirement


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


def denoisers_parser() -> argparse.ArgumentParser:
    """Options of benchmarks/denoisers.py."""
    parser = new_parser("Compare ways to take noise out of an enhanced picture.")
    add_checkpoint_option(parser)
    add_data_options(parser)
    return parser


def main() -> None:
    options = denoisers_parser().parse_args()
    print(describe_machine())
    print_denoisers(options)


if __name__ == "__main__":
    run_script(main)

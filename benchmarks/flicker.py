"""Measure flicker with and without smoothing: docs/video.md's tables.

python benchmarks/flicker.py
python benchmarks/flicker.py dark.mp4 --figure luma.png

The figure, docs/video.md's too, shows mean luma over time; it wants matplotlib.
"""

import argparse
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import new_parser, run_script
from sgz.errors import UserError

RATE = 24  # frames per second of the made scenes
SMOOTHINGS = {0.0: "each frame alone", 0.5: "smoothing 0.5 s", np.inf: "one map for the whole clip"}
WINDOW = 12  # frames in which flat parts are looked at
Clip = tuple[list[np.ndarray], list[float]]  # frames [H, W, 3] uint8, their times in seconds


def still(exposures: np.ndarray) -> Clip:
    """scikit-image's cat, exposed in turn by each of these shares; shot and read noise."""
    from skimage import data

    rng = np.random.default_rng(0)
    light = (data.chelsea()[20:260, 40:400] / 255.0) ** 2.2 * 20_000
    frames = []
    for exposure in exposures:
        read = rng.poisson(light * exposure) + rng.normal(0, 8, light.shape)
        frames.append(np.round(255 * np.clip(read / 20_000, 0, 1) ** (1 / 2.2)).astype(np.uint8))
    return frames, [number / RATE for number in range(len(frames))]


def read_clip(path: Path) -> Clip:
    """All frames of a video; UserError where it is none."""
    import av

    frames, times = [], []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                frames.append(frame.to_ndarray(format="rgb24"))
                times.append(frame.time)
    except (av.error.FFmpegError, IndexError) as error:
        raise UserError(f"{path} cannot be read as a video: {error}") from error
    return frames, times


def find_maps(enhancer, clip: Clip, seconds: float) -> list[np.ndarray]:
    """Each frame's factor map as the video's stream finds it; infinity is the mean of all."""
    from sgz.kernels import rgb
    from sgz.video.smoothing import Smoother

    def find(small: np.ndarray) -> tuple:
        factor = enhancer.factor_of_small(small)
        return float(factor.mean()), (factor,)

    smoother = Smoother(find, 0 if seconds == np.inf else seconds)
    maps = []
    for frame, time in zip(*clip, strict=True):

        def read(rows, columns, frame=frame):
            return frame[rows[:, None], columns].astype(np.float32) / 255

        small = rgb.read_cells(read, frame.shape[:2], enhancer.scale_factor)
        maps += [factor for _, (factor,), _ in smoother.add(frame, small, time)]
    maps += [factor for _, (factor,), _ in smoother.finish()]
    return [np.mean(maps, axis=0)] * len(maps) if seconds == np.inf else maps


def enhanced(enhancer, clip: Clip, maps: list[np.ndarray]) -> Iterator[tuple]:
    """Pairs (input, output)."""
    for frame, factor in zip(clip[0], maps, strict=True):
        yield frame, enhancer.apply(frame, factor)


def measure(enhancer, clip: Clip) -> tuple[dict, dict]:
    """By smoothing: mean luma of each frame; and added flicker (luma, warped, frame to frame)."""
    from evaluation import metrics

    lumas, scores = {}, {}
    for seconds in reversed(SMOOTHINGS):
        maps = find_maps(enhancer, clip, seconds)
        outputs = (output for _, output in enhanced(enhancer, clip, maps))
        lumas[seconds] = np.array([metrics.mean_luma(output) for output in outputs])
        scores[seconds] = (
            metrics.luma_flicker(enhanced(enhancer, clip, maps)).added,
            metrics.warped_error(enhanced(enhancer, clip, maps)).added,
            float(np.std(np.diff(lumas[seconds] - lumas[np.inf]))),
        )
    return lumas, scores


def natural(clip: Clip, seconds: float) -> list[np.ndarray]:
    """The frames with the natural look, as the video's stream makes them."""
    import av

    from sgz.enhancer import Enhancer
    from sgz.video.frames import enhance_frames
    from sgz.video.picture import Picture, convert

    enhancer = Enhancer(ROOT / "weight/Epoch99.pth", threads=1, look="natural")
    height, width = clip[0][0].shape[:2]
    unit = Fraction(1, 90_000)
    picture = Picture(width, height, "yuv444p", RATE, unit, None, False, 1, 5, 2, 2, None)

    def frames() -> Iterator:
        for pixels, time in zip(*clip, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = round(time / unit), unit
            yield convert(frame, picture, "yuv444p")

    made = enhance_frames(enhancer, frames(), picture, seconds)
    return [convert(frame, picture, "rgb24").to_ndarray() for frame in made]


def measure_natural(clip: Clip) -> dict:
    """measure()'s scores of the natural look, but for those against one map for the whole clip."""
    from evaluation import metrics

    scores = {}
    for seconds in (0.0, 0.5):
        pairs = list(zip(clip[0], natural(clip, seconds), strict=True))
        flicker, warped = metrics.luma_flicker(iter(pairs)), metrics.warped_error(iter(pairs))
        scores[seconds] = flicker.added, warped.added
    return scores


def grain(clip: Clip, outputs: list[np.ndarray]) -> float:
    """Deviation over time of luma in flat parts, in levels: the mean over windows of 12 frames.

    Flat are, in each window, the quarter of the blocks of 16x16 in whose mean over time, of the
    input, neighbours differ least, black ones left out. A block's own mean is taken away in each
    frame: light that moves is no grain.
    """
    from evaluation.metrics import gray

    found = []
    for first in range(0, len(outputs) - WINDOW + 1, WINDOW):
        dark, bright = (
            np.array([blocks_of(gray(frame)) for frame in frames[first : first + WINDOW]])
            for frames in (clip[0], outputs)
        )
        mean = dark.mean(axis=0)
        uneven = np.abs(np.diff(mean, axis=2)).mean(axis=(1, 2))
        told = mean.mean(axis=(1, 2)) > 30
        flat = told & (uneven <= np.quantile(uneven[told], 0.25))
        rest = bright[:, flat] - bright[:, flat].mean(axis=(2, 3), keepdims=True)
        found.append(rest.std(axis=0, ddof=1).mean())
    return float(np.mean(found))


def change(frames: list[np.ndarray]) -> float:
    """Deviation of what mean luma changes by from frame to frame, in hundredths of mean luma."""
    from evaluation.metrics import mean_luma

    lumas = np.array([mean_luma(frame) for frame in frames])
    return float(100 * np.diff(lumas).std() / lumas.mean())


def blocks_of(plane: np.ndarray) -> np.ndarray:
    """[H, W] -> [N, 16, 16] float32."""
    down, across = (side // 16 for side in plane.shape)
    cut = plane[: down * 16, : across * 16].astype(np.float32).reshape(down, 16, across, 16)
    return cut.swapaxes(1, 2).reshape(-1, 16, 16)


def draw(results: dict, clips: dict, path: Path) -> None:
    """One plot of mean luma over time for each clip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(clips), figsize=(8, 2.6 * len(clips)), squeeze=False)
    for axes, (name, lumas) in zip(rows[:, 0], results.items(), strict=True):
        for (seconds, label), style in zip(SMOOTHINGS.items(), ("-", "-", ":"), strict=True):
            axes.plot(clips[name][1], lumas[seconds], style, label=label, linewidth=1.2)
        axes.set(title=name, ylabel="mean luma")
    rows[0, 0].legend(fontsize="small")
    rows[-1, 0].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def print_line(name: str, scores: dict) -> None:
    """A row of the table."""
    cells = zip(scores[0.0], scores[0.5], (3, 5, 3), strict=False)
    line = " | ".join(f"{one:.{n}f} | {other:.{n}f}" for one, other, n in cells)
    print(f"| {name} | {line} |{' | |' * (len(scores[0.0]) < 3)}", flush=True)


def flicker_parser() -> argparse.ArgumentParser:
    """Options of this script."""
    parser = new_parser("Measure how much a video's light flickers.")
    parser.add_argument("clips", type=Path, nargs="*", help="videos, beside two scenes made here")
    parser.add_argument("--figure", type=Path, help="draw mean luma over time into this .png")
    return parser


def main() -> None:
    from sgz.enhancer import Enhancer

    options = flicker_parser().parse_args()
    rng = np.random.default_rng(1)
    step = np.interp(np.arange(72), (23, 26), (1, 0.7)) * (1 + 0.03 * rng.standard_normal(72))
    clips = {
        "static scene, exposure jitter of 10 %": still((1 + 0.1 * rng.standard_normal(60)) / 20),
        "static scene, exposure steps by 30 %, jitter of 3 %": still(step / 12),
    }
    clips |= {path.name: read_clip(path) for path in options.clips}
    enhancer = Enhancer(ROOT / "weight/Epoch99.pth")
    print("| added flicker: | luma | | warped | | frame to frame | |")
    print("|---|---:|---:|---:|---:|---:|---:|\n| smoothing | 0 | 0.5 s | 0 | 0.5 s | 0 | 0.5 s |")
    results = {}
    for name, clip in clips.items():
        results[name], scores = measure(enhancer, clip)
        print_line(name, scores)
        print_line(f"{name}, natural", measure_natural(clip))
    steady = {"static scene, no jitter": still(np.full(60, 1 / 20))}
    print("\n| | grain of flat parts | | change of mean luma | | |\n|---|---:|---:|---:|---:|---:|")
    print("| | paper | natural | input | paper | natural |")
    for name, clip in (steady | clips).items():
        maps = find_maps(enhancer, clip, 0.5)
        made = [output for _, output in enhanced(enhancer, clip, maps)], natural(clip, 0.5)
        cells = [f"{grain(clip, outputs):.2f}" for outputs in made]
        cells += [f"{change(outputs):.2f} %" for outputs in (clip[0], *made)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if options.figure:
        draw(results, clips, options.figure)


if __name__ == "__main__":
    run_script(main)

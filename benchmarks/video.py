"""Video speed: the stream against a plain PyAV transcode and against frames on disk, in one run.

python benchmarks/video.py
python benchmarks/video.py --video dark.mp4
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from option import add_checkpoint_option
from sgz.command import SIZE, new_parser, run_script

WIDTH, HEIGHT = 1920, 1080
CRF = "17"  # the default of make_video.py


def make_clip(source: Path | None, target: Path, frames: int) -> None:
    """A dark 1080p H.264 clip: `source` enlarged, or without one a pan over a noisy pattern."""
    import av
    import numpy as np

    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", 30, {"crf": CRF, "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if source is not None:
            with av.open(str(source)) as given:
                for number, frame in enumerate(given.decode(video=0)):
                    if number == frames:
                        break
                    large = frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="BICUBIC")
                    large.pts, large.time_base, large.pict_type = number, Fraction(1, 30), 0
                    container.mux(stream.encode(large))
        else:
            rng = np.random.default_rng(0)
            pattern = rng.uniform(0, 1, (HEIGHT // 8 + 1, WIDTH // 8 + frames)).astype(np.float32)
            y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
            for number in range(frames):
                view = 16 + 60 * pattern[y // 8, x // 8 + number]
                view = view + rng.normal(0, 2, view.shape)
                frame = av.VideoFrame.from_ndarray(view.clip(0, 255).astype("uint8"), "gray")
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def transcode(source: Path, target: Path) -> None:
    """What PyAV's own example does: decode, encode, with the stream's default settings."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        video = given.streams.video[0]
        video.thread_type = "AUTO"
        options = {"crf": CRF, "preset": "veryfast"}
        stream = container.add_stream("libx264", video.average_rate, options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        for frame in given.decode(video):
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames_on_disk(source: Path, target: Path, enhancer, folder: Path) -> None:
    """The old way: a JPEG of each frame, each enhanced into another, then a video of those."""
    import av
    import cv2

    capture = cv2.VideoCapture(str(source))
    rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(100_000)
    count = 0
    while True:
        there, frame = capture.read()
        if not there:
            break
        cv2.imwrite(str(folder / f"{count}.jpg"), frame)
        count += 1
    for number in range(count):
        dark = cv2.cvtColor(cv2.imread(str(folder / f"{number}.jpg")), cv2.COLOR_BGR2RGB)
        bright = cv2.cvtColor(enhancer(dark), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"out{number}.jpg"), bright)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate, {"crf": CRF, "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(count):
            bright = cv2.imread(str(folder / f"out{number}.jpg"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(bright, "bgr24")))
        container.mux(stream.encode(None))


def measure(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, taken in turns after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def video_speed(
    weights: Path, source: Path | None = None, frames: int = 120, rounds: int = 5
) -> list[tuple[str, float, float]]:
    """(way, frames per second, share of the plain transcode's) for 1080p H.264 veryfast.

    The stream runs the same encoder at the same settings; "stream, strength 0" passes frames
    through it untouched, so its encoder sees the transcode's pictures: what is between the two is
    the threads' cost, and between it and "stream" the enhancement's and brighter pictures'.
    """
    from sgz.enhancer import Enhancer
    from sgz.video.formats import Encoding
    from sgz.video.stream import enhance_video

    encoding = Encoding("h264", int(CRF), "veryfast")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip, target = folder / "clip.mp4", folder / "out.mp4"
        make_clip(source, clip, frames)
        enhancer, idle = Enhancer(weights, threads=1), Enhancer(weights, strength=0, threads=1)
        pictures = Enhancer(weights)
        ways = {
            "plain transcode": lambda: transcode(clip, target),
            "stream": lambda: enhance_video(enhancer, clip, target, encoding),
            "stream, strength 0": lambda: enhance_video(idle, clip, target, encoding),
            "frames to JPEG and back": lambda: frames_on_disk(clip, target, pictures, folder),
        }
        seconds = measure(ways, rounds)
    plain = seconds["plain transcode"]
    return [(name, frames / value, plain / value) for name, value in seconds.items()]


def benchmark_video_parser() -> argparse.ArgumentParser:
    """Options of benchmark_video.py."""
    parser = new_parser("Measure the speed of video on this machine.")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--video",
        type=Path,
        default=None,
        help="a dark video, enlarged to 1920x1080; a made pattern if left out",
    )
    parser.add_argument("--frames", type=SIZE, default=120, help="of the video to be used")
    parser.add_argument("--rounds", type=SIZE, default=5, help="measured runs of each way")
    return parser


def main() -> None:
    options = benchmark_video_parser().parse_args()
    rows = video_speed(options.weight_dir, options.video, options.frames, options.rounds)
    print("| 1920x1080, H.264 veryfast | frames/s | times the plain transcode |\n|---|---:|---:|")
    for name, rate, share in rows:
        print(f"| {name} | {rate:.1f} | {share:.2f} |")


if __name__ == "__main__":
    run_script(main)

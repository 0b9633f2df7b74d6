"""Video speed and size: the stream against a plain PyAV transcode and frames on disk, in one run;
and the processor time of each of the stream's steps.

python benchmarks/video.py
python benchmarks/video.py --video dark.mp4
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from option import add_checkpoint_option
from sgz.command import SIZE, new_parser, run_script
from sgz.method import LOOKS

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
    """What PyAV's own example does, decode and encode, with the stream's settings."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        video = given.streams.video[0]
        video.thread_type = "AUTO"
        options = {"crf": CRF, "preset": "veryfast"}
        stream = container.add_stream("libx264", video.average_rate, options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.thread_type = "AUTO"  # whole frames side by side
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


def measure(
    ways: dict[str, Callable[[], None]], target: Path, rounds: int
) -> dict[str, tuple[float, int]]:
    """Median seconds of each way, taken in turns after one round of warming up; bytes written."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    sizes = {}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            sizes[name] = target.stat().st_size
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: (median(values), sizes[name]) for name, values in times.items()}


def video_speed(
    weights: Path, clip: Path, target: Path, frames: int, rounds: int
) -> list[tuple[str, float, float, float]]:
    """(way, frames per second, share of the plain transcode's, MB) for H.264 veryfast.

    The stream runs the same encoder at the same settings; "stream, strength 0" passes frames
    through it untouched, so its encoder sees the transcode's pictures: what is between the two is
    the threads' cost, and between it and the looks the enhancement's and brighter pictures'.
    """
    from sgz.enhancer import Enhancer
    from sgz.video.formats import Encoding
    from sgz.video.stream import enhance_video

    encoding, pictures = Encoding("h264", int(CRF), "veryfast"), Enhancer(weights)
    streams = {
        "stream, paper": Enhancer(weights, threads=1),
        "stream, natural": Enhancer(weights, threads=1, look="natural"),
        "stream, strength 0": Enhancer(weights, threads=1, strength=0),
    }
    ways = {"plain transcode": lambda: transcode(clip, target)}
    for name, enhancer in streams.items():
        ways[name] = partial(enhance_video, enhancer, clip, target, encoding)
    ways["frames to JPEG and back"] = lambda: frames_on_disk(clip, target, pictures, clip.parent)
    found = measure(ways, target, rounds)
    plain = found["plain transcode"][0]
    return [
        (name, frames / seconds, plain / seconds, size / 1e6)
        for name, (seconds, size) in found.items()
    ]


def processor_times(weights: Path, clip: Path, target: Path, look: str) -> dict[str, float]:
    """Milliseconds of processor time a frame that each step takes, measured one by one."""
    from sgz.enhancer import Enhancer
    from sgz.video.formats import Encoding, software_encoder
    from sgz.video.frames import enhance_frames
    from sgz.video.reader import Reader
    from sgz.video.writer import Writer

    def enhance(denoise: str | None) -> tuple[list, float]:
        enhancer = Enhancer(weights, threads=1, look=look, denoise=denoise)
        with Reader(clip) as reader:
            frames = reader.read_frames("yuv420p")
            return timed(lambda: [*enhance_frames(enhancer, frames, reader.picture, 0.5)])

    def encode() -> None:
        with Writer(target, "mp4", picture, encoder) as writer:
            for frame in bright:
                writer.write_frame(frame)
            writer.finish()

    with Reader(clip) as reader:
        picture = reader.picture
        encoder = software_encoder(Encoding("h264", int(CRF), "veryfast"), picture)
        decoded, decoding = timed(lambda: [*reader.read_frames("yuv420p")])
    network = timed(lambda: find_only(Enhancer(weights, threads=1, look=look), decoded, picture))[1]
    decoded.clear()
    enhance(None)  # compiles
    mapped = enhance("off")[1]
    bright, whole = enhance(None)
    steps = {"decode": decoding, "network": network, "kernel": mapped - network - decoding}
    steps |= {"noise": whole - mapped, "encode": timed(encode)[1]}
    return {name: 1000 * seconds / len(bright) for name, seconds in steps.items()}


def find_only(enhancer, frames: list, picture) -> None:
    """What the stream finds for frames, without the pass that applies it."""
    from sgz.kernels import rgb, yuv
    from sgz.look.options import PAPER
    from sgz.video.frames import NaturalWay, PaperWay, planes_of
    from sgz.video.smoothing import Smoother

    way = (PaperWay if enhancer.look == PAPER else NaturalWay)(enhancer)
    smoother = Smoother(way.find, 0.5, way.weigh)
    shares = yuv.shares_of_matrix(picture.matrix, picture.height)
    for frame in frames:
        planes = planes_of(frame, picture, shares)
        cells = rgb.read_cells(planes.read, (planes.height, planes.width), enhancer.scale_factor)
        for _ in smoother.add(frame, planes.to_rgb(cells), frame.time):
            pass


def timed(work: Callable[[], object]) -> tuple:
    """What work returns, and the processor time that all threads took for it, in seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


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
    weights, frames = options.weight_dir, options.frames
    with tempfile.TemporaryDirectory() as scratch:
        clip, target = Path(scratch, "clip.mp4"), Path(scratch, "out.mp4")
        make_clip(options.video, clip, frames)
        rows = video_speed(weights, clip, target, frames, options.rounds)
        steps = {look: processor_times(weights, clip, target, look) for look in LOOKS}
    print("| 1920x1080, H.264 veryfast | frames/s | times the plain transcode | MB |")
    print("|---|---:|---:|---:|")
    for name, rate, share, size in rows:
        print(f"| {name} | {rate:.1f} | {share:.2f} | {size:.1f} |")
    print(f"\n| ms of processor a frame | {' | '.join(steps[LOOKS[0]])} |\n|---|{5 * '---:|'}")
    for look, parts in steps.items():
        print(f"| {look} | {' | '.join(f'{part:.1f}' for part in parts.values())} |")


if __name__ == "__main__":
    run_script(main)

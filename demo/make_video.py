"""Enhance a video; or turn it into frames, and enhanced frames into a video.

python demo/make_video.py --video_path demo/Movie/sample.mp4 --save_path demo/Movie/Res.mp4
python demo/make_video.py --choice V2I
python test.py --input_dir data/video_frames/dark --test_dir data/video_frames/bright
python demo/make_video.py --choice I2V
"""

import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere

import argparse

import av

from option import add_checkpoint_option
from sgz.command import (
    AMOUNT,
    COUNT,
    RATE,
    add_enhancer_options,
    add_part_options,
    enhancer_arguments,
    new_parser,
    run_script,
)
from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.files import find_files, is_pipe, no_images, whole_file, write_whole
from sgz.image.photo import IMAGE_SUFFIXES, Photo, encode_photo, read_photo
from sgz.pixels import to_rgb
from sgz.video.formats import CODECS, Encoding, container_of
from sgz.video.picture import Picture
from sgz.video.reader import Reader
from sgz.video.stream import Writer, enhance_video

REMEDIES = {
    "source": "check --video_path",
    "target": "choose another --save_path",
    "container": "choose a name in .mkv",
    "codec": "choose another --codec, or a name in .mp4 or .mkv",
    "pix_fmt": "see --pix_fmt",
    "encoding": "see --codec, --crf, --preset and --pix_fmt",
    "start": "choose an earlier --start",
    "folder": "empty it, or choose another --image_lowlight_folder",
    "max_pixels": "raise it with --max_megapixels",
    "device": "try --device cpu",
}


class Report:
    """Sentences about the video, printed once the progress bar is gone.

    damages: how many of them tell of a loss.
    """

    def __init__(self):
        self.sentences: list[str] = []
        self.damages = 0

    def note(self, sentence: str) -> None:
        self.sentences.append(f"note: {sentence}")

    def damage(self, sentence: str) -> None:
        self.damages += 1
        self.sentences.append(f"damaged: {sentence}")

    def close(self, done: str) -> int:
        """Print everything; the exit code."""
        print(done)
        for sentence in self.sentences:
            print(sentence, file=sys.stderr)
        return 1 if self.damages else 0


def stream(options: Namespace, encoding: Encoding) -> int:
    """Video to enhanced video; the exit code."""
    report = Report()
    reader = open_reader(options, report)
    picture = reader.picture
    # One thread: decoder and encoder want the other cores.
    enhancer = Enhancer(options.weight_dir, threads=1, **enhancer_arguments(options))
    with new_bar(reader.count) as bar:
        frames = enhance_video(
            enhancer,
            reader,
            options.save_path,
            encoding,
            options.smoothing,
            options.keep_partial,
            lambda done: bar.update(),
            report.note,
            report.damage,
        )
        seconds = bar.format_dict["elapsed"]
    size = f"{picture.width}x{picture.height}"
    return report.close(
        f"enhanced {frames} frames of {size} in {seconds:.1f} s ({frames / seconds:.1f} frames/s) "
        f"into {options.save_path}"
    )


def video_to_frames(options: Namespace) -> int:
    """Video to one image a frame; the exit code."""
    report = Report()
    name_of = frame_names(options.image_lowlight_folder)
    claim_folder(name_of(0).parent, options.video_path)
    frames = 0
    with open_reader(options, report) as reader, new_bar(reader.count) as bar:
        deep = re.search(r"p1\d", reader.picture.pix_fmt) is not None
        for frame in reader.read_frames("rgb48le" if deep else "rgb24"):
            path = name_of(frames)
            content = encode_photo(Photo(frame.to_ndarray()), path.suffix)
            write_whole(path, content)
            frames += 1
            bar.update()
    old = frames
    while name_of(old).exists():  # of a longer video, which I2V would append to this one
        name_of(old).unlink()
        old += 1
    return report.close(f"wrote {frames} frames into {name_of(0).parent}")


def claim_folder(folder: Path, video: Path) -> None:
    """Mark a folder as one video's; its older frames of the same video are written over.

    Raises:
        UserError: there are images of something else in it.
    """
    mark = folder / ".video"
    name = str(video.resolve())
    owner = mark.read_text() if mark.is_file() else ""
    if owner != name and folder.is_dir() and any(find_files(folder, IMAGE_SUFFIXES)):
        whose = f"frames of {Path(owner).name}" if owner else "images that are no frames of it"
        raise UserError(f"{folder} holds {whose}", "folder")
    write_whole(mark, name.encode())


def frames_to_video(options: Namespace, encoding: Encoding) -> int:
    """Images to a video with the timing and the colour tags of --video_path; the exit code."""
    folder = options.image_folder
    paths = sorted(find_files(folder, IMAGE_SUFFIXES), key=natural_order) if folder.exists() else []
    if not paths:
        raise no_images(options.image_folder)
    container_name = container_of(options.save_path, CODECS[encoding.codec])
    first = read_photo(paths[0]).pixels
    picture, times = timing_of_frames(options, len(paths), first)

    with (
        whole_file(options.save_path) as temporary,
        Writer(temporary, container_name, picture, encoding) as writer,
    ):
        for path, time in zip(tqdm(paths, unit="frame"), times, strict=True):
            pixels = to_rgb(read_photo(path).pixels)
            if pixels.shape[:2] != first.shape[:2]:
                raise UserError(
                    f"{path} is {pixels.shape[1]}x{pixels.shape[0]}, the first frame is "
                    f"{first.shape[1]}x{first.shape[0]}; make them alike"
                )
            kind = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), kind)
            frame.pts, frame.time_base = time, picture.time_base
            writer.write_frame(frame)
        writer.finish()
    return Report().close(f"wrote {len(paths)} frames into {options.save_path}")


def timing_of_frames(
    options: Namespace, count: int, first: np.ndarray
) -> tuple[Picture, Iterator[int]]:
    """What the video shall be like and when each frame is shown, in its time base.

    With as many frames as the source has, they get its very times, else its rate.
    """
    height, width = first.shape[:2]
    if options.fps is not None or not options.video_path.exists():
        if not options.fps or options.fps < 0:
            raise UserError(
                f"no such video: {options.video_path}, to take the frame rate from; give --fps"
            )
        matrix = 1 if height >= 720 else 6
        kind = "yuv420p" if first.dtype == np.uint8 else "yuv420p10le"
        picture = Picture(
            width, height, kind, options.fps, 1 / options.fps, None, False, 1, matrix, 2, 2, None
        )
        return picture, iter(range(count))
    with open_reader(options, Report()) as reader:
        picture = replace(reader.picture, width=width, height=height, interlaced=False)
        times = reader.read_times()
    if len(times) != count:
        step = 1 / picture.rate / picture.time_base
        times = [round(number * step) for number in range(count)]
    return picture, iter(times)


def frame_names(place: Path) -> Callable[[int], Path]:
    """Number -> path, from a folder or from a pattern with %d in its name.

    Raises:
        UserError: the pattern or its type cannot be used.
    """
    pattern = str(place if "%" in place.name else place / "%06d.png")
    try:
        if pattern % 0 == pattern % 1 or Path(pattern % 0).suffix.lower() not in (
            ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp",
        ):  # fmt: skip
            raise ValueError
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{place} names no frames; give a folder, or a pattern like Frames/%d.png"
        ) from error
    return lambda number: Path(pattern % number)


def natural_order(path: Path) -> list:
    """A sort key in which 2.png comes before 10.png."""
    parts = re.split(r"(\d+)", str(path))
    return [int(part) if part.isdecimal() else part for part in parts]


def open_reader(options: Namespace, report: Report) -> Reader:
    """The video that the options name."""
    pixels = round(options.max_megapixels * 1e6)
    return Reader(
        options.video_path, report.note, report.damage, pixels, options.start, options.duration
    )


def new_bar(total: int | None) -> tqdm:
    """A progress bar with frames per second and the time left."""
    return tqdm(total=total, unit="frame", smoothing=0.1)


def video_parser() -> argparse.ArgumentParser:
    """Options of demo/make_video.py."""
    parser = new_parser("Enhance a video, or go from a video to frames (V2I) and back (I2V).")
    parser.add_argument(
        "--video_path",
        type=Path,
        default=Path("demo/Movie/sample.mp4"),
        help="the low-light video; for I2V, whose timing and colour tags the frames get",
    )
    parser.add_argument(
        "--image_lowlight_folder",
        type=Path,
        default=Path("data/video_frames/dark"),
        help="V2I: where the low-light frames go, as %%06d.png, or a pattern like Frames/%%d.jpg",
    )
    parser.add_argument(
        "--image_folder",
        type=Path,
        default=Path("data/video_frames/bright"),
        help="I2V: the enhanced frames, in natural order",
    )
    parser.add_argument(
        "--save_path", type=Path, default=Path("demo/Movie/Res.mp4"), help="the enhanced video"
    )
    parser.add_argument(
        "--choice",
        choices=("V2I", "I2V"),
        default=None,
        help="video to images, or images to video; left out, the video is enhanced as it streams",
    )
    add_checkpoint_option(parser)
    add_enhancer_options(parser, look="natural")
    parser.add_argument(
        "--smoothing",
        type=AMOUNT,
        default=0.5,
        help="seconds each way over which a frame's factor map is averaged, against flicker; "
        "0 turns it off",
    )
    add_encoding_options(parser)
    parser.add_argument(
        "--fps", type=Fraction, default=None, help="I2V: frames per second, if there is no video"
    )
    add_part_options(parser)
    parser.add_argument("--max_megapixels", type=RATE, default=36.0, help="refuse larger frames")
    parser.add_argument(
        "--keep_partial",
        action="store_true",
        help="when interrupted, keep what is done as a shorter video that plays",
    )
    return parser


def add_encoding_options(parser: argparse._ActionsContainer) -> None:
    """How the output is encoded."""
    parser.add_argument(
        "--codec", choices=("h264", "hevc", "vp9", "av1"), default="h264", help="of the output"
    )
    parser.add_argument(
        "--crf",
        type=COUNT,
        default=None,
        help="quality, lower is better; left out: 17 h264, 19 hevc, 24 vp9, 23 av1",
    )
    parser.add_argument(
        "--preset",
        default=None,
        help="speed of the encoder: ultrafast … veryslow for h264 (veryfast) and hevc (fast), "
        "0 … 8 for vp9 (5), 0 … 13 for av1 (8)",
    )
    parser.add_argument(
        "--pix_fmt",
        default=None,
        help="pixel format of the output, such as yuv420p, which all browsers play; left out, as "
        "near to the source's as the codec has",
    )


def main() -> int:
    options = video_parser().parse_args()
    encoding = Encoding(options.codec, options.crf, options.preset, options.pix_fmt)
    if is_pipe(options.video_path) or is_pipe(options.save_path):
        raise UserError("pipes are for the command sgz: sgz - -")
    largest = CODECS[options.codec].largest_crf
    if options.crf is not None and options.crf > largest:
        raise UserError(f"--crf {options.crf} is above {options.codec}'s range of 0 to {largest}")
    if options.choice == "V2I":
        return video_to_frames(options)
    if options.choice == "I2V":
        return frames_to_video(options, encoding)
    return stream(options, encoding)


if __name__ == "__main__":
    run_script(main, REMEDIES)

"""Enhance a video; or turn it into frames, and enhanced frames into a video.

python demo/make_video.py --video_path demo/Movie/sample.mp4 --save_path demo/Movie/Res.mp4
python demo/make_video.py --choice V2I
python test.py --input_dir data/video_frames/dark --test_dir data/video_frames/bright
python demo/make_video.py --choice I2V
"""

import sys
from argparse import Namespace
from fractions import Fraction
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere

import argparse

from demo.frames import frames_to_video, video_to_frames
from demo.report import Report, new_bar, open_reader
from option import add_checkpoint_option
from sgz.command import (
    AMOUNT,
    COUNT,
    RATE,
    add_enhancer_options,
    add_video_options,
    enhancer_arguments,
    new_parser,
    run_script,
)
from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.files import is_pipe
from sgz.video.formats import CODECS, Encoding
from sgz.video.segments import enhance_in_segments
from sgz.video.stream import enhance_video

REMEDIES = {
    "source": "check --video_path",
    "target": "choose another --save_path",
    "container": "choose a name in .mkv",
    "codec": "choose another --codec, or a name in .mp4 or .mkv",
    "pix_fmt": "see --pix_fmt",
    "encoding": "see --codec, --crf, --preset and --pix_fmt",
    "start": "choose an earlier --start",
    "segments": "delete it, or choose another --save_path; see --resume",
    "folder": "empty it, or choose another --image_lowlight_folder",
    "max_pixels": "raise it with --max_megapixels",
    "device": "try --device cpu",
}


def stream(options: Namespace, encoding: Encoding) -> int:
    """Video to enhanced video; the exit code."""
    report = Report()
    reader = open_reader(options, report)
    picture = reader.picture
    # One thread: decoder and encoder want the other cores.
    enhancer = Enhancer(options.weight_dir, threads=1, **enhancer_arguments(options))
    enhance = enhance_in_segments
    if not options.resume:
        enhance = partial(enhance_video, keep_partial=options.keep_partial)
    with new_bar(reader.count) as bar:
        frames = enhance(
            enhancer,
            reader,
            options.save_path,
            encoding,
            options.smoothing,
            progress=lambda done: bar.update(done - bar.n),
            note=report.note,
        )
        seconds = bar.format_dict["elapsed"]
    size = f"{picture.width}x{picture.height}"
    return report.close(
        f"enhanced {frames} frames of {size} in {seconds:.1f} s ({frames / seconds:.1f} frames/s) "
        f"into {options.save_path}"
    )


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
    add_video_options(parser)
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
    hardware = options.hardware == "auto"
    encoding = Encoding(options.codec, options.crf, options.preset, options.pix_fmt, hardware)
    if options.keep_partial and options.resume:
        raise UserError("--keep_partial and --resume exclude each other; --resume keeps more")
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

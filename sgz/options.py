"""The options of sgz and of sgz watch."""

import argparse
from pathlib import Path

from sgz import __version__
from sgz.command import (
    RATE,
    add_engine_options,
    add_enhancer_options,
    add_video_options,
    new_parser,
    place,
)


def cli_parser() -> argparse.ArgumentParser:
    """Options of sgz."""
    parser = new_parser(
        "Brighten a photograph, a folder of them, or a video.",
        prog="sgz",
        epilog="sgz watch IN OUT enhances photographs as they arrive in a folder: sgz watch --help",
    )
    parser.add_argument(
        "source",
        metavar="IN",
        type=place,
        help="a photograph, folder or video; - is a video on standard input",
    )
    parser.add_argument(
        "target",
        metavar="OUT",
        type=place,
        nargs="*",
        default=[],
        help="where the result goes; left out: beside IN, as NAME-bright; - is standard output, "
        "which gets a video as NUT. After several IN: the folder for all of them",
    )
    parser.add_argument("--overwrite", action="store_true", help="write over files that are there")
    parser.add_argument(
        "--skip_existing", action="store_true", help="leave out what is there: go on with a folder"
    )
    add_photo_options(parser)
    add_engine_options(parser)
    parser.add_argument(
        "--verbose", action="store_true", help="say what was found in a photograph: black, noise"
    )
    add_video_options(parser)
    parser.add_argument(
        "--live",
        action="store_true",
        help="of a video: each frame out at once, smoothed by those before it alone",
    )
    parser.add_argument("--version", action="version", version=f"sgz {__version__}")
    return parser


def watch_parser() -> argparse.ArgumentParser:
    """Options of sgz watch."""
    parser = new_parser(
        "Brighten photographs as they arrive in a folder, each once it is whole; Ctrl-C ends it. "
        "What has its result in OUT when the watch begins is left out.",
        prog="sgz watch",
    )
    parser.add_argument("source", metavar="IN", type=Path, help="the folder to watch")
    parser.add_argument("target", metavar="OUT", type=Path, help="the folder for the results")
    parser.add_argument(
        "--every", type=RATE, default=1.0, help="seconds between two looks at the folder"
    )
    add_photo_options(parser)
    return parser


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """How photographs are brightened."""
    parser.add_argument("--weights", type=Path, help="a checkpoint in place of the packaged one")
    add_enhancer_options(parser, look="natural")
    parser.add_argument(
        "--max_megapixels", type=RATE, default=300.0, help="refuse larger photographs"
    )

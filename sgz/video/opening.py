"""A video opened: a file or standard input, and the stream in it that shows pictures."""

from contextlib import suppress
from pathlib import Path

import av

from sgz.errors import UserError
from sgz.files import is_pipe
from sgz.video.hardware import find_decoders

LIVE = {"fpsprobesize": "0", "analyzeduration": "0"}  # FFmpeg's, to look at little in advance


def open_container(path: str | Path, live: bool = False, hardware: bool = False):
    """PyAV's container of a file or of standard input, the former perhaps decoded by hardware.

    Raises:
        UserError: there is no such file, or it is no video.
    """
    name, options = str(path), LIVE if live else {}
    if is_pipe(path):
        path, name = "standard input", "pipe:0"
    elif not Path(path).is_file():
        missing = f"{path} is not an ordinary file"
        raise UserError(missing if Path(path).exists() else f"no such video: {path}", "source")
    for decoder in find_decoders() if hardware and name != "pipe:0" else ():
        with suppress(av.error.FFmpegError):  # not on this machine
            return av.open(name, metadata_errors="replace", options=options, hwaccel=decoder)
    try:
        return av.open(name, metadata_errors="replace", options=options)
    except av.error.FFmpegError as error:
        raise UserError(
            f"{path} is no video that can be read ({error.strerror}); check that it plays"
        ) from error


def find_pictures(container, path: str | Path):
    """The video stream to enhance.

    Raises:
        UserError: there is none, or none that can be decoded.
    """
    for stream in container.streams.video:
        if stream.disposition & av.stream.Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise UserError(f"{path} is coded in a way that cannot be decoded; convert it first")
        return stream
    raise UserError(f"{path} has no video stream; give a file that shows moving pictures")

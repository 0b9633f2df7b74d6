"""A video as images on disk, one a frame (V2I), and such images as a video (I2V)."""

import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from demo.report import Report, new_bar, open_reader
from sgz.errors import UserError
from sgz.files import find_files, no_images, whole_file, write_whole
from sgz.image.photo import IMAGE_SUFFIXES, Photo, encode_photo, read_photo
from sgz.pixels import to_rgb
from sgz.video.formats import CODECS, Encoding, container_of
from sgz.video.hardware import find_encoder
from sgz.video.picture import Picture
from sgz.video.writer import Writer


def video_to_frames(options: Namespace) -> int:
    """Video to one image a frame; the exit code."""
    report = Report()
    name_of = frame_names(options.image_lowlight_folder)
    frames = 0
    with open_reader(options, report) as reader, new_bar(reader.count) as bar:
        claim_folder(name_of(0).parent, options.video_path)
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
        Writer(temporary, container_name, picture, find_encoder(encoding, picture)) as writer,
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

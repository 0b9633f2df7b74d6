"""What a video's frames are like, and frames of one format and size made of another's."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

HIGH_DEFINITION = 720  # lines; from here on RGB becomes YUV by BT.709, below by BT.601
PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273, table 3

PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le"}  # the same pixels, U and V apart


@dataclass(frozen=True)
class Picture:
    """What a video's frames are like, found from its first one; colour tags are H.273's numbers."""

    width: int
    height: int
    pix_fmt: str
    rate: Fraction
    time_base: Fraction
    aspect: Fraction | None
    interlaced: bool
    colour_range: int
    matrix: int
    primaries: int
    transfer: int
    display_matrix: tuple[int, ...] | None


def picture_of(frame, stream) -> Picture:
    """What the frames of a stream are like, from the first one that can be decoded."""
    side_data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    matrix, colour_range = int(frame.colorspace), int(frame.color_range)
    if frame.format.is_rgb or frame.format.name == "pal8":  # becomes YUV of limited range
        matrix, colour_range = 1 if frame.height >= HIGH_DEFINITION else 6, 1
    elif frame.format.name.startswith("yuvj"):
        colour_range = 2
    return Picture(
        frame.width,
        frame.height,
        PLANAR.get(frame.format.name, frame.format.name),
        stream.average_rate or stream.guessed_rate or Fraction(25),
        stream.time_base,
        stream.sample_aspect_ratio or None,
        frame.interlaced_frame,
        colour_range,
        matrix,
        int(frame.color_primaries),
        int(frame.color_trc),
        tuple(np.frombuffer(bytes(side_data), np.int32).tolist()) if side_data else None,
    )


def convert(frame, picture: Picture, pix_fmt: str):
    """A frame in the picture's size and another pixel format; RGB by the picture's matrix."""
    time, base, duration = frame.pts, frame.time_base, frame.duration
    untagged = 1 if picture.height >= HIGH_DEFINITION else 5
    matrix = {0: untagged, 2: untagged, 6: 5}.get(picture.matrix, picture.matrix)
    full = "JPEG" if picture.colour_range == 2 else "MPEG"
    if frame.format.is_rgb or frame.format.name == "pal8":
        colours = {"dst_colorspace": matrix, "dst_color_range": full}
    elif pix_fmt.startswith("rgb"):
        colours = {"src_colorspace": matrix, "src_color_range": full, "dst_color_range": "JPEG"}
    else:
        colours = {"src_color_range": full, "dst_color_range": full}
    result = frame.reformat(picture.width, picture.height, pix_fmt, **colours)
    result.pts, result.time_base, result.duration = time, base, duration
    return result

"""One video file that is read: what is in it, frame by frame, as far as it can be decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sgz.errors import UserError

HIGH_DEFINITION = 720  # lines; from here on RGB becomes YUV by BT.709, below by BT.601


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


def open_source(path: Path):
    """Open a video for reading: PyAV's container and the video stream to enhance.

    Raises:
        UserError: there is no such file, it is no video, or it has sound alone.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is not an ordinary file" if path.exists() else f"no such video: {path}",
            "source",
        )
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise UserError(
            f"{path} is no video that can be read ({error.strerror}); check that it plays"
        ) from error
    pictures = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not pictures:
        container.close()
        raise UserError(f"{path} has no video stream; give a file that shows moving pictures")
    if pictures[0].codec_context is None:
        container.close()
        raise UserError(f"{path} is coded in a way that cannot be decoded; convert it first")
    pictures[0].thread_type = "AUTO"
    return container, pictures[0]


def probe(path: Path) -> Picture:
    """What the frames of a video are like.

    Raises:
        UserError: it cannot be opened, or not one frame can be decoded.
    """
    container, stream = open_source(path)
    with container:
        frame = None
        try:
            for packet in container.demux(stream):
                frame = next(iter(decode_packet(packet)), None)
                if frame is not None:
                    break
        except av.error.FFmpegError:
            pass
        if frame is None:
            raise UserError(f"{path} holds no frame that can be decoded; check that it plays")
        side_data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
        matrix, colour_range = int(frame.colorspace), int(frame.color_range)
        if frame.format.is_rgb or frame.format.name == "pal8":  # becomes YUV of limited range
            matrix, colour_range = 1 if frame.height >= HIGH_DEFINITION else 6, 1
        elif frame.format.name.startswith("yuvj"):
            colour_range = 2
        return Picture(
            frame.width,
            frame.height,
            frame.format.name,
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


def decode_packet(packet) -> list:
    """The frames a packet completes; none if it is damaged."""
    try:
        return packet.decode()
    except (av.error.FFmpegError, EOFError):
        return []


class Reader:
    """The frames of a video, decoded one by one, and the packets of its other streams as they come.

    Args:
        path, picture: the video and what probe() says of it; every frame comes out in its size.
        pix_fmt: the pixel format frames come out in, planar YUV.
        note, damage: called with a sentence; see enhance_video.

    Raises:
        UserError: as open_source.
    """

    def __init__(
        self,
        path: Path,
        picture: Picture,
        note: Callable[[str], object],
        damage: Callable[[str], object],
    ):
        self.path, self.picture, self.note, self.damage = path, picture, note, damage
        self.container, self.video = open_source(path)
        self.packets = self.broken_packets = self.broken_frames = self.frames = 0
        self.end = 0.0  # of what was read of any stream, in seconds
        self.last: int | None = None  # presentation time of the last frame
        self.resized = False

    def read(self, pix_fmt: str) -> Iterator:
        """Yield frames of `pix_fmt`, planar YUV, and packets of other streams, in file order."""
        held = None  # a frame is let go when the next one says how long it is shown
        try:
            for packet in self.container.demux():
                self.take_time(packet)
                if packet.stream.index == self.video.index:
                    for frame in self.decode(packet):
                        frame = self.prepare(frame, pix_fmt)
                        if held is not None:
                            held.duration = frame.pts - held.pts
                            yield held
                        held = frame
                elif packet.size and (packet.dts is not None or packet.pts is not None):
                    yield packet
        except av.error.FFmpegError as error:
            self.damage(f"{self.path} cannot be read beyond {self.end:.1f} s ({error.strerror})")
        if held is not None:
            if self.video.duration:
                end = (self.video.start_time or 0) + self.video.duration
                held.duration = end - held.pts if end > held.pts else held.duration
            yield held
        self.report()

    def read_frames(self, pix_fmt: str) -> Iterator:
        """Yield the frames alone; `pix_fmt` may be RGB."""
        return (item for item in self.read(pix_fmt) if isinstance(item, av.VideoFrame))

    def take_time(self, packet) -> None:
        """Keep how far into the recording the packets reach."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base:
            self.end = max(self.end, float((time + (packet.duration or 0)) * packet.time_base))

    def decode(self, packet) -> list:
        """The frames a video packet completes; counts what is broken."""
        self.packets += packet.size > 0
        try:
            frames = packet.decode()
        except EOFError:
            return []
        except av.error.FFmpegError:
            self.broken_packets += 1
            return []
        self.broken_frames += sum(frame.is_corrupt for frame in frames)
        return frames

    def prepare(self, frame, pix_fmt: str):
        """A frame in the picture's size and in pix_fmt, timed after the one before it."""
        picture = self.picture
        time = frame.pts
        if time is None:  # a raw stream: count frames
            time = round(self.frames / picture.rate / picture.time_base)
        if self.last is not None and time <= self.last:
            time = self.last + 1
        self.last = frame.pts = time
        self.frames += 1
        size = frame.width, frame.height
        if size != (picture.width, picture.height) and not self.resized:
            self.resized = True
            self.note(
                f"the size changes from {picture.width}x{picture.height} to "
                f"{size[0]}x{size[1]} at {float(time * picture.time_base):.1f} s; "
                "it is scaled to the size at the start"
            )
        if size == (picture.width, picture.height) and frame.format.name == pix_fmt:
            return frame
        return convert(frame, picture, pix_fmt)

    def report(self) -> None:
        """Say what the file promises and does not have, once it is read to its end."""
        if self.broken_packets:
            self.damage(f"{self.broken_packets} packets of {self.path} could not be decoded")
        if self.broken_frames:
            self.damage(f"{self.broken_frames} frames of {self.path} are damaged")
        promised = len(self.video.index_entries or ()) or self.video.frames
        length = (self.container.duration or 0) / 1e6
        length += (self.container.start_time or 0) / 1e6
        if self.packets < promised:
            self.damage(f"{self.path} ends early: it has {self.packets} of {promised} frames")
        elif "matroska" in self.container.format.name and self.end < length - 0.5:
            self.damage(f"{self.path} ends early: it has {self.end:.1f} of {length:.1f} s")

    def close(self) -> None:
        self.container.close()


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

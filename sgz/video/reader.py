"""One video that is read: what is in it, frame by frame, as far as it can be decoded."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from sgz.errors import UserError
from sgz.files import is_pipe
from sgz.video.clock import Clock
from sgz.video.opening import find_pictures, open_container
from sgz.video.picture import Picture, convert, picture_of

MAX_PIXELS = 36_000_000  # of a frame: 8K; 40 of them are in memory


class Reader:
    """A video, opened once: its picture, its length, its frames one by one, and the packets of its
    other streams as they come. Nothing is read twice, so a pipe will do.

    Args:
        path: the video, or - for standard input.
        note, damage: called with a sentence; see enhance_video.
        max_pixels: larger frames are refused.
        start, duration: seconds of the recording to begin at, and to read; None reads to the end.
        live: frames are wanted at once: none waits to learn how long it is shown, and the decoder
            works on one at a time.
        hardware: decode on a graphics card where one can.

    Attributes:
        picture: what the frames are like; every frame comes out in its size.
        container, video: PyAV's, for tags and the like.

    Raises:
        UserError: there is no such file, it is no video, it has sound alone, not one frame can be
            decoded, or its frames are too large; from read, that a frame on the way is.
    """

    def __init__(
        self,
        path: str | Path,
        note: Callable[[str], object] = warnings.warn,
        damage: Callable[[str], object] = warnings.warn,
        max_pixels: int = MAX_PIXELS,
        start: float = 0.0,
        duration: float | None = None,
        live: bool = False,
        hardware: bool = False,
    ):
        self.path, self.note, self.damage, self.max_pixels = path, note, damage, max_pixels
        self.live, self.start = live, start
        self.window = None if duration is None else exact(duration)
        self.name = "standard input" if is_pipe(path) else path
        self.container = open_container(path, live, hardware)
        try:
            self.video = find_pictures(self.container, self.name)
            self.video.thread_type = "SLICE" if live else "AUTO"
            if live:
                self.video.codec_context.flags |= av.codec.context.Flags.low_delay
            self._check_size(self.video.codec_context)
            if start:
                self._seek(start)
            self.clock = Clock(self.container, exact(start))
            self.packets = self.broken_packets = self.broken_frames = self.frames = 0
            self.last: int | None = None  # presentation time of the last frame
            self.resized = False
            self._items = self._demux()
            self._first: list[tuple] = []  # what was read to find the picture
            self.picture = self._find_picture()
        except BaseException:
            self.container.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()

    def close(self) -> None:
        self.container.close()

    @property
    def length(self) -> float:
        """Seconds, as the header says or as far as is to be read; 0 where it is silent."""
        whole = (self.container.duration or 0) / 1e6
        left = max(whole + float(self.clock.moves[0]), 0.0)
        return left if self.window is None else min(float(self.window), left or float(self.window))

    @property
    def count(self) -> int | None:
        """How many frames the header promises, or the length and the rate make likely."""
        if self.video.frames and self.window is None and not self.clock.moves[0]:
            return self.video.frames
        rate = self.video.average_rate or self.video.guessed_rate
        return round(Fraction(self.length) * rate) if self.length and rate else None

    def read(self, pix_fmt: str) -> Iterator:
        """Yield frames of `pix_fmt`, planar YUV, and packets of other streams, in file order."""
        held = None  # a frame is let go when the next one says how long it is shown
        try:
            for packet, frames in chain(self._first, self._items):
                for frame in frames or ():
                    frame = self._prepare(frame, pix_fmt)
                    if frame is None:
                        continue
                    if self.live:
                        frame.duration = 0
                        yield frame
                        continue
                    if held is not None:
                        held.duration = frame.pts - held.pts
                        yield held
                    held = frame
                if frames is None and self._is_wanted(packet):
                    yield packet
                if self._is_past(packet):
                    break
        except av.error.FFmpegError as error:
            end = float(self.clock.end)
            self.damage(f"{self.name} cannot be read beyond {end:.1f} s ({error.strerror})")
        if held is not None:
            if self.video.duration and not self.clock.moves[0] and len(self.clock.moves) == 1:
                end = (self.video.start_time or 0) + self.video.duration
                held.duration = end - held.pts if end > held.pts else held.duration
            yield held
        if not self.frames and (start := -self.clock.moves[0]):
            raise UserError(f"{self.name} ends before {float(start):g} s", "start")
        self._report()

    def read_frames(self, pix_fmt: str) -> Iterator:
        """Yield the frames alone; `pix_fmt` may be RGB."""
        return (item for item in self.read(pix_fmt) if isinstance(item, av.VideoFrame))

    def read_packets(self) -> Iterator:
        """Yield the packets of the other streams alone, in file order; nothing is decoded."""
        self.video.codec_context.skip_frame = "ALL"
        with suppress(av.error.FFmpegError):  # read() has told
            for packet, frames in chain(self._first, self._items):
                if frames is None and self._is_wanted(packet):
                    yield packet
                if self._is_past(packet):
                    break

    def reopen(self) -> "Reader":
        """The same part of the same file from its beginning; it says nothing a second time."""
        window = None if self.window is None else float(self.window)
        told: list[str] = []
        return Reader(self.path, told.append, told.append, self.max_pixels, self.start, window)

    def read_times(self) -> list[int]:
        """When each frame is shown, in the picture's time base; nothing is decoded for it."""
        self.video.codec_context.skip_frame = "ALL"
        packets = [packet for packet, _ in chain(self._first, self._items)]
        return sorted(
            packet.pts
            for packet in packets
            if packet.stream.index == self.video.index and packet.pts is not None
        )

    def _find_picture(self) -> Picture:
        """Read to the first frame; all that was read is kept for read()."""
        with suppress(av.error.FFmpegError):
            for packet, frames in self._items:
                self._first.append((packet, frames))
                if frames:
                    return picture_of(frames[0], self.video)
        raise UserError(f"{self.name} holds no frame that can be decoded; check that it plays")

    def _demux(self) -> Iterator[tuple]:
        """(packet, the frames that it completes), None for a packet of another stream."""
        for packet in self.container.demux():
            if self.clock.take(packet):
                self.note(
                    f"the clock of {self.name} starts again at {float(self.clock.end):.1f} s; "
                    "it is continued"
                )
            yield packet, self._decode(packet) if packet.stream.index == self.video.index else None

    def _decode(self, packet) -> list:
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

    def _prepare(self, frame, pix_fmt: str):
        """A frame in the picture's size and in pix_fmt, timed after the one before it; None if it
        is outside the part to be read."""
        picture = self.picture
        self._check_size(frame)
        time = frame.pts
        if time is None:  # a raw stream: count frames
            time = round(self.frames / picture.rate / picture.time_base)
        if self.last is not None and time <= self.last:
            time = self.last + 1
        if not self._is_inside(time * picture.time_base):
            return None
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

    def _seek(self, start: float) -> None:
        """Go to the last key frame before `start`."""
        if is_pipe(self.path):
            return  # what comes before is read and let go
        first = self.container.start_time or 0
        with suppress(av.error.FFmpegError):  # not seekable: the same
            self.container.seek(int(start * 1e6) + first)

    def _is_inside(self, time: Fraction) -> bool:
        """Whether a moment is in the part to be read."""
        if not self.clock.moves[0] and self.window is None:
            return True
        time -= Fraction(self.container.start_time or 0, 1_000_000)
        return time >= 0 and (self.window is None or time < self.window)

    def _is_wanted(self, packet) -> bool:
        """Whether another stream's packet has content, a time, and belongs to the part read."""
        time = packet.pts if packet.pts is not None else packet.dts
        return bool(packet.size and time is not None and self._is_inside(time * packet.time_base))

    def _is_past(self, packet) -> bool:
        """Whether no frame that is wanted can follow."""
        if self.window is None or packet.dts is None or packet.stream.index != self.video.index:
            return False
        begin = Fraction(self.container.start_time or 0, 1_000_000)
        return packet.dts * packet.time_base - begin > self.window + 1

    def _check_size(self, picture) -> None:
        """Refuse frames that would fill the memory."""
        if picture.width * picture.height > self.max_pixels:
            raise UserError(
                f"{self.name} is {picture.width}x{picture.height}, over the limit of "
                f"{self.max_pixels / 1e6:.0f} megapixels a frame",
                "max_pixels",
            )

    def _report(self) -> None:
        """Say what the file promises and does not have, once it is read to its end."""
        if self.broken_packets:
            self.damage(f"{self.broken_packets} packets of {self.name} could not be decoded")
        if self.broken_frames:
            self.damage(f"{self.broken_frames} frames of {self.name} are damaged")
        if self.window is not None or self.clock.moves[0] or is_pipe(self.path):
            return
        promised = len(self.video.index_entries or ()) or self.video.frames
        length = (self.container.duration or 0) / 1e6
        length += (self.container.start_time or 0) / 1e6
        if self.packets < promised:
            self.damage(f"{self.name} ends early: it has {self.packets} of {promised} frames")
        elif "matroska" in self.container.format.name and self.clock.end < length - 0.5:
            end = float(self.clock.end)
            self.damage(f"{self.name} ends early: it has {end:.1f} of {length:.1f} s")


def exact(seconds: float) -> Fraction:
    """Seconds as they were written: 0.8 is 8/10, which the nearest float is not quite."""
    return Fraction(seconds).limit_denominator(1_000_000)

"""A video streamed through the enhancer: decode, enhance and encode, each in a thread of its own.

    enhance_video(Enhancer("weight/Epoch99.pth"), "dark.mp4", "bright.mp4")

No frame goes to disk, and a fixed number of them is in memory, however long the video is.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

import curve
import curve_yuv
from encoding import (
    CODECS,
    MP4_TAGS,
    Encoding,
    can_hold,
    choose_format,
    container_of,
    encoder_options,
    kept_tags,
    working_format,
)
from enhancer import Enhancer
from hardware import count_cores
from movie import Picture, Reader, convert, probe
from smoothing import FactorSmoother
from utils import UserError, ahead, write_whole

AHEAD = 6  # frames and packets that a thread may be ahead of the next one


def enhance_video(
    enhancer: Enhancer,
    source: str | Path,
    target: str | Path,
    encoding: Encoding | None = None,
    smoothing: float = 0.5,
    keep_partial: bool = False,
    progress: Callable[[int], object] = lambda frames: None,
    note: Callable[[str], object] = warnings.warn,
    damage: Callable[[str], object] = warnings.warn,
) -> int:
    """Enhance a video into another file, with its sound and all else that it came with.

    Args:
        encoding: codec, quality and pixel format; H.264 at visually lossless quality if left out.
        smoothing: how many seconds each way a frame's factor map is averaged; 0 takes each
            frame alone.
        keep_partial: when interrupted, complete the file with what was encoded so far.
        progress: called with the number of frames written.
        note: called with a sentence for what the output does differently (a stream left out, …).
        damage: called with a sentence for what of the source could not be read. What could be
            is in the output all the same.

    Returns:
        The number of frames written.

    Raises:
        UserError: the source is no video, or the target cannot be written; there is no target.
        KeyboardInterrupt: there is no target, or with keep_partial a shorter one.
    """
    import av

    source, target, encoding = Path(source), Path(target), encoding or Encoding()
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target} is the input itself; choose another --save_path")
    container_name = container_of(target, CODECS[encoding.codec])
    picture = probe(source)
    frames, interrupted = 0, False

    def write(temporary: Path) -> None:
        nonlocal frames, interrupted
        writer = Writer(temporary, container_name, picture, encoding)
        for sentence in (*conversions(picture, encoding, writer), *writer.copy_from(reader)):
            note(sentence)
        working = working_format(writer.pix_fmt, picture.pix_fmt)
        decoded = ahead(reader.read(working), AHEAD)
        items = ahead(enhance_frames(enhancer, decoded, picture, smoothing), AHEAD)
        with writer, closing(items):
            try:
                for item in items:
                    if isinstance(item, av.VideoFrame):
                        writer.write_frame(item)
                        frames += 1
                        progress(frames)
                    else:
                        writer.write_packet(item)
            except KeyboardInterrupt:
                if not (keep_partial and frames):
                    raise
                interrupted = True
                items.close()
            writer.finish()

    with closing(Reader(source, picture, note, damage)) as reader:
        write_whole(target, write)
    if interrupted:
        raise KeyboardInterrupt
    return frames


def conversions(picture: Picture, encoding: Encoding, writer: "Writer") -> Iterator[str]:
    """A sentence for each way in which the frames are not stored as they came."""
    if writer.pix_fmt.replace("j", "") != picture.pix_fmt.replace("j", ""):
        yield f"the frames are converted from {picture.pix_fmt} to {writer.pix_fmt}"
    if writer.pix_fmt not in ("yuv420p", "yuvj420p"):
        yield f"not every browser plays {writer.pix_fmt}; --pix_fmt yuv420p plays everywhere"
    if picture.interlaced and not CODECS[encoding.codec].interlacing:
        yield f"the source is interlaced, which {encoding.codec} does not mark; h264 does"
    in_bitstream = encoding.codec in ("h264", "hevc") or writer.name in ("mp4", "mov")
    if picture.aspect not in (None, 1) and not in_bitstream:
        yield f"the pixel aspect {picture.aspect} is lost in {writer.name}; .mp4 keeps it"


def enhance_frames(
    enhancer: Enhancer, items: Iterable, picture: Picture, smoothing: float
) -> Iterator:
    """Enhance the frames among `items` in place; the rest passes by."""
    import av

    smoother = FactorSmoother(enhancer.factor_of_small, smoothing)
    shares = curve_yuv.shares_of_matrix(picture.matrix, picture.height)
    bands = max(count_cores() // 2, 1)
    scale = enhancer.scale_factor

    def find_factors() -> Iterator[tuple]:
        """(item, its factor map), None for what is to pass."""
        for item in items:
            if isinstance(item, av.VideoFrame) and enhancer.strength:
                planes = planes_of(item, picture, shares)
                cells = curve.read_cells(planes.read, (planes.height, planes.width), scale)
                time = float(item.pts * item.time_base)
                yield from smoother.add(item, planes.to_rgb(cells), time)
            else:
                yield item, None
        yield from smoother.finish()

    with closing(items), ThreadPoolExecutor(bands) as pool:
        for item, factor in find_factors():
            if factor is not None:
                item.make_writable()  # the decoder may go on to read it
                planes = planes_of(item, picture, shares)
                curve_yuv.apply_factor(planes, factor, scale, enhancer.iterations, pool, bands)
            yield item


def planes_of(frame, picture: Picture, shares: tuple[float, float]) -> curve_yuv.Planes:
    """A view of a planar YUV frame of 8 to 16 bits."""
    form = frame.format
    bits = form.components[0].bits
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    arrays = tuple(
        np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)
        for plane in frame.planes
    )
    return curve_yuv.Planes(
        arrays,
        frame.width,
        frame.height,
        bits,
        (16 // form.chroma_width(16), 16 // form.chroma_height(16)),
        shares,
        picture.colour_range == 2,
        picture.interlaced,
    )


class Writer:
    """A video file being written: encoded frames, and packets of the source's other streams.

    Args:
        path: where to write, under any name. container_name: from container_of.

    Raises:
        UserError: the encoder refuses the settings, or, from any method, the disk the data.
    """

    def __init__(self, path: Path, container_name: str, picture: Picture, encoding: Encoding):
        import av

        codec = CODECS[encoding.codec]
        self.name, self.picture = container_name, picture
        self.pix_fmt = encoding.pix_fmt or choose_format(
            picture.pix_fmt, (picture.width, picture.height), codec
        )
        self.options = {"movflags": "+faststart"} if container_name in ("mp4", "mov") else {}
        self.file = av.open(str(path), "w", format=container_name, container_options=self.options)
        self.stream = self.file.add_stream(codec.encoder, picture.rate, encoder_options(encoding))
        self.copies: dict[int, object] = {}
        self.last: dict[int, int] = {}  # decoding time of each copied stream's last packet
        self.held = None  # the last encoded packet
        self.first_dts = 0  # of the encoded packets
        self.start, self.end = None, 0  # of the frames, in the picture's time base
        context = self.stream.codec_context
        context.width, context.height = picture.width, picture.height
        try:
            context.pix_fmt = self.pix_fmt
        except ValueError:
            raise UserError(f"no such pixel format: --pix_fmt {self.pix_fmt}") from None
        context.thread_type = "AUTO"  # whole frames side by side: PyAV's slices wait for each other
        context.time_base = picture.time_base
        context.sample_aspect_ratio = picture.aspect or 0
        context.color_range, context.colorspace = picture.colour_range, picture.matrix
        context.color_primaries, context.color_trc = picture.primaries, picture.transfer
        if encoding.codec == "hevc" and container_name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the tag that Apple's players know
        flags = av.codec.context.Flags
        context.flags |= flags.frame_duration
        if encoding.codec == "av1":
            os.environ.setdefault("SVT_LOG", "1")  # or it prints its settings; 1 is errors alone
        if picture.interlaced and codec.interlacing:
            context.flags |= flags.interlaced_dct | flags.interlaced_me
        self.stream.set_display_matrix(picture.display_matrix)
        try:
            context.open()
        except av.error.FFmpegError as error:
            raise UserError(
                f"{codec.encoder} refuses {picture.width}x{picture.height} {self.pix_fmt} with "
                f"{encoder_options(encoding)}; see --codec, --crf, --preset and --pix_fmt"
            ) from error

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback) -> None:
        import av

        with suppress(av.error.FFmpegError):  # after finish() there is nothing left to fail
            self.file.close()
        if isinstance(error, av.error.FFmpegError):
            raise UserError(
                f"the video cannot be written ({error.strerror}); see that the disk has room, "
                "or choose another --save_path"
            ) from error

    def copy_from(self, reader: Reader) -> Iterator[str]:
        """Take over tags, chapters and the other streams; yields a sentence for each left out."""
        source, video = reader.container, reader.video
        tags = kept_tags(source.metadata)
        self.file.metadata.update(tags)
        if self.options and not MP4_TAGS.issuperset(tags):
            self.file.container_options["movflags"] = "+faststart+use_metadata_tags"
        chapters = source.chapters()
        self.file.set_chapters(chapters)
        self.stream.metadata.update(kept_tags(video.metadata))
        self.stream.disposition = video.disposition
        for stream in source.streams:
            if stream.index == video.index:
                continue
            if chapters and stream.type == "data" and "mp4" in source.format.name:
                continue  # the titles of the chapters, which are written anew
            if not can_hold(self.name, stream):
                codec = stream.codec_context.name if stream.codec_context else "unknown"
                yield (
                    f"stream {stream.index} ({stream.type}, {codec}) cannot go into {self.name} "
                    "and is left out; a name in .mkv holds more"
                )
                continue
            copy = self.file.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(kept_tags(stream.metadata))
            copy.disposition = stream.disposition
            self.copies[stream.index] = copy

    def write_frame(self, frame) -> None:
        """Encode a frame; its time is in the picture's time base."""
        if frame.format.name != self.pix_fmt:
            frame = convert(frame, self.picture, self.pix_fmt)
        frame.pict_type = 0  # the encoder decides anew
        self.start = frame.pts if self.start is None else self.start
        self.end = frame.pts + frame.duration
        self.write_pictures(self.stream.encode(frame))

    def write_pictures(self, packets: list, last: bool = False) -> None:
        """Write encoded packets, but for one that is kept until it is known not to be the last."""
        for packet in packets:
            if self.held is None:
                self.first_dts = packet.dts
            else:
                self.file.mux(self.held)
            self.held = packet
        if last and self.held is not None:
            # An MP4 track is as long as its packets in coding order are, not in order of showing.
            length, coded = self.end - self.start, self.held.dts - self.first_dts
            self.held.duration = max(length - coded, 1)
            self.file.mux(self.held)

    def write_packet(self, packet) -> None:
        """Copy a packet of another stream of the source, if the container holds that stream."""
        stream = self.copies.get(packet.stream.index)
        if stream is None:
            return
        if packet.dts is None:
            packet.dts = packet.pts
        last = self.last.get(stream.index)
        if last is not None and packet.dts <= last:  # a damaged source; no container takes this
            packet.dts = last + 1
            packet.pts = max(packet.pts or 0, packet.dts)
        self.last[stream.index] = packet.dts
        packet.stream = stream
        self.file.mux(packet)

    def finish(self) -> None:
        """Encode what the encoder still holds and complete the file."""
        self.write_pictures(self.stream.encode(None), last=True)
        self.file.close()

"""One video file that is being written: encoded frames, and the source's other streams."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from sgz.errors import UserError
from sgz.files import is_pipe
from sgz.video.formats import (
    CODECS,
    DISK_ERRORS,
    MP4_TAGS,
    Encoder,
    can_hold,
    kept_tags,
    usual_layout,
)
from sgz.video.picture import Picture, convert
from sgz.video.reader import Reader


class Writer:
    """A video file being written: encoded frames, and packets of the source's other streams.

    Args:
        path: where to write, under any name, or - for standard output. container_name: from
            container_of. encoder: from find_encoder.

    Raises:
        UserError: the encoder refuses the settings, or, from any method, the disk the data.
    """

    def __init__(self, path: Path, container_name: str, picture: Picture, encoder: Encoder):
        self.name, self.picture, self.encoder = container_name, picture, encoder
        self.options = {"movflags": "+faststart"} if container_name in ("mp4", "mov") else {}
        self.piped, name = is_pipe(path), str(path)
        if self.piped:
            name, self.options = "pipe:1", {"flush_packets": "1"}
        self.file = av.open(name, "w", format=container_name, container_options=self.options)
        self.stream = self.file.add_stream(encoder.name, picture.rate, encoder.options)
        self.copies: dict[int, object] = {}
        self.copied: dict[int, str] = {}  # each copied stream's name in a sentence
        self.last: dict[int, int] = {}  # decoding time of each copied stream's last packet
        self.held = None  # the last encoded packet
        self.first_dts = 0  # of the encoded packets
        self.start, self.end = None, 0  # of the frames, in the picture's time base
        context = self.stream.codec_context
        context.width, context.height = picture.width, picture.height
        try:
            context.pix_fmt = encoder.stored
        except ValueError:
            raise UserError(f"no such pixel format: {encoder.stored}", "pix_fmt") from None
        context.thread_type = "AUTO"  # whole frames side by side: PyAV's slices wait for each other
        context.time_base = picture.time_base
        context.sample_aspect_ratio = picture.aspect or 0
        context.color_range, context.colorspace = picture.colour_range, picture.matrix
        context.color_primaries, context.color_trc = picture.primaries, picture.transfer
        if encoder.codec == "hevc" and container_name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the tag that Apple's players know
        flags = av.codec.context.Flags
        context.flags |= flags.frame_duration
        if picture.interlaced and CODECS[encoder.codec].interlacing:
            context.flags |= flags.interlaced_dct | flags.interlaced_me
        self.stream.set_display_matrix(picture.display_matrix)
        try:
            context.open()
        except av.error.FFmpegError as error:
            raise UserError(
                f"{encoder.name} refuses {picture.width}x{picture.height} {encoder.stored} with "
                f"{encoder.options}",
                "encoding",
            ) from error

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback) -> None:
        with suppress(av.error.FFmpegError):  # after finish() there is nothing left to fail
            self.file.close()
        if isinstance(error, av.error.FFmpegError):
            raise self._refusal(error, "the picture") from error

    def _refusal(self, error: Exception, what: str, log: list | None = None) -> UserError:
        """What FFmpeg's error means for the person.

        Args:
            what: that could not be written.
            log: what FFmpeg said besides.
        """
        if self.piped:
            return UserError("nobody reads standard output any more")
        if error.errno in DISK_ERRORS:
            trouble = f"the video cannot be written ({error.strerror}); see that the disk has room"
            return UserError(trouble, "target")
        cause = next((line.strip() for _, _, line in log or ()), error.strerror)
        return UserError(f"{what} cannot be written into {self.name} ({cause})", "container")

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn FFmpeg's error over the streams together into a sentence with its cause, which it
        tells its log alone."""
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture() as log:
                yield
        except av.error.FFmpegError as error:
            names = list(self.copied.values())
            one_of = "one of " if len(names) > 1 else ""
            raise self._refusal(error, one_of + (", ".join(names) or "the picture"), log) from error
        finally:
            av.logging.set_level(level)

    def copy_from(self, reader: Reader) -> Iterator[str]:
        """Take over tags, chapters and the other streams; yields a sentence for each left out."""
        source, video = reader.container, reader.video
        tags = kept_tags(source.metadata)
        self.file.metadata.update(tags)
        if "movflags" in self.options and not MP4_TAGS.issuperset(tags):
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
            codec = stream.codec_context.name if stream.codec_context else "unknown"
            name = f"stream {stream.index} ({stream.type}, {codec})"
            if not can_hold(self.name, stream):
                yield (
                    f"{name} cannot go into {self.name} and is left out; a name in .mkv holds more"
                )
                continue
            copy = self.file.add_stream_from_template(stream, opaque=True)
            if stream.type == "audio" and (layout := usual_layout(stream.codec_context)):
                copy.codec_context.layout = layout
            copy.metadata.update(kept_tags(stream.metadata))
            copy.disposition = stream.disposition
            self.copies[stream.index], self.copied[stream.index] = copy, name
        with self._naming():
            self.file.start_encoding()

    def write_frame(self, frame) -> None:
        """Encode a frame; its time is in the picture's time base."""
        if frame.format.name != self.encoder.stored:
            frame = convert(frame, self.picture, self.encoder.stored)
        frame.pict_type = 0  # the encoder decides anew
        self.start = frame.pts if self.start is None else self.start
        self.end = frame.pts + frame.duration
        self.write_pictures(self.stream.encode(frame))

    def write_pictures(self, packets: list, last: bool = False) -> None:
        """Write encoded packets, but for one that is kept until it is known not to be the last."""
        for packet in packets:
            if self.piped:  # at once
                self.file.mux(packet)
                continue
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

    def write_coded(self, packet) -> None:
        """Write a frame that a writer of the same encoder has coded."""
        packet.stream = self.stream
        self.write_pictures([packet])

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
        name, packet.stream = self.copied[packet.stream.index], stream
        try:
            self.file.mux(packet)
        except av.error.FFmpegError as error:
            raise self._refusal(error, name) from error

    def finish(self) -> None:
        """Encode what the encoder still holds and complete the file."""
        self.write_pictures(self.stream.encode(None), last=True)
        with self._naming():
            self.file.close()

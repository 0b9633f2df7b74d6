"""A long video enhanced in segments, so that one that was stopped goes on where it was.

    with Reader("film.mp4") as reader:
        enhance_in_segments(Enhancer(), reader, "bright.mp4")

Segments lie in bright.mp4.parts until all are there; then they are put together without being coded
again. To go on, the frames that are done are read again, since the later ones depend on them, but
neither enhanced nor encoded.
"""

import hashlib
import heapq
import io
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from sgz import __version__
from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.files import is_pipe, whole_file, write_whole
from sgz.threads import prefetch
from sgz.video.formats import CODECS, Encoder, Encoding, container_of, working_format
from sgz.video.frames import Checkpoint, enhance_frames
from sgz.video.hardware import find_encoder
from sgz.video.reader import Reader
from sgz.video.stream import PREFETCHED, conversions
from sgz.video.writer import Writer

LENGTH = 250  # frames of a segment: what a stop loses at most


class Segments:
    """What is done of a video, in a folder.

    Segment 3 is 000003.nut, its coded frames alone; 000003.npz tells where it ends, and what the
    frames after it need of those before.

    Args:
        settings: what must be as it was for going on.

    Raises:
        UserError: the folder is of another video or of other settings.
    """

    def __init__(self, folder: Path, settings: dict):
        self.folder = folder
        record = folder / "settings.json"
        text = json.dumps(settings, indent=1, sort_keys=True)
        if record.exists() and record.read_text() != text:
            raise UserError(f"{folder} is of another video or of other settings", "segments")
        write_whole(record, text.encode())
        self.paths: list[Path] = []
        while (path := self._next()).exists():
            self.paths.append(path)
        self.starts: list[int] = []  # when each segment's first frame is shown
        self.end = 0  # when the last frame is no longer
        self.reached = Checkpoint()
        if self.paths:
            with np.load(self.paths[-1].with_suffix(".npz")) as stored:
                arrays = dict(stored)
            self.starts, self.end = arrays.pop("starts").tolist(), int(arrays.pop("end"))
            self.reached = Checkpoint(int(arrays.pop("frames")), arrays)

    def _next(self) -> Path:
        return self.folder / f"{len(self.paths):06}.nut"

    def write(
        self,
        items: Iterable,
        open_writer: Callable[[Path], Writer],
        progress: Callable[[int], object],
    ) -> None:
        """Write enhanced frames, a segment up to each Checkpoint; other items are passed over."""
        items, frames = iter(items), self.reached.frames
        for first in items:
            if not isinstance(first, av.VideoFrame):
                continue
            path = self._next()
            with whole_file(path, durable=True) as temporary, open_writer(temporary) as writer:
                for item in chain((first,), items):
                    if isinstance(item, Checkpoint):
                        break
                    if isinstance(item, av.VideoFrame):
                        writer.write_frame(item)
                        frames += 1
                        progress(frames)
                writer.finish()
                self._keep(item, path, writer)
            self.paths.append(path)

    def _keep(self, reached: Checkpoint, path: Path, writer: Writer) -> None:
        """Write where a segment ends; of the one before it is no longer needed."""
        self.starts.append(writer.start)
        self.end, self.reached = writer.end, Checkpoint(reached.frames)
        known = {"frames": reached.frames, "starts": self.starts, "end": self.end}
        content = io.BytesIO()
        np.savez(content, **known, **reached.memory)
        write_whole(path.with_suffix(".npz"), content.getbuffer(), durable=True)
        for older in self.paths[:-1]:
            older.with_suffix(".npz").unlink(missing_ok=True)

    def packets(self, time_base: Fraction, container_name: str) -> Iterator:
        """The coded frames of all segments, as packets for a container.

        NUT begins at zero or later, and does not tell when each frame is to be decoded; that is, as
        encoders have it, when the one is shown that comes so many before it as frames are coded out
        of their order.
        """
        shown = [time for time, _ in self._demux(time_base)]
        times = sorted(shown)
        ranks = {time: rank for rank, time in enumerate(times)}
        delay = max(place - ranks[time] for place, time in enumerate(shown))
        step = times[1] - times[0] if delay else 0
        times = [times[0] - step * back for back in range(delay, 0, -1)] + times
        for (time, packet), decoded in zip(self._demux(time_base), times, strict=False):
            packet.time_base, packet.pts, packet.dts = time_base, time, decoded
            if container_name == "mpegts":  # wants the encoder's settings among the frames
                with_settings = BitStreamFilterContext("dump_extra", packet.stream)
                yield from with_settings.filter(packet)
            else:
                yield packet

    def _demux(self, time_base: Fraction) -> Iterator[tuple[int, object]]:
        """(when it is shown, packet) of all segments."""
        for path, start in zip(self.paths, self.starts, strict=True):
            with av.open(str(path)) as container:
                packets = [packet for packet in container.demux(video=0) if packet.size]
                first = min(packet.pts for packet in packets)
                for packet in packets:
                    yield start + round((packet.pts - first) * packet.time_base / time_base), packet


def enhance_in_segments(
    enhancer: Enhancer,
    reader: Reader,
    target: str | Path,
    encoding: Encoding | None = None,
    smoothing: float = 0.5,
    progress: Callable[[int], object] = lambda frames: None,
    note: Callable[[str], object] = warnings.warn,
) -> int:
    """enhance_video, but what is done when it stops, for whatever reason, is kept beside the target
    and gone on from by the same call. The frames are those of a call that was never stopped.

    Raises:
        UserError: as enhance_video; a pipe; what is kept is of another video or other settings.
    """
    target, encoding = Path(target), encoding or Encoding()
    if is_pipe(reader.path) or is_pipe(target) or reader.live:
        raise UserError("a pipe cannot be gone on with; name files", "segments")
    container_name, picture = container_of(target, CODECS[encoding.codec]), reader.picture
    encoder = find_encoder(encoding, picture)
    folder = target.with_name(f"{target.name}.parts")
    with reader:
        segments = Segments(folder, settings_of(enhancer, reader, encoder, smoothing))
        for sentence in conversions(picture, encoder, container_name, False, encoding.hardware):
            note(sentence)
        decoded = prefetch(
            reader.read(working_format(encoder.pix_fmt, picture.pix_fmt)), PREFETCHED
        )
        frames = enhance_frames(
            enhancer, decoded, picture, smoothing, reached=segments.reached, every=LENGTH
        )
        progress(segments.reached.frames)
        with closing(prefetch(frames, PREFETCHED)) as items:
            try:
                segments.write(items, lambda path: Writer(path, "nut", picture, encoder), progress)
            except KeyboardInterrupt:
                done = segments.reached.frames
                note(f"{done} frames are kept in {folder}; the same command goes on")
                raise
    with (
        whole_file(target) as temporary,
        reader.reopen() as other,
        Writer(temporary, container_name, picture, encoder) as writer,
    ):
        for sentence in writer.copy_from(other):
            note(sentence)
        coded = (
            (packet, writer.write_coded)
            for packet in segments.packets(picture.time_base, container_name)
        )
        copied = ((packet, writer.write_packet) for packet in other.read_packets())
        for packet, write in heapq.merge(coded, copied, key=time_of):
            write(packet)
        writer.start, writer.end = segments.starts[0], segments.end
        writer.finish()
    shutil.rmtree(folder)
    return segments.reached.frames


def time_of(entry: tuple) -> float:
    """When a packet, the first of an entry, is to be decoded, in seconds."""
    packet = entry[0]
    time = packet.pts if packet.dts is None else packet.dts
    return float(time * packet.time_base)


def settings_of(enhancer: Enhancer, reader: Reader, encoder: Encoder, smoothing: float) -> dict:
    """All that the frames depend on."""
    status = Path(reader.path).stat()
    ramp = np.linspace(0, 1, 3 * 24 * 32, dtype=np.float32).reshape(24, 32, 3)
    return {
        "version": __version__,
        "source": [str(Path(reader.path).resolve()), status.st_size, status.st_mtime_ns],
        "part": [reader.start, str(reader.window)],
        "encoder": asdict(encoder),
        "smoothing": smoothing,
        "look": asdict(enhancer.look),
        "method": [enhancer.strength, enhancer.iterations, enhancer.scale_factor],
        "network": hashlib.sha256(enhancer.factor_of_small(ramp).tobytes()).hexdigest(),
    }

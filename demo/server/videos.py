"""Videos: enhanced within limits, and their dark originals written anew for the comparison."""

import os
import time
from contextlib import suppress
from pathlib import Path

import av

from demo.server.gallery import facts_in_words
from demo.server.sessions import Session, Sessions, address, safe_name
from sgz.errors import UserError
from sgz.video.formats import Encoding
from sgz.video.opening import find_pictures, open_container
from sgz.video.reader import Reader
from sgz.video.stream import enhance_video

MAX_FRAME = 4096 * 2304  # pixels
MAX_RATE = 60  # frames a second that the limit in seconds counts with
PLAYED = ("h264", "hevc", "av1", "vp9")  # what some browser plays in an .mp4


class Stopped(Exception):
    """A video's owner wants it no more."""


class Videos:
    """What the Video tab can do; errors are UserError.

    Args:
        enhancer: an Enhancer.
        max_seconds: of a video.
    """

    def __init__(self, enhancer, sessions: Sessions, max_seconds: float):
        self.enhancer, self.sessions, self.max_seconds = enhancer, sessions, max_seconds

    def receive(self, session: Session, upload: str, name: str) -> None:
        """Take an upload as the session's video."""
        session.clip = (self.sessions.take_upload(upload, session, "clip"), name)

    def take_sample(self, session: Session, path: Path) -> None:
        """The same for a file of ours."""
        target = session.new_name("clip")
        target.write_bytes(path.read_bytes())
        session.clip = (target, path.name)

    def enhance(self, session: Session, progress) -> tuple[dict, list[str]]:
        """Enhance the session's video: the player's value, and what is to be said about it.

        Raises:
            Stopped: its owner pressed the button, or closed the page.
        """
        source, name = session.clip
        try:
            path, picture, sentences = self._enhance(session, source, name, progress)
        except UserError as error:
            source.unlink(missing_ok=True)
            raise UserError(str(error).replace(str(source), "it")) from error
        session.drop_before(source)
        before = session.new_place("original", "before.mp4")
        value = {
            "before": address(before) if rewrap(source, before) else "",
            "after": address(path),
            "name": path.name,
            "facts": facts_in_words((picture.width, picture.height), path.stat().st_size),
            "width": picture.width,
            "height": picture.height,
        }
        session.clear("video", 1)
        session.clear("original", 1)
        return value, [sentence.replace(str(source), "it") for sentence in sentences]

    def _enhance(self, session: Session, source: Path, name: str, progress):
        sentences: list[str] = []
        with Reader(source, sentences.append, sentences.append, MAX_FRAME) as reader:
            picture, seconds = reader.picture, reader.length
            if seconds > self.max_seconds:
                raise UserError(f"{seconds:.0f} seconds are over the limit of {self.max_seconds:g}")
            even = picture.width % 2 == picture.height % 2 == 0
            stem = os.path.splitext(safe_name(name))[0]
            target = session.new_place("video", f"{stem}-bright.mp4")
            enhance_video(
                session.settings.tuned(self.enhancer),
                reader,
                target,
                Encoding(pix_fmt="yuv420p" if even else None),  # what every browser plays
                progress=self._watch(session, progress, reader.count or 0),
                note=sentences.append,
                damage=sentences.append,
            )
        return target, picture, sentences

    def _watch(self, session: Session, progress, total: int):
        """What a video calls with its count of frames: shows it, and stops where it must."""
        session.stop = False
        start = shown = time.monotonic()

        def count(frames: int) -> None:
            nonlocal shown
            if frames > self.max_seconds * MAX_RATE:  # a header can lie
                raise UserError(f"it has more than {self.max_seconds * MAX_RATE:.0f} frames")
            if session.closed or session.stop:  # the page was closed, or its button pressed
                raise Stopped
            now = time.monotonic()
            if now - shown > 0.25:
                shown = session.used = now
                rate = frames / (now - start)
                progress((frames, max(total, frames)), desc=f"{rate:.0f} frames a second")

        return count


def rewrap(source: Path, target: Path) -> bool:
    """Copy a video's picture, without decoding, into a file of ours; whether a browser may play it.

    The upload itself is never served.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        container = open_container(source)
        with container, av.open(str(target), "w", format="mp4") as output:
            stream = find_pictures(container, source)
            if stream.codec_context.name not in PLAYED:
                return False
            copy = output.add_stream_from_template(stream)
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    output.mux(packet)
    except (av.error.FFmpegError, ValueError, UserError):
        with suppress(OSError):
            target.unlink()
        return False
    return True

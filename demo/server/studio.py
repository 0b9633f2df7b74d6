"""What the demo does for its visitors: photographs, videos, the camera's pictures."""

import base64
import html
import io
import os
import threading
import time
from contextlib import suppress
from copy import copy
from pathlib import Path
from urllib.parse import quote

import numpy as np

from demo.server.sessions import (
    Session,
    Sessions,
    Sheet,
    brighten_preview,
    encode_preview,
    finish,
    load_sheet,
    new_sheet,
    paint_factor,
    safe_name,
)
from sgz.errors import UserError
from sgz.image.photo import output_name
from sgz.video.formats import Encoding
from sgz.video.reader import Reader
from sgz.video.stream import enhance_video

STRENGTHS, ROUNDS = (0.0, 1.5), (1, 16)
MAX_FRAME = 4096 * 2304  # pixels of a video's frame
MAX_RATE = 60  # frames a second that the limit in seconds counts with
MAX_CAMERA = 1280 * 960  # pixels of a camera's picture


class Studio:
    """What the page can do, for one visitor or another; errors are UserError or ImageError.

    Args:
        enhancer: an Enhancer.
        root: an empty temporary folder.
        max_pixels: of a photograph. max_seconds: of a video.
    """

    def __init__(self, enhancer, root: Path, max_pixels: int, max_seconds: float):
        self.enhancer = enhancer
        self.sessions = Sessions(root)
        self.max_pixels, self.max_seconds = max_pixels, max_seconds
        self.camera = threading.Lock()

    def warm_up(self) -> None:
        """Have everything compiled and loaded before the first visitor waits for it."""
        for dark in (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)):
            self.enhancer(dark)

    def session_of(self, visitor: str | None) -> Session:
        """A visitor's session; the page gives each visit a number."""
        if not visitor:
            raise UserError("this can be asked by the page alone")
        return self.sessions.open(visitor)

    def receive(self, session: Session, uploaded: str, name: str, kind: str) -> dict:
        """Take an upload out of the web server's reach: {"path", "name"}."""
        return {"path": self.sessions.take_upload(uploaded, session, kind).name, "name": name}

    def take_sample(self, session: Session, path: Path, kind: str) -> dict:
        """The same for a file of ours."""
        target = session.new_name(kind)
        target.write_bytes(path.read_bytes())
        return {"path": target.name, "name": path.name}

    def open_photo(self, session: Session, source: Path, name: str, controls: tuple) -> dict:
        """Read a photograph, run the network and show before and after: the viewer's value."""
        try:
            sheet = new_sheet(self.enhancer, source, name, self.max_pixels)
        except Exception:
            source.unlink(missing_ok=True)
            raise
        sheet.save(session)
        suffix, content = encode_preview(sheet, sheet.dark)
        session.show("before", f"before{suffix}", content)
        value = self.develop(session, sheet, *controls)
        for kind, left in (("before", 1), ("after", 1), ("whole", 0)):
            session.clear(kind, left)  # of the photograph before
        return value

    def adjust(self, session: Session, *controls) -> dict:
        """Show another brightness of the same photograph: no network, the preview's pixels only."""
        return self.develop(session, load_sheet(session), *controls)

    def develop(
        self, session: Session, sheet: Sheet, strength: float, iterations: int, show_map: bool
    ) -> dict:
        """The viewer's value at these controls."""
        strength, iterations = within(strength, STRENGTHS), within(int(iterations), ROUNDS)
        if show_map:
            pixels = paint_factor(sheet)
        else:
            pixels = brighten_preview(self.enhancer, sheet, strength, iterations)
        suffix, content = encode_preview(sheet, pixels)
        height, width = sheet.dark.shape[:2]
        return {
            "before": address(session.last_shown("before")),
            "after": address(session.show("after", f"after{suffix}", content)),
            "name": html.escape(sheet.name),
            "width": width,
            "height": height,
            "full_width": sheet.size[0],
            "full_height": sheet.size[1],
            "shows_map": bool(show_map),
        }

    def finish_photo(self, session: Session, strength: float, iterations: int) -> dict:
        """Enhance the whole photograph: {"url", "name"} of the file."""
        sheet = load_sheet(session)
        strength, iterations = within(strength, STRENGTHS), within(int(iterations), ROUNDS)
        content = finish(self.enhancer, sheet, strength, iterations, self.max_pixels)
        name = output_name(sheet.name)
        path = session.show("whole", f"{name.stem}-bright{name.suffix}", content)
        return {"url": address(path), "name": path.name}

    def open_clip(
        self, session: Session, source: Path, name: str, controls: tuple, progress
    ) -> tuple[dict, list[str]]:
        """Enhance a video: the player's value, and what is to be said about it.

        Raises:
            Stopped: its owner pressed the button, or closed the page.
        """
        try:
            path, sentences = self.enhance_clip(session, source, name, controls, progress)
        except Stopped:
            raise
        except Exception as error:
            source.unlink(missing_ok=True)
            if isinstance(error, UserError):
                raise UserError(str(error).replace(str(source), "it")) from error
            raise
        session.drop_before(source)
        session.clear("video", 1)
        value = {"source": address(path), "name": html.escape(path.name)}
        return value, [first_clause(s).replace(str(source), "it") for s in sentences]

    def enhance_clip(
        self, session: Session, source: Path, name: str, controls: tuple, progress
    ) -> tuple[Path, list[str]]:
        """The enhanced video, and sentences about what it does differently."""
        sentences: list[str] = []
        with Reader(source, sentences.append, sentences.append, MAX_FRAME) as reader:
            picture, seconds = reader.picture, reader.length
            if seconds > self.max_seconds:
                raise UserError(f"{seconds:.0f} seconds are over the limit of {self.max_seconds:g}")
            even = picture.width % 2 == picture.height % 2 == 0
            stem = os.path.splitext(safe_name(name))[0]
            target = session.new_place("video", f"{stem}-bright.mp4")
            enhance_video(
                self.tuned(*controls),
                reader,
                target,
                Encoding(pix_fmt="yuv420p" if even else None),  # what every browser plays
                progress=self.watch(session, progress, reader.count or 0),
                note=sentences.append,
                damage=sentences.append,
            )
        return target, sentences

    def tuned(self, strength: float, iterations: int):
        """The enhancer at another strength; network and threads are shared."""
        enhancer = copy(self.enhancer)
        enhancer.strength = within(strength, STRENGTHS)
        enhancer.iterations = within(int(iterations), ROUNDS)
        return enhancer

    def watch(self, session: Session, progress, total: int):
        """What a video calls with its count of frames: shows it, and stops where it must."""
        stop = session.kept / "stop"
        stop.unlink(missing_ok=True)
        start = shown = time.monotonic()

        def count(frames: int) -> None:
            nonlocal shown
            if frames > self.max_seconds * MAX_RATE:  # a header can lie
                raise UserError(f"it has more than {self.max_seconds * MAX_RATE:.0f} frames")
            if not session.alive or stop.exists():  # the page was closed, or its button pressed
                raise Stopped
            now = time.monotonic()
            if now - shown > 0.25:
                shown = now
                rate = frames / (now - start)
                progress((frames, max(total, frames)), desc=f"{rate:.0f} frames a second")
                with suppress(FileNotFoundError):
                    os.utime(session.kept)  # in use

        return count

    def look(self, data: dict) -> dict:
        """One picture of a camera: {"image": data URL, "strength"} -> {"image"} or {"error"}."""
        from PIL import Image

        try:
            strength = within(float(data["strength"]), STRENGTHS)
            content = base64.b64decode(data["image"].removeprefix("data:image/jpeg;base64,"))
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                if image.width * image.height > MAX_CAMERA:
                    raise ValueError
                pixels = np.asarray(image.convert("RGB"))
        except Exception:
            return {"error": "The camera's picture could not be read."}
        with self.camera:
            bright = self.enhancer.apply(pixels, self.enhancer.factor(pixels), strength)
        buffer = io.BytesIO()
        Image.fromarray(bright).save(buffer, "JPEG", quality=85)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        return {"image": f"data:image/jpeg;base64,{encoded}"}


class Stopped(Exception):
    """A video's owner wants it no more."""


def within(value, limits: tuple):
    """A number pushed into its limits; not-a-number becomes the lower one."""
    return min(max(value, limits[0]), limits[1]) if value == value else limits[0]


def address(path: Path) -> str:
    """Where the web server shows a file of a session's served folder."""
    return f"gradio_api/file={quote(str(path))}"


def first_clause(sentence: str) -> str:
    """A message without its remedy, which speaks of flags of a command line."""
    return str(sentence).split("; ")[0]

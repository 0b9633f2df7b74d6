"""Clips made by PyAV for the tests of video, and what is in a written one, decoded to its end."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from sgz import model

ROOT = Path(__file__).resolve().parent.parent


def save_weights(path: Path) -> Path:
    """A checkpoint that brightens: random, but for a bias that makes every factor about -0.15."""
    torch.manual_seed(0)
    net = model.EnhanceNet()
    with torch.no_grad():
        net.e_conv7.point_conv.weight.mul_(0.3)
        net.e_conv7.point_conv.bias.fill_(-0.15)
    torch.save(net.state_dict(), path)
    return path


def view(number: int, width: int, height: int) -> np.ndarray:
    """A dark picture that moves by a pixel a frame: [H, W, 3] uint8."""
    y, x = np.mgrid[0:height, 0:width]
    red = 40 + 30 * np.sin((x + number) / 9)
    return np.stack((red, 30 + 20 * np.cos(y / 7), np.full(x.shape, 35.0)), -1).astype(np.uint8)


def make_clip(
    path: Path,
    frames: int = 20,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int | Fraction = 25,
    times: list[int] | None = None,
    time_base: Fraction | None = None,
    sound: bool = False,
    tags: dict[str, int] | None = None,
    aspect: Fraction | None = None,
    matrix: list[int] | None = None,
    metadata: dict[str, str] | None = None,
    chapters: list[dict] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    picture=view,
    interlaced: bool = False,
) -> Path:
    """Write a clip; times are in time_base, tags are attributes of the encoder."""
    with av.open(str(path), "w", container_options=container_options) as container:
        stream = container.add_stream(codec, rate, options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        context = stream.codec_context
        if time_base is not None:
            context.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(context, name, value)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if interlaced:
            context.flags |= (
                av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
            )
        stream.set_display_matrix(matrix)
        container.metadata.update(metadata or {})
        if chapters:
            container.set_chapters(chapters)
        if not frames:
            container.start_encoding()  # a header, and nothing after it
        tone = container.add_stream("aac", 44100, layout="mono") if sound else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), "rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts = number if times is None else times[number]
            frame.time_base = time_base or 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            samples = int(44100 * frames / rate)
            for start in range(0, samples, 1024):
                wave = np.sin(np.arange(start, start + 1024, dtype=np.float32) / 16)[None] * 0.1
                frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                frame.sample_rate, frame.pts = 44100, start
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    """Every frame as [H, W, 3] uint8; raises if anything cannot be decoded."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames


def frame_times(path: Path) -> list[Fraction]:
    """When each frame is shown, exact, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def packets_of(path: Path, kind: str) -> list[bytes]:
    """The packets of the first stream of a kind, as they are in the file."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def make_video(*arguments: object, limit: float = 100, **popen) -> subprocess.CompletedProcess:
    """Run demo/make_video.py as a user does."""
    command = [sys.executable, str(ROOT / "demo" / "make_video.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit, **popen)

"""Animations: every frame enhanced, its time, its holes and the repeats kept, the light steady."""

import io
import tracemalloc

import numpy as np
import pytest
from pictures import icc, png, scene
from PIL import Image, ImageDraw

from sgz.animation import enhance_frames, write_animation
from sgz.enhancer import Enhancer
from sgz.errors import ImageError
from sgz.folder import FolderEnhancer, enhance_file
from sgz.image.animation import Animation, Frame, read_animation
from sgz.image.moving import WRITERS, delay

TIMES = [50, 120, 80, 1000, 40]
SUFFIX = {"GIF": ".gif", "WEBP": ".webp", "PNG": ".png"}


def frames_with_holes() -> list[Image.Image]:
    """A dark scene with a hole that moves, so that what it leaves must be cleared."""
    frames = []
    for number in range(len(TIMES)):
        stack = np.dstack((scene(40, 60), np.full((40, 60), 255, np.uint8)))
        stack[5:20, 10 * number : 10 * number + 8, 3] = 0
        frames.append(Image.fromarray(stack))
    return frames


def moving(kind: str, frames: list[Image.Image], **options) -> bytes:
    buffer = io.BytesIO()
    options = {"duration": TIMES, "loop": 3, "disposal": 2} | options
    if kind == "WEBP":
        options |= {"lossless": True, "exact": True}
    if kind == "PNG":
        options |= {"disposal": 0, "blend": 0}
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


def seen(content: bytes) -> tuple[list[np.ndarray], list[float], int | None]:
    """Of a file, as Pillow reads it: all that is seen [H, W, 4], for how long, the repeats."""
    with Image.open(io.BytesIO(content)) as image:
        stacks, times = [], []
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            stacks.append(np.asarray(image.convert("RGBA")))
            times.append(image.info["duration"])
        return stacks, times, image.info.get("loop")


@pytest.fixture(scope="module")
def enhancer():
    return Enhancer(look="natural", threads=1)


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("kind", SUFFIX)
def test_frames_times_holes_and_repeats_are_kept(kind, target, enhancer, tmp_path):
    source, result = tmp_path / f"x{SUFFIX[kind]}", tmp_path / f"y{SUFFIX[target]}"
    source.write_bytes(moving(kind, frames_with_holes()))
    assert enhance_file(enhancer, source, result).frames == 1  # nothing was left out
    dark, _, _ = seen(source.read_bytes())
    bright, times, loop = seen(result.read_bytes())
    assert times == TIMES
    repeats = 3 - (kind != "GIF")  # which GIF counts; the others count how often it is shown
    assert loop == repeats + (target != "GIF")
    for before, after in zip(dark, bright, strict=True):
        assert ((before[..., 3] < 128) == (after[..., 3] < 128)).all()
        both = before[..., 3] > 128
        assert after[both][:, :3].mean() > 1.3 * before[both][:, :3].mean()


@pytest.mark.parametrize("kind", SUFFIX)
def test_gray_stays_gray_and_once_stays_once(kind, tmp_path):
    frames = [Image.fromarray(scene(30, 40, 1) + np.uint8(i)) for i in range(3)]
    options = {"loop": None if kind == "GIF" else 1, "duration": 70}
    options = {key: value for key, value in options.items() if value is not None}
    buffer = io.BytesIO()
    extra = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(
        buffer, kind, save_all=True, append_images=frames[1:], icc_profile=icc(), **options, **extra
    )
    source = tmp_path / f"x{SUFFIX[kind]}"
    source.write_bytes(buffer.getvalue())
    found = read_animation(source)
    assert (found.count, found.gray, found.clear, found.plays) == (3, True, False, 1)
    enhance_file(Enhancer(threads=1), source, tmp_path / f"y{SUFFIX[kind]}")
    again = read_animation(tmp_path / f"y{SUFFIX[kind]}")
    assert (again.count, again.plays, again.icc) == (3, 1, found.icc)
    for frame, before in zip(again.frames(), frames, strict=True):
        levels = frame.pixels.reshape(30, 40, -1).astype(int)
        assert np.ptp(levels, axis=2).max() <= (2 if kind == "WEBP" else 0)
        assert levels.mean() > np.asarray(before).mean() + 10


def test_the_light_does_not_flicker(enhancer):
    """A lamp that comes and goes moves each frame's own exposure, not the clip's."""
    room = scene(96, 128) // 2
    stacks = []
    for number in range(24):
        image = Image.fromarray(room)
        side = 8 + 6 * (number % 2)
        ImageDraw.Draw(image).rectangle((4, 4, 4 + side, 4 + side), fill=(250,) * 3)
        stacks.append(np.asarray(image))
    frames = [Frame(stack, None, 100) for stack in stacks]
    part = np.s_[60:, 60:]  # which the lamp never reaches
    steady = [frame.pixels[part].mean() for frame in enhance_frames(enhancer, frames)]
    alone = [enhancer(stack)[part].mean() for stack in stacks]
    assert np.abs(np.diff(alone)).mean() > 5
    assert np.abs(np.diff(steady)).mean() < 0.3 * np.abs(np.diff(alone)).mean()


def test_what_stands_still_in_a_gif_is_written_once(enhancer, tmp_path):
    frames = []
    for number in range(6):
        image = Image.fromarray(scene(90, 120))
        ImageDraw.Draw(image).rectangle((10 * number, 5, 10 * number + 8, 12), fill=(90, 10, 10))
        frames.append(image)
    source, result = tmp_path / "x.gif", tmp_path / "y.gif"
    source.write_bytes(moving("GIF", frames, duration=80, disposal=1))
    enhance_file(enhancer, source, result)
    stacks, _, _ = seen(result.read_bytes())
    assert len(stacks) == 6
    below = np.stack([stack[30:] for stack in stacks])
    assert np.ptp(below.astype(int), axis=0).max() <= 24  # dither and palette come anew seldom
    assert (np.ptp(below.astype(int), axis=0).max(axis=2) == 0).mean() > 0.9


@pytest.mark.parametrize("suffix", SUFFIX.values())
def test_memory_does_not_grow_with_the_frames(suffix):
    content = moving("PNG", [Image.new("RGB", (300, 200), (i, 9, 9)) for i in range(5)])
    animation = Animation(content)
    frame, peaks = Frame(np.full((200, 300, 3), 60, np.uint8), None, 50), []
    for count in (10, 60):
        animation.count, animation.frames = count, lambda n=count: (frame for _ in range(n))
        tracemalloc.start()
        with io.BytesIO() as file:
            write_animation(lambda image: image.copy(), animation, file, suffix)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * frame.pixels.nbytes


def test_damage_in_a_later_frame_is_named_and_nothing_written(tmp_path, enhancer):
    frames = [Image.fromarray(scene(60, 80, seed=i)) for i in range(5)]
    for kind, suffix in SUFFIX.items():
        content = moving(kind, frames)
        (tmp_path / f"in/{kind}").mkdir(parents=True)
        (tmp_path / f"in/{kind}/x{suffix}").write_bytes(content[: int(0.8 * len(content))])
    report = FolderEnhancer(enhancer, tmp_path / "in", tmp_path / "out").run()
    assert len(report.failures) == 3
    for path, error in report.failures:
        assert isinstance(error, ImageError), path
        assert "replace or remove it" in str(error)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_picture_for_programs_without_animation_is_no_frame(tmp_path):
    frames = [Image.new("RGB", (20, 10), (200, 0, 0))]
    frames += [Image.new("RGB", (20, 10), (0, 40 + i, 0)) for i in range(3)]
    content = moving("PNG", frames, default_image=True, duration=[30, 40, 50])
    found = Animation(content)
    assert found.count == 3
    assert [frame.milliseconds for frame in found.frames()] == [30, 40, 50]
    assert [int(frame.pixels[0, 0, 1]) for frame in found.frames()] == [40, 41, 42]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_frame_beyond_its_picture_costs_no_memory():
    frames = [Image.new("RGB", (30, 20), (100 * i, 0, 0)) for i in range(3)]
    content = bytearray(moving("GIF", frames, duration=50, disposal=0))
    place = content.rindex(b"," + bytes(4) + b"\x1e\0\x14\0")
    content[place + 5 : place + 9] = b"\x29" * 4  # 10,537 pixels a side
    with pytest.raises(ImageError, match="a frame is larger than the picture"):
        Animation(bytes(content))


def test_limits(tmp_path):
    content = moving("PNG", [Image.new("RGB", (50, 40), (i, 9, 9)) for i in range(5)])
    with pytest.raises(ImageError, match="of 0 megapixels in all; make a video of it"):
        Animation(content, max_pixels=500)
    (tmp_path / "x.png").write_bytes(png(scene(9, 9)))
    assert read_animation(tmp_path / "x.png") is None
    assert delay(70_000) == (7000, 100)
    frames = [Image.new("RGB", (9, 9), (90 * i, 9, 9)) for i in range(2)]
    (tmp_path / "x.webp").write_bytes(moving("WEBP", frames, duration=[5_000_000, 50]))
    enhance_file(lambda image: image, tmp_path / "x.webp", tmp_path / "x.gif")
    assert seen((tmp_path / "x.gif").read_bytes())[1] == [655_350, 50]  # as long as a GIF can
    (tmp_path / "long.png").write_bytes(png(scene(1, 66_000)))
    with pytest.raises(ImageError, match="cannot be written as GIF, whose sides end at 65535"):
        enhance_file(lambda image: image, tmp_path / "long.png", tmp_path / "long.gif")
    assert set(WRITERS) == set(SUFFIX)

"""--resume: a video that was stopped goes on where it was, to the same frames."""

import signal
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from clips import ROOT, decode_all, frame_times, make_clip, packets_of, save_weights

from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.video.formats import Encoding
from sgz.video.reader import Reader
from sgz.video.segments import enhance_in_segments
from sgz.video.stream import enhance_video

FRAMES = 520  # two segments and a part of one
LOSSLESS = Encoding("h264", 0, "ultrafast")


def noisy(number, width, height):
    """Noise over shades, so that what is taken out of a frame depends on those before it."""
    rng = np.random.default_rng(number)
    shades = np.linspace(15, 60, width)[None, :, None] + number / 40
    return (shades + rng.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "w.pth")


def natural(weights):
    return Enhancer(weights, threads=1, look="natural")


def test_killed_and_interrupted_it_goes_on_to_the_frames_of_one_run(weights, tmp_path):
    options = {"preset": "ultrafast", "crf": "0"}
    source = make_clip(
        tmp_path / "a.mp4", FRAMES, (64, 48), sound=True, picture=noisy, options=options
    )
    target, kept = tmp_path / "b.mp4", tmp_path / "b.mp4.parts"
    command = [
        sys.executable, ROOT / "demo/make_video.py", "--video_path", source, "--save_path", target,
        "--crf", "0", "--preset", "ultrafast", "--weight_dir", weights, "--resume",
    ]  # fmt: skip
    with subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (kept / "000000.nut").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not target.exists()

    seen, notes = [], []

    def stop(frames):
        seen.append(frames)
        if frames == 505:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance_in_segments(
            natural(weights), Reader(source), target, LOSSLESS, progress=stop, note=notes.append
        )
    assert seen[0] >= 250 and notes[-1].startswith("500 frames are kept in")
    assert not target.exists()

    seen.clear()
    done = enhance_in_segments(
        natural(weights), Reader(source), target, LOSSLESS, progress=seen.append, note=notes.append
    )
    assert done == FRAMES and seen == [500, *range(501, FRAMES + 1)] and not kept.exists()
    enhance_video(natural(weights), source, tmp_path / "c.mp4", LOSSLESS)
    frames, whole = decode_all(target), decode_all(tmp_path / "c.mp4")
    assert all(np.array_equal(one, other) for one, other in zip(frames, whole, strict=True))
    assert frame_times(target) == frame_times(tmp_path / "c.mp4")
    assert packets_of(target, "audio") == packets_of(source, "audio")


@pytest.mark.parametrize("codec, name", [
    ("h264", "b.mp4"), ("h264", "b.mkv"), ("h264", "b.ts"), ("hevc", "b.mov"), ("vp9", "b.webm"),
    ("av1", "b.mp4"),
])  # fmt: skip
def test_put_together_it_is_coded_as_without(weights, tmp_path, codec, name):
    """Uneven times in a time base of its own; frames are coded out of their order."""
    times = [n * 1001 + n % 3 * 77 for n in range(20)]
    source = make_clip(
        tmp_path / "a.mkv", 20, codec="ffv1", times=times, time_base=Fraction(1, 24000)
    )
    preset = {"h264": "fast", "hevc": "ultrafast"}.get(codec, "8")
    encoding = Encoding(codec, 12, preset)
    target, other = tmp_path / name, tmp_path / f"other{name}"
    enhance_in_segments(natural(weights), Reader(source), target, encoding)
    enhance_video(natural(weights), source, other, encoding)
    assert frame_times(target) == frame_times(other)
    for one, another in zip(decode_all(target), decode_all(other), strict=True):
        assert np.abs(np.subtract(one, another, dtype=float)).mean() < 2  # x264 varies by itself


def test_what_is_kept_is_gone_on_with_as_it_was_begun_only(weights, tmp_path):
    source = make_clip(tmp_path / "a.mp4", 300, (48, 32), options={"preset": "ultrafast"})
    target = tmp_path / "b.mp4"

    def stop(frames):
        if frames == 260:
            raise KeyboardInterrupt

    def run(**options):
        encoding = Encoding("h264", 30, "ultrafast")
        enhancer = natural(weights)
        enhance_in_segments(
            enhancer, Reader(source), target, encoding, note=lambda s: None, **options
        )

    with pytest.raises(KeyboardInterrupt):
        run(progress=stop)
    with pytest.raises(UserError, match=r"parts is of another video or of other settings"):
        run(smoothing=0.2)
    run()
    assert len(decode_all(target)) == 300
    with pytest.raises(UserError, match="a pipe cannot be gone on with; name files"):
        enhance_in_segments(natural(weights), Reader(source), "-")

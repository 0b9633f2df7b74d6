"""demo/make_video.py and test_video.sh as their user runs them."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from clips import ROOT, decode_all, frame_times, make_clip, make_video, packets_of, save_weights
from PIL import Image

SAMPLE = ROOT / "demo" / "Movie" / "sample.mp4"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "w.pth")


def test_sample_clip_is_as_described():
    assert SAMPLE.stat().st_size < 400_000
    with av.open(str(SAMPLE)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert 3 <= container.duration / 1e6 <= 6
    frames = decode_all(SAMPLE)
    changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    assert int(np.argmax(changes)) == 47 and changes[47] > 3 * np.median(changes)


def run_shell(weights, *arguments):
    environment = {**os.environ, "PYTHON": sys.executable, "WEIGHT": str(weights)}
    return subprocess.run(
        ["bash", str(ROOT / "test_video.sh"), *map(str, arguments)],
        capture_output=True, text=True, timeout=100, env=environment, check=False,
    )  # fmt: skip


def test_shell_script_enhances_the_sample(weights):
    target = ROOT / "demo" / "Movie" / "Res.mp4"
    done = run_shell(weights)
    assert done.returncode == 0, done.stderr
    assert "frame/s" in done.stderr  # the progress bar
    assert frame_times(target) == frame_times(SAMPLE)
    assert packets_of(target, "audio") == packets_of(SAMPLE, "audio")
    assert decode_all(target)[0].mean() > 1.5 * decode_all(SAMPLE)[0].mean()


def test_shell_script_with_names_and_with_a_fault(weights, tmp_path):
    source, target = make_clip(tmp_path / "a name.mp4", 5), tmp_path / "out.mp4"
    done = run_shell(weights, source, target, "--smoothing", "0")
    assert done.returncode == 0 and len(decode_all(target)) == 5
    done = run_shell(weights, tmp_path / "none.mp4", tmp_path / "b.mp4")
    assert done.returncode == 1 and "no such video" in done.stderr
    assert "test_video.sh: " in done.stderr and "Traceback" not in done.stderr


def test_shell_script_writes_beside_its_input(weights, tmp_path):
    make_clip(tmp_path / "a.mp4", 3)
    make_clip(tmp_path / "b.webm", 3, codec="libvpx-vp9")
    done = run_shell(weights, tmp_path)
    assert done.returncode == 0, done.stderr
    names = {"a.mp4", "b.webm", "a-bright.mp4", "b-bright.webm"}
    assert set(os.listdir(tmp_path)) == names
    with av.open(str(tmp_path / "b-bright.webm")) as container:
        assert container.streams.video[0].codec_context.name == "vp9"
    done = run_shell(weights, tmp_path / "a.mp4", "--look", "paper")
    assert done.returncode == 2 and "after IN and OUT" in done.stderr
    assert "Usage" in run_shell(weights, "--help").stdout
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    done = run_shell(weights, tmp_path / "a.png")
    assert done.returncode == 1 and "test.py" in done.stderr


def test_frames_of_two_videos_never_mix(tmp_path):
    one, other = make_clip(tmp_path / "1.mp4", 4), make_clip(tmp_path / "2.mp4", 2)
    arguments = ["--choice", "V2I", "--image_lowlight_folder", tmp_path / "f", "--video_path"]
    assert make_video(*arguments, one).returncode == 0
    done = make_video(*arguments, other)
    assert done.returncode == 1 and "frames of 1.mp4" in done.stderr
    assert "--image_lowlight_folder" in done.stderr
    assert len(list((tmp_path / "f").glob("*.png"))) == 4
    assert make_video(*arguments, one).returncode == 0


def test_to_frames_and_back(tmp_path):
    """Twelve frames, so that natural order matters; timing, tags and colours come back."""
    tags = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
    times = [0, 1, 2, 4, 5, 6, 9, 10, 12, 13, 14, 15]
    source = make_clip(
        tmp_path / "a.mkv", 12, codec="libx264", times=times, time_base=Fraction(1, 25),
        tags=tags, options={"crf": "0"}, pix_fmt="yuv444p",
    )  # fmt: skip
    frames, target = tmp_path / "dark", tmp_path / "b.mkv"
    done = make_video(
        "--choice", "V2I", "--video_path", source, "--image_lowlight_folder", frames / "%d.png"
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in frames.glob("*.png")} == {f"{n}.png" for n in range(12)}
    done = make_video(
        "--choice", "I2V", "--video_path", source, "--image_folder", frames, "--save_path", target,
        "--crf", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert frame_times(target) == frame_times(source)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert all(getattr(context, name) == value for name, value in tags.items())
    for one, other in zip(decode_all(source), decode_all(target), strict=True):
        assert np.abs(one.astype(int) - other).mean() < 1.5


def test_frames_are_lossless_and_old_ones_go(tmp_path):
    source = make_clip(tmp_path / "a.mkv", 5, codec="ffv1", pix_fmt="bgr0")
    folder = tmp_path / "frames"
    arguments = ["--choice", "V2I", "--video_path", source, "--image_lowlight_folder", folder]
    assert make_video(*arguments).returncode == 0
    make_clip(source, 4, codec="ffv1", pix_fmt="bgr0")  # the same video, cut shorter
    done = make_video(*arguments)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.glob("*.png")} == {f"{n:06d}.png" for n in range(4)}
    for number, frame in enumerate(decode_all(source)):
        assert np.array_equal(np.asarray(Image.open(folder / f"{number:06d}.png")), frame)


def test_frames_without_their_video(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (1, 2, 10):
        Image.new("RGB", (96, 64), (20 * number, 0, 0)).save(folder / f"{number}.png")
    arguments = [
        "--choice", "I2V", "--image_folder", folder, "--video_path", tmp_path / "none.mp4",
        "--save_path", tmp_path / "b.mp4",
    ]  # fmt: skip
    done = make_video(*arguments)
    assert done.returncode == 1 and "--fps" in done.stderr and "Traceback" not in done.stderr
    done = make_video(*arguments, "--fps", "24000/1001")
    assert done.returncode == 0, done.stderr
    reds = [frame[..., 0].mean() for frame in decode_all(tmp_path / "b.mp4")]
    assert reds == sorted(reds) and len(reds) == 3
    assert frame_times(tmp_path / "b.mp4")[2] == Fraction(2 * 1001, 24000)
    Image.new("RGB", (50, 64)).save(folder / "11.png")
    done = make_video(*arguments, "--fps", "25")
    assert done.returncode == 1 and "11.png is 50x64" in done.stderr

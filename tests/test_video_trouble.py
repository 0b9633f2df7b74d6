"""Video that is broken, missing or in the way: a sentence, the right exit code, no half file."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
from clips import ROOT, decode_all, make_clip, make_video, packets_of, save_weights

from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.video.formats import Encoding
from sgz.video.reader import Reader
from sgz.video.stream import enhance_video


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "w.pth")


@pytest.fixture(scope="module")
def enhancer(weights):
    return Enhancer(weights, threads=1)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """A clip that takes some seconds to enhance."""
    return make_clip(
        tmp_path_factory.mktemp("long") / "a.mp4", 250, (320, 240), picture=noise, sound=True,
        options={"preset": "ultrafast"},
    )  # fmt: skip


def is_sentence(stderr: str) -> bool:
    """One or more lines that name the script, and no traceback."""
    return "make_video.py: " in stderr and "Traceback" not in stderr


def noise(number, width, height):
    """Pictures that no codec shrinks much."""
    return np.random.default_rng(number).integers(0, 60, (height, width, 3), dtype=np.uint8)


def make_unusable(folder):
    """Sources from which nothing can be had, and what the sentence says of each."""
    text = folder / "text.mp4"
    text.write_text("this is no video at all, though it is called one" * 50)
    empty = folder / "empty.mp4"
    empty.touch()
    sound = folder / "sound.m4a"
    with av.open(str(sound), "w", format="mp4") as container:
        stream = container.add_stream("aac", 44100, layout="mono")
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 44100, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    no_frames = make_clip(
        folder / "none.mp4", frames=0, container_options={"movflags": "empty_moov"}
    )
    header = make_clip(folder / "none.mkv", frames=0)
    headless = make_clip(folder / "headless.mp4")
    headless.write_bytes(headless.read_bytes()[:900])
    return {
        folder / "missing.mp4": "no such video",
        folder: "not an ordinary file",
        text: "no video that can be read",
        empty: "no video that can be read",
        sound: "no video stream",
        no_frames: "no frame that can be decoded",
        header: "no video that can be read",
        headless: "no video that can be read",
    }


def test_sources_without_a_video(enhancer, tmp_path):
    for source, sentence in make_unusable(tmp_path).items():
        with pytest.raises(UserError, match=sentence):
            enhance_video(enhancer, source, tmp_path / "out.mp4")
    assert not list(tmp_path.glob("*out*")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["text.mp4", "none.mp4"])
def test_they_end_the_script_in_a_sentence(weights, tmp_path, name):
    make_unusable(tmp_path)
    target = tmp_path / "out.mp4"
    target.write_bytes(b"an earlier result")
    done = make_video(
        "--video_path", tmp_path / name, "--save_path", target, "--weight_dir", weights
    )
    assert done.returncode == 1 and is_sentence(done.stderr) and name in done.stderr
    assert target.read_bytes() == b"an earlier result"


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_truncated_in_the_middle(weights, tmp_path, name):
    """All frames that are there are written, what is missing is told, exit code 1."""
    source = make_clip(
        tmp_path / name, 60, picture=noise, options={"g": "12"},
        container_options={"movflags": "+faststart"} if name.endswith("mp4") else {},
    )  # fmt: skip
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    target = tmp_path / "out.mp4"
    done = make_video("--video_path", source, "--save_path", target, "--weight_dir", weights)
    assert done.returncode == 1
    assert "ends early" in done.stderr and "Traceback" not in done.stderr
    frames = len(decode_all(target))
    assert 20 <= frames < 60 and f"enhanced {frames} frames" in done.stdout


def test_corrupt_packets(weights, tmp_path):
    source = make_clip(tmp_path / "a.mp4", 60, picture=noise, options={"g": "10"})
    data = bytearray(source.read_bytes())
    start = data.index(b"mdat") + 4
    for place in range(start + 20_000, start + 40_000, 37):
        data[place] ^= 0xFF
    source.write_bytes(data)
    target = tmp_path / "out.mp4"
    done = make_video("--video_path", source, "--save_path", target, "--weight_dir", weights)
    assert done.returncode == 1 and "damaged: " in done.stderr and "Traceback" not in done.stderr
    assert 30 <= len(decode_all(target)) <= 60


@pytest.mark.parametrize("look", ["paper", "natural"])
def test_a_size_that_changes(weights, tmp_path, look):
    """Two streams one after the other: everything comes in the size of the first."""
    one = make_clip(tmp_path / "1.h264", 10, (96, 64))
    other = make_clip(tmp_path / "2.h264", 10, (128, 96))
    both = tmp_path / "both.h264"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    notes = []
    enhancer = Enhancer(weights, threads=1, look=look)
    assert enhance_video(enhancer, both, tmp_path / "out.mp4", note=notes.append) == 20
    assert {frame.shape for frame in decode_all(tmp_path / "out.mp4")} == {(64, 96, 3)}
    assert len(notes) == 1 and "96x64 to 128x96" in notes[0]


def test_a_clock_that_starts_again_is_continued(enhancer, tmp_path):
    """Two .ts files put together: as long as both, and sound stays with the picture."""
    one = make_clip(tmp_path / "1.ts", 25, sound=True)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() * 2)
    notes = []
    assert enhance_video(enhancer, both, tmp_path / "out.mp4", note=notes.append) == 50
    assert len(notes) == 1 and "starts again" in notes[0]
    with av.open(str(tmp_path / "out.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        lengths = [float(stream.duration * stream.time_base) for stream in (video, sound)]
    assert 1.95 < lengths[0] < 2.15 and abs(lengths[0] - lengths[1]) < 0.15


def test_frames_that_would_fill_the_memory(tmp_path):
    source = make_clip(tmp_path / "a.mp4", 3)
    with pytest.raises(UserError, match="over the limit") as caught:
        Reader(source, max_pixels=96 * 64 - 1)
    assert caught.value.argument == "max_pixels"
    one, other = make_clip(tmp_path / "1.h264", 5), make_clip(tmp_path / "2.h264", 5, (128, 96))
    (tmp_path / "both.h264").write_bytes(one.read_bytes() + other.read_bytes())
    with (
        Reader(tmp_path / "both.h264", max_pixels=96 * 64) as reader,
        pytest.raises(UserError, match="over the limit"),
    ):
        list(reader.read("yuv420p"))


def test_outputs_that_cannot_be(weights, tmp_path):
    source = make_clip(tmp_path / "a.mp4", 5)
    (tmp_path / "link.mp4").symlink_to(source)
    before = source.read_bytes()
    for name, sentence in {
        "out.webm": "does not hold libx264",
        "out.xyz": "cannot write a video of type .xyz",
        "out": "cannot write a video of type",
        "a.mp4": "is the input itself",
        "link.mp4": "is the input itself",
    }.items():
        with pytest.raises(UserError, match=sentence):
            enhance_video(None, source, tmp_path / name)
    assert source.read_bytes() == before
    done = make_video("--video_path", source, "--save_path", source, "--weight_dir", weights)
    assert done.returncode == 1 and is_sentence(done.stderr)
    done = make_video(
        "--video_path", source, "--save_path", tmp_path / "out.webm", "--weight_dir", weights
    )
    assert done.returncode == 1 and is_sentence(done.stderr) and "--codec" in done.stderr


def test_settings_that_the_encoder_refuses(enhancer, weights, tmp_path):
    source, target = make_clip(tmp_path / "a.mp4", 5), tmp_path / "out.mp4"
    with pytest.raises(UserError, match="libx264 refuses"):
        enhance_video(enhancer, source, target, Encoding(preset="fastest"))
    with pytest.raises(UserError, match="no such pixel format: green"):
        enhance_video(enhancer, source, target, Encoding(pix_fmt="green"))
    done = make_video("--video_path", source, "--save_path", target, "--crf", 90)
    assert done.returncode == 1 and is_sentence(done.stderr) and "--crf" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.mp4"]


def test_full_disk(weights, tmp_path):
    """A file that may not grow: written data fails as on a full disk."""
    source = make_clip(tmp_path / "a.mp4", 40, (320, 240), picture=noise)
    done = make_video(
        "--video_path", source, "--save_path", tmp_path / "out.mp4", "--weight_dir", weights,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )  # fmt: skip
    assert done.returncode == 1 and is_sentence(done.stderr) and "has room" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.mp4"]


def test_really_full_disk(weights, tmp_path):
    """A file system of 200 KB, where the test may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)]
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if not shutil.which("unshare") or subprocess.run([*unshare, *mount], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    source = make_clip(tmp_path / "a.mp4", 40, (320, 240), picture=noise)
    command = (
        f"{' '.join(mount)} && {sys.executable} {ROOT}/demo/make_video.py --video_path {source} "
        f"--save_path {disk}/out.mp4 --weight_dir {weights}; code=$?; ls -A {disk}; exit $code"
    )
    done = subprocess.run(
        [*unshare, "sh", "-c", command], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1 and is_sentence(done.stderr) and "No space left" in done.stderr
    assert "out.mp4" not in done.stdout and ".tmp" not in done.stdout


@pytest.mark.parametrize("keep", [False, True])
def test_interrupted(weights, long_clip, tmp_path, keep):
    """Ctrl-C: nothing at the target, or with --keep_partial a shorter video that plays."""
    source = long_clip
    target = tmp_path / "out.mp4"
    command = [
        sys.executable, str(ROOT / "demo/make_video.py"), "--video_path", str(source),
        "--save_path", str(target), "--weight_dir", str(weights), "--preset", "slower",
        *(["--keep_partial"] if keep else []),
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not (files := list(tmp_path.glob(".*.tmp"))) or files[0].stat().st_size < 1000:
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "interrupted" in stderr and "Traceback" not in stderr
    assert not list(tmp_path.glob(".*"))
    if keep:
        assert 0 < len(decode_all(target)) < 250
    else:
        assert not target.exists()


def with_sound(path, layout):
    """A clip with uncompressed sound, of whose channels the file tells no more than how many."""
    clip = make_clip(path.with_name("picture.avi"), 3, (48, 32), codec="mpeg4")
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        picture = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("pcm_s16le", 8000, layout=layout)
        channels = sound.codec_context.channels
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = picture
                target.mux(packet)
        frame = av.AudioFrame.from_ndarray(
            np.arange(800 * channels, dtype=np.int16)[None], "s16", layout
        )
        frame.sample_rate, frame.pts = 8000, 0
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return path


def test_sound_of_unnamed_channels_goes_into_mp4(enhancer, tmp_path):
    source, target = with_sound(tmp_path / "a.avi", "stereo"), tmp_path / "b.mp4"
    assert enhance_video(enhancer, source, target) == 3
    assert b"".join(packets_of(target, "audio")) == np.arange(1600, dtype=np.int16).tobytes()


def test_what_a_container_refuses_is_named_with_its_cause(enhancer, tmp_path):
    source, target = with_sound(tmp_path / "a.mkv", "3.0"), tmp_path / "b.mp4"
    with pytest.raises(UserError) as refused:
        enhance_video(enhancer, source, target)
    assert str(refused.value) == (
        "stream 1 (audio, pcm_s16le) cannot be written into mp4 "
        "(unsupported channel layout 3 channels)"
    )
    assert refused.value.argument == "container"  # for which the scripts know a remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "picture.avi"]
    assert enhance_video(enhancer, source, tmp_path / "b.mkv") == 3

"""A video through pipes, live, in part, several at a time: the command sgz on real files."""

import io
import os
import pty
import select
import shutil
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import ROOT, decode_all, frame_times, make_clip, packets_of

from sgz.enhancer import Enhancer
from sgz.video.formats import Encoding
from sgz.video.stream import enhance_video

SIZE = 192, 128


def start_sgz(*arguments, **streams) -> subprocess.Popen:
    command = [sys.executable, "-m", "sgz", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **streams)


def frames_in(content: bytes) -> list:
    with av.open(io.BytesIO(content)) as container:
        assert container.format.name == "nut"
        return list(container.decode(video=0))


def test_live_frames_come_out_as_they_go_in():
    """Each frame is out before the third one after it is sent."""
    picture = np.random.default_rng(0).integers(16, 60, (SIZE[1] * 3 // 2, SIZE[0]), np.uint8)
    process = start_sgz("-", "-", "--live", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    feed, content = io.BytesIO(), b""
    with av.open(feed, "w", format="nut", container_options={"flush_packets": "1"}) as container:
        stream = container.add_stream("rawvideo", 25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        sent = 0
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
            process.stdin.write(feed.getvalue()[sent:])
            process.stdin.flush()
            sent = len(feed.getvalue())
            while len(content) // picture.size < number - 1:
                assert select.select([process.stdout], [], [], 30)[0], f"frame {number} waits"
                content += os.read(process.stdout.fileno(), 1 << 20)
    rest, errors = process.communicate(feed.getvalue()[sent:], timeout=30)
    assert process.returncode == 0 and b"enhanced 12 frames" in errors
    frames = frames_in(content + rest)
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(12)])
    lumas = [frame.to_ndarray()[: SIZE[1]].mean() for frame in frames]
    assert min(lumas) > 1.3 * picture[: SIZE[1]].mean()


def test_from_pipe_to_pipe_is_as_from_file_to_file(tmp_path):
    source = make_clip(tmp_path / "a.mkv", 30, SIZE, options={"crf": "10"}, sound=True)
    with source.open("rb") as given:
        process = start_sgz("-", "-", stdin=given, stdout=subprocess.PIPE)
        content, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    (tmp_path / "b.nut").write_bytes(content)
    lossless = Encoding("h264", 0)
    enhance_video(Enhancer(look="natural", threads=1), source, tmp_path / "c.mkv", lossless)
    assert packets_of(tmp_path / "b.nut", "audio") == packets_of(source, "audio")
    times = frame_times(tmp_path / "b.nut")  # NUT begins where the sound does, before zero
    assert [time - times[0] for time in times] == frame_times(source)
    pairs = zip(decode_all(tmp_path / "b.nut"), decode_all(tmp_path / "c.mkv"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
def test_between_two_ffmpegs(tmp_path):
    """The line in docs/video.md, but that what comes out is coded without loss."""
    source = make_clip(tmp_path / "a.mkv", 30, SIZE, sound=True)
    ffmpeg = ["ffmpeg", "-nostdin", "-loglevel", "error"]
    given = [*ffmpeg, "-i", source, "-c:v", "rawvideo", "-c:a", "copy", "-f", "nut", "-"]
    target = ["-c:v", "ffv1", "-c:a", "copy", "-fps_mode", "passthrough", tmp_path / "b.mkv"]
    with subprocess.Popen(given, stdout=subprocess.PIPE) as first:
        middle = start_sgz("-", "-", stdin=first.stdout, stdout=subprocess.PIPE)
        first.stdout.close()
        last = subprocess.run([*ffmpeg, "-i", "-", *target], stdin=middle.stdout, timeout=60)
        errors = middle.communicate(timeout=30)[1]
    assert (first.returncode, middle.returncode, last.returncode) == (0, 0, 0), errors
    lossless = Encoding("h264", 0)
    enhance_video(Enhancer(look="natural", threads=1), source, tmp_path / "c.mkv", lossless)
    assert packets_of(tmp_path / "b.mkv", "audio") == packets_of(source, "audio")
    pairs = zip(decode_all(tmp_path / "b.mkv"), decode_all(tmp_path / "c.mkv"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("of", ["stdin", "stdout"])
def test_a_terminal_in_place_of_a_pipe(of, tmp_path):
    control, terminal = pty.openpty()
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, of: terminal}
    process = start_sgz("-", "-", **streams)
    errors = process.communicate(timeout=30)[1].decode()
    os.close(terminal)
    os.close(control)
    assert process.returncode == 1 and len(errors.splitlines()) == 1
    assert f"standard {of[3:]}put is a terminal" in errors


def test_no_video_in_and_nobody_who_reads(tmp_path):
    process = start_sgz("-", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, errors = process.communicate(b"no video" * 999, timeout=30)
    assert (process.returncode, out, len(errors.splitlines())) == (1, b"", 1)
    assert b"standard input is no video" in errors
    source = make_clip(tmp_path / "a.mp4", 5)
    process = start_sgz(source, "-", stdout=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read().decode().splitlines()
    assert process.wait(30) == 1 and errors[-1].endswith("nobody reads standard output any more")


def test_a_part_of_a_video(sgz, tmp_path):
    source = make_clip(tmp_path / "a.mp4", 60, sound=True, options={"g": "12"})
    assert sgz(source, "--start", "0:01", "--duration", "0.8")[0] == 0
    target = tmp_path / "a-bright.mp4"
    assert frame_times(target) == [Fraction(n, 25) for n in range(20)]
    length = len(packets_of(target, "audio")) * 1024 / 44100
    assert length == pytest.approx(0.8, abs=0.05)
    dark, bright = decode_all(source)[25:45], decode_all(target)
    shape = lambda frame: frame.mean(axis=(0, 2)) - frame.mean()  # noqa: E731
    closest = [np.corrcoef(shape(bright[9]), shape(frame))[0, 1] for frame in dark]
    assert int(np.argmax(closest)) == 9
    code, _, errors = sgz(source, "--start", "9", "--overwrite")
    assert code == 1 and "ends before" in errors


def test_several_files_go_into_a_folder(sgz, tmp_path):
    one, two = (make_clip(tmp_path / name, 3) for name in ("a.mp4", "b.mkv"))
    code, _, errors = sgz(one, tmp_path / "none.mp4", two, tmp_path / "out")
    assert code == 1 and len(errors.splitlines()) == 1 and "none.mp4" in errors
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "b.mkv"]
    code, _, errors = sgz(one, two, tmp_path / "a-bright.mp4")
    assert code == 1 and "name the folder" in errors


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_told(sgz, tmp_path, transfer, name):
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    source = make_clip(tmp_path / "a.mkv", 3, tags=tags)
    code, _, errors = sgz(source)
    assert code == 0 and f"HDR ({name})" in errors and "SDR" in errors

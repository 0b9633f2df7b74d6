"""Video: what a recording came with survives; the written file is read to its end."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import decode_all, frame_times, make_clip, packets_of, save_weights, view

from sgz.enhancer import Enhancer
from sgz.video.formats import Encoding
from sgz.video.stream import enhance_video

TURN = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]  # a quarter turn


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory):
    return Enhancer(save_weights(tmp_path_factory.mktemp("weights") / "w.pth"), threads=1)


def enhance(enhancer, source, target, *encoding, **options):
    """Enhance without a sentence of complaint but those in `options["notes"]`."""
    notes = options.pop("notes", [])

    def fail(sentence):
        raise AssertionError(sentence)

    return enhance_video(
        enhancer, source, target, Encoding(*encoding), note=notes.append, damage=fail, **options
    )


def test_frames_are_those_of_the_photograph_path(enhancer, tmp_path):
    """The stream's frames equal the enhancer's on RGB, but for rounding and two codecs' losses."""
    source = make_clip(tmp_path / "a.mkv", 4, codec="ffv1", pix_fmt="yuv444p")
    enhance(enhancer, source, tmp_path / "b.mkv", "h264", 0, smoothing=0)
    for dark, bright in zip(decode_all(source), decode_all(tmp_path / "b.mkv"), strict=True):
        difference = np.abs(enhancer(dark).astype(int) - bright)
        assert difference.mean() < 1.0 and difference.max() <= 8


def test_one_hue_and_exposure_act_on_frames_as_on_photographs(enhancer, tmp_path):
    parts = {"exposure": True, "hue_preserving": True}
    auto = Enhancer(save_weights(tmp_path / "w.pth"), threads=1, **parts)
    source = make_clip(tmp_path / "a.mkv", 4, codec="ffv1", pix_fmt="yuv444p")
    enhance(auto, source, tmp_path / "b.mkv", "h264", 0, smoothing=0)
    for dark, bright in zip(decode_all(source), decode_all(tmp_path / "b.mkv"), strict=True):
        assert np.abs(auto(dark).astype(int) - bright).mean() < 1.0
        assert np.abs(enhancer(dark).astype(int) - bright).mean() > 2.0


def test_everything_survives_in_an_mp4(enhancer, tmp_path):
    tags = {"color_range": 2, "colorspace": 1, "color_primaries": 1, "color_trc": 13}
    chapters = [
        {"id": n, "start": n * 400, "end": n * 400 + 400, "time_base": Fraction(1, 1000),
         "metadata": {"title": f"chapter {n}"}}
        for n in range(2)
    ]  # fmt: skip
    source = make_clip(
        tmp_path / "a.mp4", sound=True, tags=tags, aspect=Fraction(4, 3), matrix=TURN,
        metadata={"title": "a room", "artist": "nobody"}, chapters=chapters,
    )  # fmt: skip
    target = tmp_path / "b.mp4"
    assert enhance(enhancer, source, target) == 20
    assert frame_times(source) == frame_times(target)
    assert packets_of(source, "audio") == packets_of(target, "audio")
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert after.metadata["title"] == "a room" and after.metadata["artist"] == "nobody"
        assert [c["metadata"] for c in after.chapters()] == [c["metadata"] for c in chapters]
        assert before.duration == after.duration
        one, other = before.streams.video[0], after.streams.video[0]
        assert other.sample_aspect_ratio == Fraction(4, 3)
        assert one.duration * one.time_base == other.duration * other.time_base
        for name, value in tags.items():
            assert getattr(other.codec_context, name) == value
        first, second = next(before.decode(video=0)), next(after.decode(video=0))
        assert first.rotation == second.rotation == -90
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # a browser can start before the end


def test_tags_that_mp4_does_not_know_survive(enhancer, tmp_path):
    source = make_clip(tmp_path / "a.mkv", 3, metadata={"CAMERA_SERIAL": "7", "title": "x"})
    enhance(enhancer, source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as after:
        assert after.metadata["CAMERA_SERIAL"] == "7" and after.metadata["title"] == "x"


def test_uneven_timing_survives(enhancer, tmp_path):
    times = [0, 3, 4, 9, 20, 21, 22, 30, 45, 46, 50, 52, 70, 71, 72, 73, 80, 90, 95, 99]
    source = make_clip(tmp_path / "a.mp4", times=times, time_base=Fraction(1, 600))
    target = tmp_path / "b.mp4"
    enhance(enhancer, source, target)
    assert frame_times(target) == frame_times(source) == [Fraction(t, 600) for t in times]
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert before.duration == after.duration


def test_a_start_other_than_zero_survives(enhancer, tmp_path):
    source = make_clip(tmp_path / "a.ts", sound=True)
    enhance(enhancer, source, tmp_path / "b.mp4")
    assert frame_times(tmp_path / "b.mp4") == frame_times(source)
    assert frame_times(source)[0] > 0
    assert len(packets_of(tmp_path / "b.mp4", "audio")) == len(packets_of(source, "audio"))


def test_subtitles_go_where_the_container_holds_them(enhancer, tmp_path):
    source = make_clip(tmp_path / "plain.mp4")
    with_text = tmp_path / "text.mkv"
    with av.open(str(source)) as given, av.open(str(with_text), "w") as container:
        video = container.add_stream_from_template(given.streams.video[0], opaque=True)
        text = container.add_mux_stream("subrip")
        text.time_base = Fraction(1, 1000)
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        line = av.Packet(b"a line of text")
        line.stream, line.pts, line.dts, line.duration = text, 100, 100, 300
        line.time_base = Fraction(1, 1000)
        container.mux(line)
    enhance(enhancer, with_text, tmp_path / "b.mkv")
    assert packets_of(tmp_path / "b.mkv", "subtitle") == [b"a line of text"]
    notes = []
    assert enhance(enhancer, with_text, tmp_path / "b.mp4", notes=notes) == 20
    assert len(notes) == 1 and "subtitle" in notes[0] and ".mkv" in notes[0]
    assert len(decode_all(tmp_path / "b.mp4")) == 20


def test_interlaced_stays_interlaced(enhancer, tmp_path):
    source = make_clip(tmp_path / "a.mp4", interlaced=True)
    enhance(enhancer, source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as after:
        assert all(frame.interlaced_frame for frame in after.decode(video=0))


def test_ten_bits_stay_ten_bits(enhancer, tmp_path):
    source = make_clip(tmp_path / "a.mkv", 4, codec="ffv1", pix_fmt="yuv420p10le")
    notes = []
    enhance(enhancer, source, tmp_path / "b.mp4", notes=notes)
    with av.open(str(tmp_path / "b.mp4")) as after:
        assert after.streams.video[0].codec_context.pix_fmt == "yuv420p10le"
    assert any("the pixel format yuv420p plays" in note for note in notes)
    enhance(enhancer, source, tmp_path / "c.mp4", "h264", None, None, "yuv420p", notes=notes)
    with av.open(str(tmp_path / "c.mp4")) as after:
        assert after.streams.video[0].codec_context.pix_fmt == "yuv420p"
    ten, eight = decode_all(tmp_path / "b.mp4")[0], decode_all(tmp_path / "c.mp4")[0]
    assert np.abs(ten.astype(int) - eight).mean() < 3  # a dithered step of one level


@pytest.mark.parametrize("codec, size, pix_fmt", [
    ("ffv1", (97, 63), "yuv420p"), ("ffv1", (96, 64), "bgr0"), ("ffv1", (96, 64), "gray"),
    ("mjpeg", (96, 64), "yuvj420p"), ("ffv1", (2, 2), "yuv420p"), ("ffv1", (95, 64), "yuv422p"),
])  # fmt: skip
def test_other_pictures_work(enhancer, tmp_path, codec, size, pix_fmt):
    source = make_clip(tmp_path / "a.mkv", 5, size, codec, pix_fmt)
    enhance(enhancer, source, tmp_path / "b.mp4")
    dark, bright = decode_all(source), decode_all(tmp_path / "b.mp4")
    assert [f.shape for f in bright] == [f.shape for f in dark]
    assert bright[0].mean() > 1.3 * dark[0].mean()
    if min(size) > 2:  # same colours as the photograph path, whatever the format on the way
        assert np.abs(enhancer(dark[0]).astype(int) - bright[0]).mean() < 4


@pytest.mark.parametrize("codec, name", [("hevc", "b.mp4"), ("vp9", "b.webm"), ("av1", "b.mp4")])
def test_other_codecs(enhancer, tmp_path, codec, name):
    source = make_clip(tmp_path / "a.mp4")
    enhance(enhancer, source, tmp_path / name, codec, 30, {"hevc": "ultrafast"}.get(codec, "8"))
    assert frame_times(tmp_path / name) == frame_times(source)
    with av.open(str(tmp_path / name)) as after:
        assert codec in after.streams.video[0].codec_context.codec.canonical_name
        assert codec != "hevc" or after.streams.video[0].codec_tag == "hvc1"


def test_default_quality_is_visually_lossless(enhancer, tmp_path):
    """Against the same frames without a codec in between: above 40 dB."""
    source = make_clip(tmp_path / "a.mkv", 6, codec="ffv1", size=(192, 128))
    enhance(enhancer, source, tmp_path / "b.mp4")
    enhance(enhancer, source, tmp_path / "c.mp4", "h264", 0)
    for one, other in zip(
        decode_all(tmp_path / "b.mp4"), decode_all(tmp_path / "c.mp4"), strict=True
    ):
        error = np.mean((one.astype(float) - other) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 40


def test_strength_zero_gives_the_source_back(tmp_path):
    weights = save_weights(tmp_path / "w.pth")
    source = make_clip(tmp_path / "a.mkv", 3, codec="ffv1")
    enhance(Enhancer(weights, strength=0), source, tmp_path / "b.mkv", "h264", 0)
    for one, other in zip(decode_all(source), decode_all(tmp_path / "b.mkv"), strict=True):
        assert np.array_equal(one, other)


def test_memory_does_not_grow_with_length(enhancer, tmp_path):
    """300 frames of 1 MB after the hundredth add less than a tenth of their size."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("the system does not tell a process's memory this way")
    options = {"preset": "ultrafast", "crf": "30"}
    still = view(0, 1024, 640)
    source = make_clip(
        tmp_path / "a.mp4", 400, (1024, 640), options=options, picture=lambda *_: still
    )
    pages = []
    enhance(
        enhancer, source, tmp_path / "b.mp4", "h264", 30, "ultrafast",
        progress=lambda done: pages.append(int(statm.read_text().split()[1])),
    )  # fmt: skip
    megabytes = [count * os.sysconf("SC_PAGE_SIZE") / 1e6 for count in pages]
    assert max(megabytes) - max(megabytes[:100]) < 30

"""Video by a graphics card where there is one; elsewhere by software, with a sentence."""

import numpy as np
from clips import decode_all, make_clip, save_weights

from sgz.enhancer import Enhancer
from sgz.video.formats import Encoder, Encoding
from sgz.video.reader import Reader
from sgz.video.stream import enhance_video
from sgz.video.writer import Writer


def test_hardware_is_asked_for_and_the_sentence_says_what_encoded(tmp_path):
    source, notes = make_clip(tmp_path / "a.mp4", 6, size=(192, 160)), []
    enhancer = Enhancer(save_weights(tmp_path / "w.pth"), threads=1)
    with Reader(source, hardware=True) as reader:
        encoding = Encoding("h264", 17, hardware=True)
        assert enhance_video(enhancer, reader, tmp_path / "b.mp4", encoding, note=notes.append) == 6
    enhance_video(enhancer, source, tmp_path / "c.mp4", Encoding("h264", 17))
    given, usual = decode_all(tmp_path / "b.mp4"), decode_all(tmp_path / "c.mp4")
    if "no hardware encoder of h264 works for it here; libx264 does" in notes:
        assert all(np.array_equal(one, other) for one, other in zip(given, usual, strict=True))
    else:  # another encoder's losses
        assert any(note.startswith("encoded by h264_") for note in notes)
        assert np.abs(np.subtract(given, usual, dtype=float)).mean() < 2


def test_a_card_that_wants_chroma_in_one_plane_gets_the_same_pixels(tmp_path):
    """Quick Sync takes nv12 alone; libx264 takes it too, so it can be seen here."""
    source = make_clip(tmp_path / "a.mkv", 4, codec="rawvideo", pix_fmt="nv12")
    for stored in ("yuv420p", "nv12"):
        target = tmp_path / f"{stored}.mkv"
        encoder = Encoder("h264", "libx264", stored, {"crf": "0", "preset": "ultrafast"})
        with Reader(source) as reader:
            assert reader.picture.pix_fmt == "yuv420p"
            with Writer(target, "matroska", reader.picture, encoder) as writer:
                assert encoder.pix_fmt == "yuv420p"
                for frame in reader.read_frames("yuv420p"):
                    writer.write_frame(frame)
                writer.finish()
    planar, twin = decode_all(tmp_path / "yuv420p.mkv"), decode_all(tmp_path / "nv12.mkv")
    assert np.array_equal(planar, twin)
    assert np.abs(np.subtract(planar, decode_all(source), dtype=float)).mean() < 1.5  # by two ways

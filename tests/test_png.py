"""The fast PNG reader: Pillow's pixels for every ordinary file, and a refusal for every other."""

import io
import struct
import tracemalloc
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import animation, bomb, chunk, deep_png, exif, icc, kinds, saved, scene
from PIL import Image

from sgz.errors import ImageError
from sgz.image import png
from sgz.image.photo import read_photo

MODE = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def raw_png(
    rows: bytes, height: int, width: int, channels: int, pieces: int = 1, **header
) -> bytes:
    """A PNG of these filtered rows, the compressed data cut into so many chunks."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    fields = {"depth": 8, "kind": kind, "method": 0, "filter": 0, "interlace": 0} | header
    body = zlib.compress(rows)
    edges = [len(body) * i // pieces for i in range(pieces + 1)]
    parts = [body[a:b] for a, b in pairwise(edges)]
    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *fields.values())),
        *(chunk(b"IDAT", part) for part in parts),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def decoded(content: bytes) -> np.ndarray:
    return png.decode(png.read_chunks(content))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from((1, 2, 3, 4)),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_any_filters_and_pieces_give_pillows_pixels(height, width, channels, pieces, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (height, 1 + width * channels), np.uint8)
    rows[:, 0] = rng.integers(0, 5, height)
    content = raw_png(rows.tobytes(), height, width, channels, pieces)
    np.testing.assert_array_equal(decoded(content), by_pillow(content))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_photographs_as_pillow_and_as_we_write_them(channels):
    pixels = scene(97, 131, channels)
    for content in (saved(Image.fromarray(pixels, MODE[channels]), "PNG"), png.encode(pixels)):
        np.testing.assert_array_equal(decoded(content).reshape(pixels.shape), pixels)
        np.testing.assert_array_equal(by_pillow(content).reshape(pixels.shape), pixels)


def test_pieces_smaller_than_the_picture(monkeypatch):
    pixels = scene(60, 50)
    content = saved(Image.fromarray(pixels), "PNG")
    monkeypatch.setattr(png, "BLOCK", 700)  # four rows
    monkeypatch.setattr(png, "SLICE", 100)
    np.testing.assert_array_equal(decoded(content), pixels)


def good_rows(height: int = 6, width: int = 5, channels: int = 3) -> bytes:
    return bytes(height * (1 + width * channels))


OTHERS = {
    "palette": kinds()["palette.png"][0],
    "clear palette": kinds()["palette clear.png"][0],
    "bits": kinds()["bits.png"][0],
    "16 bits": deep_png(scene(5, 6, 3, np.uint16)),
    "animation": animation("PNG"),
    "interlaced": raw_png(good_rows(), 6, 5, 3, interlace=1),
    "a clear level": saved(Image.fromarray(scene(6, 5)), "PNG", transparency=(1, 2, 3)),
    "a bomb": bomb(1000),
    "JPEG": saved(Image.fromarray(scene(6, 5)), "JPEG"),
    "too few rows": raw_png(good_rows(5), 6, 5, 3),
    "too many rows": raw_png(good_rows(7), 6, 5, 3),
    "a byte too much": raw_png(good_rows() + b"\0", 6, 5, 3),
    "no such filter": raw_png(b"\5" + good_rows()[1:], 6, 5, 3),
    "no height": raw_png(b"", 0, 5, 3),
    "no data": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""),
    "nothing": b"",
    "signature": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_left_to_pillow(name):
    with pytest.raises(png.OtherPng):
        decoded(OTHERS[name])


def test_a_changed_byte_or_a_missing_end_is_seen():
    content = saved(Image.fromarray(scene(20, 30)), "PNG")
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        for other in (bytes(damaged), content[:place]):
            with pytest.raises(png.OtherPng):
                decoded(other)


def test_a_wrong_checksum_of_the_compressed_data_is_seen():
    body = bytearray(zlib.compress(good_rows()))
    body[-1] ^= 1  # with a chunk whose own checksum is right
    content = raw_png(good_rows(), 6, 5, 3).replace(
        chunk(b"IDAT", zlib.compress(good_rows())), chunk(b"IDAT", bytes(body))
    )
    with pytest.raises(png.OtherPng):
        decoded(content)


@pytest.mark.parametrize("after", [False, True])
def test_metadata_before_and_after_the_pixels(after, tmp_path):
    """EXIF may follow the pixels; Pillow then finds it only when it has decoded them."""
    pixels = scene(20, 30)
    start, data, end = split_at_data(saved(Image.fromarray(pixels), "PNG"))
    block = exif(6).tobytes().removeprefix(b"Exif\0\0")
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(icc()))
    extra = chunk(b"pHYs", bytes(9)) + chunk(b"eXIf", block)
    parts = (start, profile, data, extra, end) if after else (start, profile, extra, data, end)
    (tmp_path / "x.png").write_bytes(b"".join(parts))
    photo = read_photo(tmp_path / "x.png")
    np.testing.assert_array_equal(photo.pixels, np.rot90(pixels, -1))
    assert photo.icc == icc()
    found = Image.Exif()
    found.load(photo.exif)
    assert found[0x010F] == "maker"


def split_at_data(content: bytes) -> tuple[bytes, bytes, bytes]:
    first, last = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
    return content[:first], content[first:last], content[last:]


def test_the_limit_of_pixels_comes_before_decoding(tmp_path):
    rows = good_rows(1000, 1000, 1)
    (tmp_path / "x.png").write_bytes(raw_png(rows, 1000, 1000, 1))
    with pytest.raises(ImageError, match="over the limit"):
        read_photo(tmp_path / "x.png", max_pixels=999_999)


def test_little_is_held_beside_the_pixels():
    content = png.encode(scene(3000, 2000, 3))
    chunks = png.read_chunks(content)
    decoded(png.encode(scene(9, 9)))  # compiled before the count begins
    tracemalloc.start()
    pixels = png.decode(chunks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < pixels.nbytes + 3 * png.BLOCK

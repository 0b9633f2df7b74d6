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
    "animation": animation("PNG"),
    "interlaced": raw_png(good_rows(), 6, 5, 3, interlace=1),
    "a clear level": saved(Image.fromarray(scene(6, 5)), "PNG", transparency=(1, 2, 3)),
    "no height": raw_png(b"", 0, 5, 3),
    "no data": png.SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""),
    "JPEG": saved(Image.fromarray(scene(6, 5)), "JPEG"),
    "nothing": b"",
}
DAMAGED = {
    "a bomb": (bomb(1000), "only a part of its pixels"),
    "too few rows": (raw_png(good_rows(5), 6, 5, 3), "only a part of its pixels"),
    "no such filter": (raw_png(b"\5" + good_rows()[1:], 6, 5, 3), "filter that does not exist"),
    "no end": (saved(Image.fromarray(scene(60, 50)), "PNG")[:-2000], "truncated"),
    "signature": (png.SIGNATURE, "truncated"),
    "41 bytes that ask for 4 GB": (
        deep_png(scene(5, 6, 3, np.uint16))[:33] + b"\xf5\0\x07\x98IDAT", "truncated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_left_to_pillow(name):
    with pytest.raises(png.OtherPng):
        decoded(OTHERS[name])


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name, tmp_path):
    content, reason = DAMAGED[name]
    (tmp_path / "x.png").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ImageError, match=reason):
        read_photo(tmp_path / "x.png")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("rows", [good_rows(7), good_rows() + b"\0"])
def test_what_follows_the_last_row_is_left_alone(rows):
    np.testing.assert_array_equal(decoded(raw_png(rows, 6, 5, 3)), np.zeros((6, 5, 3), np.uint8))


EVERY_PNG = {name: content for name, (content, *_) in kinds().items() if name.endswith(".png")}
EVERY_PNG |= {
    "animation.png": animation("PNG"),
    "many pieces.png": raw_png(good_rows(), 6, 5, 3, 5),
}


@pytest.mark.parametrize("name", EVERY_PNG)
def test_a_flipped_bit_in_the_pixels_is_named(name, tmp_path):
    """In each chunk of pixels of each type: none is enhanced as if it were whole."""
    content = EVERY_PNG[name]
    place, seen = 8, 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] in png.PIXELS:
            for at in {place + 8, place + 8 + length // 2, place + 7 + length, place + 9 + length}:
                damaged = bytearray(content)
                damaged[at] ^= 0x10
                (tmp_path / "x.png").write_bytes(damaged)
                with pytest.raises(ImageError, match=r"damaged in 'IDAT'|damaged in 'fdAT'"):
                    read_photo(tmp_path / "x.png")
                seen += 1
        place += 12 + length
    assert seen >= 3


def test_a_changed_byte_or_a_missing_end_never_changes_a_pixel(tmp_path):
    """It is named, or it was in what is no pixel: the trailer."""
    pixels = scene(20, 30)
    content = saved(Image.fromarray(pixels), "PNG")
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        for other in (bytes(damaged), content[:place]):
            (tmp_path / "x.png").write_bytes(other)
            try:
                photo = read_photo(tmp_path / "x.png")
            except ImageError:
                assert place <= len(content) - 12
            else:
                assert place > len(content) - 13
                np.testing.assert_array_equal(photo.pixels, pixels)


def test_a_wrong_checksum_of_the_compressed_data_is_seen():
    body = bytearray(zlib.compress(good_rows()))
    body[-1] ^= 1  # with a chunk whose own checksum is right
    content = raw_png(good_rows(), 6, 5, 3).replace(
        chunk(b"IDAT", zlib.compress(good_rows())), chunk(b"IDAT", bytes(body))
    )
    with pytest.raises(ImageError, match="damaged"):
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

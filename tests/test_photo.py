"""Files of every kind into arrays and back: nothing lost, every failure one sentence."""

import contextlib
import io
import os
import struct
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from pictures import (
    CAMERA,
    LATITUDE,
    ORIENTATION,
    OWNER,
    STORED,
    TAKEN,
    animation,
    bomb,
    chunk,
    deep_png,
    deep_tiff,
    exif,
    icc,
    kinds,
    saved,
    scene,
    turned,
)
from PIL import Image

from sgz.errors import ImageError
from sgz.image.photo import FORMAT_OF_SUFFIX, Photo, encode_photo, output_name, read_photo

KINDS = kinds()


def decoded(content: bytes, path, **options) -> Photo:
    path.write_bytes(content)
    return read_photo(path, **options)


@pytest.mark.parametrize("name", KINDS)
def test_reads_every_kind(name, tmp_path):
    content, pixels, alpha = KINDS[name]
    photo = decoded(content, tmp_path / name)
    assert photo.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert (photo.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("name", KINDS)
def test_lossless_types_return_what_was_read(name, suffix, tmp_path):
    photo = decoded(KINDS[name][0], tmp_path / name)
    again = decoded(encode_photo(photo, suffix), tmp_path / f"again{suffix}")
    pixels = photo.pixels
    if again.pixels.ndim > pixels.ndim:  # 16-bit gray with alpha becomes RGBA of three grays
        assert name.startswith("deep gray") and photo.alpha is not None
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    assert again.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(again.pixels, pixels)
    if photo.alpha is not None:
        np.testing.assert_array_equal(again.alpha, photo.alpha)


def test_cmyk_jpeg_is_read_in_colour(tmp_path):
    rgb = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    content = saved(Image.fromarray(rgb).convert("CMYK"), "JPEG", quality=100)
    photo = decoded(content, tmp_path / "cmyk.jpg")
    assert np.abs(photo.pixels.astype(int) - rgb).max() <= 3
    assert photo.icc is None  # a profile for four inks does not fit three lights


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright_once(orientation, kind, tmp_path):
    upright = np.kron(scene(4, 6), np.ones((8, 8, 1), np.uint8))
    photo = decoded(turned(upright, orientation, kind), tmp_path / "x")
    assert photo.pixels.shape == upright.shape
    assert np.abs(photo.pixels.astype(int) - upright).max() <= (12 if kind == "JPEG" else 0)
    for suffix in (".jpg", ".png", ".tif", ".webp"):  # and it must not be turned again
        with Image.open(io.BytesIO(encode_photo(photo, suffix))) as image:
            assert image.getexif().get(ORIENTATION, 1) == 1
            assert image.getexif()[0x010F] == "maker"
            assert image.size == upright.shape[1::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_are_turned_upright(orientation, tmp_path):
    upright = scene(5, 7, 3, np.uint16)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    block = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    tag = (ORIENTATION, 3, 1, orientation, True)
    for content in (
        deep_png(stored, chunk(b"eXIf", block)),
        deep_tiff(stored, extratags=[tag]),
    ):
        np.testing.assert_array_equal(decoded(content, tmp_path / "x").pixels, upright)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "deep PNG"])
def test_exif_and_icc_are_carried(source, suffix, tmp_path):
    profile = icc()
    if source == "deep PNG":
        block = exif(6).tobytes().removeprefix(b"Exif\0\0")
        extra = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)), chunk(b"eXIf", block)
        content = deep_png(scene(20, 30, 3, np.uint16), *extra)
    else:
        kind = "PNG" if source == "TIFF" else source  # Pillow's TIFF writer loses letters
        image = Image.fromarray(scene(20, 30))
        content = saved(image, kind, exif=exif(6).tobytes(), icc_profile=profile)
        if source == "TIFF":
            content = encode_photo(decoded(content, tmp_path / "x"), ".tif")
    photo = decoded(content, tmp_path / "x")
    with Image.open(io.BytesIO(encode_photo(photo, suffix))) as image:
        found = image.getexif()
        assert found[0x0110].encode("latin-1").decode() == CAMERA
        assert found.get_ifd(0x8769)[0x9003] == TAKEN
        owner = found.get_ifd(0x8769)[0xA430]
        assert (owner.encode("latin-1") if isinstance(owner, str) else owner) == OWNER.encode()
        assert float(found.get_ifd(0x8769)[0x829A]) == pytest.approx(0.04)
        assert found.get_ifd(0x8825)[1].rstrip("\0") == "N"
        assert [float(x) for x in found.get_ifd(0x8825)[2]] == pytest.approx(LATITUDE)
        assert image.info["icc_profile"] == profile


def test_long_packets_do_not_keep_a_tiff_from_becoming_a_jpeg(tmp_path):
    packets = {700: b"<x/>" * 30_000, 33723: bytes(70_000), 34377: bytes(70_000), 0x010F: "maker"}
    photo = decoded(saved(Image.fromarray(scene(9, 9)), "TIFF", tiffinfo=packets), tmp_path / "x")
    with Image.open(io.BytesIO(encode_photo(photo, ".jpg"))) as image:
        assert image.getexif()[0x010F] == "maker"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("block", [b"", b"garbage", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\xff\xff"])
def test_damaged_exif_does_not_cost_the_photograph(block, kind, tmp_path):
    pixels = scene(20, 30)
    content = saved(Image.fromarray(pixels), kind, exif=b"Exif\0\0" + block)
    photo = decoded(content, tmp_path / "x")
    assert photo.pixels.shape == pixels.shape
    assert photo.exif is None


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(kind, tmp_path):
    photo = decoded(animation(kind), tmp_path / "x")
    assert photo.frames == 3
    assert np.abs(photo.pixels.astype(int) - (10, 20, 60)).max() <= 2


def test_a_phones_previews_are_no_animation(tmp_path):
    frames = [Image.fromarray(scene(20, 30)), Image.fromarray(scene(10, 15))]
    content = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    photo = decoded(content, tmp_path / "x.jpg")
    assert photo.pixels.shape == (20, 30, 3)
    assert photo.frames == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 7), (11, 11)])
@pytest.mark.parametrize("suffix", sorted(set(FORMAT_OF_SUFFIX) - {".avif"}))
def test_tiny_images(size, suffix, tmp_path):
    for channels in (1, 3):
        photo = Photo(scene(*size, channels))
        again = decoded(encode_photo(photo, suffix), tmp_path / f"x{suffix}")
        assert again.pixels.shape[:2] == size


def test_bomb_is_refused_naming_what_raises_the_limit(tmp_path):
    (tmp_path / "x.png").write_bytes(bomb())
    with pytest.raises(ImageError, match=r"100000x100000 .* 300 megapixels") as caught:
        read_photo(tmp_path / "x.png")
    assert caught.value.argument == "max_pixels"
    pixels = scene(30, 40)
    content = saved(Image.fromarray(pixels), "PNG")
    with pytest.raises(ImageError, match="over the limit"):
        decoded(content, tmp_path / "y.png", max_pixels=1199)
    assert decoded(content, tmp_path / "y.png", max_pixels=1200).pixels.shape == pixels.shape


def test_content_decides_not_the_name(tmp_path):
    pixels = scene(20, 30)
    photo = decoded(saved(Image.fromarray(pixels), "PNG"), tmp_path / "really a png.jpg")
    np.testing.assert_array_equal(photo.pixels, pixels)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("name", ["rgb.png", "rgb.tif", "deep rgb.png", "deep rgb.tif", "rgb.webp"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9])
def test_truncated_file_is_an_error(name, part, tmp_path):
    content = KINDS[name][0]
    with pytest.raises(ImageError, match=r"replace or remove it|save it anew"):
        decoded(content[: int(len(content) * part)], tmp_path / name)


@pytest.mark.parametrize("deep", [False, True])
def test_heic_is_read_where_its_decoder_is_installed(deep, tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    upright = np.kron(scene(4, 6), np.ones((16, 16, 1), np.uint8))
    stored = np.ascontiguousarray(np.rot90(upright, 1))
    if deep:  # 10 bits, as newer phones write
        mode, data = "RGB;16", (stored.astype(np.uint16) * 257).tobytes()
    else:
        mode, data = "RGB", stored.tobytes()
    image = heif.from_bytes(mode, stored.shape[1::-1], data)
    image.info["exif"] = exif(6).tobytes()
    image.save(tmp_path / "x.heic", quality=95)
    photo = read_photo(tmp_path / "x.heic")
    assert photo.pixels.shape == upright.shape  # upright, once
    assert np.abs(photo.pixels.astype(int) - upright).mean() < 3
    with Image.open(io.BytesIO(encode_photo(photo, ".jpg"))) as again:
        assert again.getexif()[0x010F] == "maker"


def test_heic_without_its_decoder_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)  # as if it were not installed
    with pytest.raises(ImageError, match=r"pip install .sgz\[heif\]"):
        decoded(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), tmp_path / "x.heic")


def test_truncated_jpeg_is_an_error(tmp_path):
    content = saved(Image.fromarray(scene(60, 80)), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        decoded(content[: len(content) // 2], tmp_path / "x.jpg")


def test_what_is_no_picture_file(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "program.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    for name, reason in {
        "text.jpg": "not an image",
        "program.jpg": "not an image",
        "pipe.jpg": "not an ordinary file",
        "gone.jpg": "no such file",
    }.items():
        with pytest.raises(ImageError, match=reason):
            read_photo(tmp_path / name)
    thirty_two = saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(ImageError, match="32 bits"):
        decoded(thirty_two, tmp_path / "float.tif")
    inks = deep_tiff(scene(9, 9, 4, np.uint16), photometric="separated", extrasamples=[])
    with pytest.raises(ImageError, match="save it as plain gray or RGB"):
        decoded(inks, tmp_path / "inks.tif")


def test_types_with_a_size_limit_say_so(tmp_path):
    for suffix, side in ((".webp", 16_384), (".jpg", 65_536)):
        with pytest.raises(ImageError, match="cannot be written as") as caught:
            encode_photo(Photo(np.zeros((1, side, 3), np.uint8)), suffix)
        assert caught.value.argument == "suffix"
    wide = Photo(np.zeros((1, 1_000_001), np.uint8))  # more than libpng's usual limit
    assert encode_photo(wide, ".png")[16:20] == (1_000_001).to_bytes(4, "big")


def test_output_names():
    assert str(output_name("a/b.JPG")) == "a/b.JPG"
    assert str(output_name("a/b.heic")) == "a/b.png"
    assert str(output_name("a/b.c.gif", "webp")) == "a/b.c.webp"


def test_eight_bits_from_sixteen_are_rounded(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    photo = decoded(encode_photo(Photo(levels), ".bmp"), tmp_path / "x.bmp")
    np.testing.assert_array_equal(photo.pixels, np.rint(levels / 257).astype(np.uint8))


@pytest.mark.filterwarnings("ignore")
def test_decoders_own_lines_stay_off_the_terminal(tmp_path, capfd):
    for name, (content, *_) in KINDS.items():
        for damaged in (content[: len(content) // 2], content[:60] + b"\xff" * 9 + content[69:]):
            with contextlib.suppress(ImageError):
                decoded(damaged, tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".jpg"])
def test_a_video_is_called_one(suffix, tmp_path):
    starts = {".mkv": b"\x1a\x45\xdf\xa3", ".avi": b"RIFF\0\0\0\0AVI LIST"}
    content = starts.get(suffix, b"\0\0\0\x18ftypisom\0\0\2\0isomiso2") + bytes(999)
    with pytest.raises(ImageError, match="this is a video") as caught:
        decoded(content, tmp_path / f"x{suffix}")
    assert caught.value.argument == "video"


def test_a_file_of_holes_is_not_read_whole(tmp_path):
    """Neither one of zeros alone nor one that begins as a picture: 3 GB that take no disk."""
    for name, start in (("x.png", b""), ("y.jpg", saved(Image.fromarray(scene(9, 9)), "JPEG"))):
        path = tmp_path / name
        path.write_bytes(start)
        os.truncate(path, 3 << 30)
        tracemalloc.start()
        with pytest.raises(ImageError, match=r"not an image|3\.2 GB is no photograph"):
            read_photo(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


def test_pillows_guard_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_500_000)
    (tmp_path / "x.pgm").write_bytes(b"P5 4000 3000 255\n" + bytes(12_000_000))
    assert read_photo(tmp_path / "x.pgm").pixels.shape == (3000, 4000)  # and ours is another
    assert Image.MAX_IMAGE_PIXELS == 1_500_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "x.pgm")


def test_of_many_pages_two_are_looked_for(tmp_path):
    """30,000 pages that are one another's copies; walking them takes half a minute."""
    page = deep_tiff(scene(9, 9, 1))
    place = int.from_bytes(page[4:8], "little")
    count = int.from_bytes(page[place : place + 2], "little")
    directory = page[place : place + 2 + 12 * count]
    content = bytearray(page[:4] + (8 + len(page)).to_bytes(4, "little") + page[8:] + bytes(8))
    for number in range(30_000):
        after = len(content) + len(directory) + 4
        content += directory + (after if number < 29_999 else 0).to_bytes(4, "little")
    started = time.perf_counter()
    photo = decoded(bytes(content), tmp_path / "x.tif")
    assert time.perf_counter() - started < 3
    assert photo.frames == 2
    np.testing.assert_array_equal(photo.pixels, scene(9, 9, 1))


def test_tiles_no_file_could_fill_are_refused(tmp_path):
    content = bytearray(deep_tiff(scene(26, 31, 3, np.uint16), tile=(16, 16)))
    for tag in (322, 323):
        at = content.index(struct.pack("<HHI", tag, 4, 1))
        content[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 1 << 20)
    with pytest.raises(ImageError, match="damaged"):
        decoded(bytes(content), tmp_path / "x.tif")


def test_strips_that_are_not_as_many_as_the_directory_says_are_refused(tmp_path):
    """Planes that lie apart, their tag gone: the first strip would run on into the others."""
    planes = scene(26, 31, 3, np.uint16).transpose(2, 0, 1)
    content = bytearray(deep_tiff(planes, planarconfig="separate"))
    at = content.index(struct.pack("<HHI", 284, 3, 1))
    content[at : at + 2] = struct.pack("<H", 283)  # a tag that means nothing here
    with pytest.raises(ImageError, match="truncated, or its directory damaged"):
        decoded(bytes(content), tmp_path / "x.tif")

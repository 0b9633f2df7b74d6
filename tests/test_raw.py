"""Camera RAW: 16 bits in and out where rawpy is installed, a sentence where it is not."""

import io
import sys

import numpy as np
import pytest
import tifffile
from pictures import scene
from PIL import Image

from sgz.errors import ImageError
from sgz.image.photo import encode_photo, output_name, read_photo


def dng(colour: tuple[float, float, float], side: int = 128) -> bytes:
    """A DNG of one colour under an RGGB mosaic of 16 bits, as linear light in [0, 1]."""
    mosaic = np.empty((side, side), np.uint16)
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[y::2, x::2] = round(65535 * colour[channel])
    # XYZ (D65) -> linear sRGB, so that the camera's colours are sRGB's.
    matrix = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    rational = [part for value in matrix for part in (round(value * 10_000), 10_000)]
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Test camera", True),  # UniqueCameraModel
        (50721, "2i", 9, rational, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
        (271, "s", 0, "maker", True),
    ]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, mosaic, photometric="cfa", extratags=tags, metadata=None)
    return buffer.getvalue()


def test_a_dng_is_developed_to_sixteen_bits(tmp_path):
    pytest.importorskip("rawpy", reason="rawpy is not installed")
    light = (0.05, 0.02, 0.01)
    for name in ("x.dng", "by another name.tif"):
        (tmp_path / name).write_bytes(dng(light))
        photo = read_photo(tmp_path / name)
        assert photo.pixels.shape == (128, 128, 3)
        assert photo.pixels.dtype == np.uint16
        linear = np.array(light)
        expected = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
        found = photo.pixels[32:96, 32:96].mean((0, 1)) / 65535
        np.testing.assert_allclose(found, expected, atol=0.02)
    for suffix in (".tif", ".png"):
        (tmp_path / f"again{suffix}").write_bytes(encode_photo(photo, suffix))
        np.testing.assert_array_equal(read_photo(tmp_path / f"again{suffix}").pixels, photo.pixels)
    with Image.open(io.BytesIO(encode_photo(photo, ".jpg"))) as image:
        assert image.getexif()[0x010F] == "maker"
        assert 50706 not in image.getexif()  # what it is written as needs no developing
    with pytest.raises(ImageError, match="over the limit"):
        read_photo(tmp_path / "x.dng", max_pixels=9999)
    (tmp_path / "cut.dng").write_bytes(dng(light)[:600])
    with pytest.raises(ImageError, match=r"cannot be developed|not an image|truncated"):
        read_photo(tmp_path / "cut.dng")


def test_without_its_decoder_raw_is_named_and_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)  # as if it were not installed
    buffer = io.BytesIO()  # as a camera writes it: a thumbnail first, the raw data behind
    with tifffile.TiffWriter(buffer) as file:
        file.write(scene(20, 30), subifds=1, subfiletype=1, photometric="rgb")
        file.write(scene(200, 300, 1, np.uint16))
    contents = {
        "x.dng": dng((0.1, 0.1, 0.1)),
        "thumbnail.nef": buffer.getvalue(),
        "no name.tif": buffer.getvalue(),
        "fuji.raf": b"FUJIFILMCCD-RAW 0201" + bytes(999),
        "canon.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(999),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=r"camera RAW needs a decoder; pip install 'sgz\[raw"):
            read_photo(tmp_path / name)


def test_it_is_written_as_tiff():
    assert str(output_name("a/b.NEF")) == "a/b.tif"
    assert str(output_name("a/b.dng", "jpg")) == "a/b.jpg"

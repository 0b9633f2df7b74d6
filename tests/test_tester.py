"""test.py as a user runs it: a folder of everything, enhanced, mirrored, accounted for."""

import os

import numpy as np
import pytest
from pictures import (
    animation,
    bomb,
    exif,
    files_under,
    icc,
    kinds,
    png,
    saved,
    scene,
    turned,
    write_all,
)
from PIL import Image

from sgz.image.photo import read_photo


def one_bit(content: bytes) -> bytes:
    """A file with a bit of its middle flipped."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A folder with everything a person may have in it, and an output folder inside it."""
    folder = tmp_path_factory.mktemp("zoo of pictures")
    photograph = Image.fromarray(scene(60, 80))
    upright = np.kron(scene(4, 6), np.ones((8, 8, 1), np.uint8))
    good = {f"kinds/{name}": content for name, (content, *_) in kinds().items()}
    good |= {f"tiny/{h}x{w}.png": png(scene(h, w)) for h, w in [(1, 1), (1, 50), (50, 1), (5, 7)]}
    for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
        for orientation in range(1, 9):
            good[f"turned/{orientation}.{suffix}"] = turned(upright, orientation, kind)
        block = {"exif": exif(6).tobytes(), "icc_profile": icc()}
        good[f"with metadata/photo.{suffix}"] = saved(photograph, kind, **block)
    good |= {
        "moving/one.gif": animation("GIF"),
        "moving/two.webp": animation("WEBP"),
        "moving/three.png": animation("PNG"),
        "pages.tif": animation("TIFF"),
        "cmyk.jpg": saved(photograph.convert("CMYK"), "JPEG"),
        "a png.jpg": png(scene(20, 30)),
        "new\nline.png": png(scene(20, 31)),
        "夜景/Ночь ☾.jpg": saved(photograph, "JPEG"),
        "夜" * 83 + ".png": png(scene(20, 32)),  # 253 bytes, as long as a name can be
        "UPPER.PNG": png(scene(20, 33)),
        "folder.png/inside.png": png(scene(20, 34)),
        "same.png": png(scene(20, 35)),
        "read-only/photo.png": png(scene(20, 36)),
    }
    bad = {
        "noise.png": np.random.default_rng(0).bytes(2000),
        "text.jpg": b"no picture",
        "empty.jpg": b"",
        "cut.jpg": saved(photograph, "JPEG")[:900],
        "cut.png": png(scene(60, 80))[:900],
        "bomb.png": bomb(),
        "same.ppm": saved(photograph, "PPM"),
        "bit.tif": one_bit(saved(photograph, "TIFF", compression="tiff_deflate")),
    }
    write_all(folder, good | bad | {"readme.txt": b"no image", ".hidden.png": png(scene(9, 9))})
    (folder / "read-only/photo.png").chmod(0o444)
    (folder / "read-only").chmod(0o555)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "ring a").symlink_to("ring b")
    (folder / "ring b").symlink_to("ring a")
    (folder / "ring.png").symlink_to("ring.png")
    (folder / "nowhere.jpg").symlink_to("gone.jpg")
    os.mkfifo(folder / "pipe.jpg")
    reasons = {
        "noise.png": "not an image",
        "text.jpg": "not an image",
        "empty.jpg": "not an image",
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "bomb.png": "100000x100000 is over the limit of 300 megapixels; raise it with",
        "same.ppm": "same.png is already the output of",
        "bit.tif": "damaged or truncated",
        "pipe.jpg": "not an ordinary file",
        "nowhere.jpg": "no such file",
        "ring.png": "no such file",
    }
    return folder, good, reasons


@pytest.fixture(scope="module")
def zoo_run(zoo, weight, enhance):
    folder, *_ = zoo
    output = folder / "out"
    return enhance("--input_dir", folder, "--weight_dir", weight, "--test_dir", output), output


def output_of(name: str) -> str:
    return name[:-4] + ".png" if name.endswith((".ppm", ".pgm")) else name


def test_everything_good_is_written_and_nothing_else(zoo, zoo_run):
    _, good, _ = zoo
    _, output = zoo_run
    assert files_under(output) == {output_of(name) for name in good}


def test_everything_bad_is_named_with_its_reason(zoo, zoo_run):
    folder, good, reasons = zoo
    done, output = zoo_run
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    named = [line for line in done.stderr.splitlines() if line.startswith("not enhanced: ")]
    assert len(named) == len(reasons)
    assert named == done.stderr.splitlines()  # and libtiff itself says nothing
    for name, reason in reasons.items():
        assert any(line.startswith(f"not enhanced: {folder / name}: ") and reason in line
                   for line in named), (name, done.stderr)  # fmt: skip
    assert f"enhanced {len(good)} images in" in done.stdout
    assert f"into {output}" in done.stdout
    assert "of 1 with several frames or pages, the first was taken" in done.stdout


def test_outputs_are_the_reference_within_a_level(zoo, zoo_run, plainly):
    folder, good, _ = zoo
    _, output = zoo_run
    for name in good:
        if name.endswith((".jpg", ".webp", ".gif")):
            continue  # not stored without loss; see test_photo
        dark, bright = read_photo(folder / name), read_photo(output / output_of(name))
        expected = plainly(dark.pixels)
        if bright.pixels.ndim > expected.ndim:
            expected = np.repeat(expected[..., None], 3, axis=2)
        assert bright.pixels.dtype == expected.dtype, name
        levels = 8 if expected.dtype == np.uint16 else 1
        assert np.abs(bright.pixels.astype(int) - expected).max() <= levels, name
        assert (bright.alpha is None) == (dark.alpha is None), name
        if dark.alpha is not None:
            np.testing.assert_array_equal(bright.alpha, dark.alpha, err_msg=name)


def test_outputs_are_upright_and_keep_their_type_and_metadata(zoo, zoo_run):
    _, good, _ = zoo
    _, output = zoo_run
    for name in good:
        path = output / name
        if name.startswith("turned/"):
            with Image.open(path) as image:
                assert image.size == (48, 32), name
                assert image.getexif().get(0x0112, 1) == 1, name
        if name.startswith("with metadata/"):
            with Image.open(path) as image:
                assert image.getexif()[0x010F] == "maker", name
                assert image.info["icc_profile"] == icc(), name
                assert image.size == (60, 80), name
                suffixes = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WEBP": "webp"}
                assert suffixes[image.format] == path.suffix[1:]
    with Image.open(output / "a png.jpg") as image:  # the name decides what is written
        assert image.format == "JPEG"


def test_skip_existing_goes_on(zoo, zoo_run, weight, enhance):
    folder, good, _ = zoo
    _, output = zoo_run
    gone = ["UPPER.PNG", "turned/3.tif"]
    for name in gone:
        (output / name).unlink()
    before = {name: (output / name).stat().st_mtime_ns for name in files_under(output)}
    done = enhance(
        "--input_dir", folder, "--weight_dir", weight, "--test_dir", output, "--skip_existing"
    )
    assert "enhanced 2 images in" in done.stdout
    assert f"{len(good) - 2} were already there" in done.stdout
    assert files_under(output) == {output_of(name) for name in good}
    assert before == {name: (output / name).stat().st_mtime_ns for name in before}

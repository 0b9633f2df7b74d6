"""Enhancer against EnhanceNet.forward: within one level, for any size, type and device."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import scene

from sgz import device as device_path
from sgz import model, processor
from sgz.device import DevicePath
from sgz.enhancer import Enhancer
from sgz.image.photo import Photo, encode_photo

ROOT = Path(__file__).parents[1]
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
SIZES = [(1, 1), (1, 50), (50, 1), (5, 7), (11, 12), (12, 12), (120, 96), (121, 97), (250, 333)]
LEVELS = {np.uint8: 1, np.uint16: 8, np.float32: 1e-4, np.float64: 1e-4}


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest one; of arrays that are alike in shape and type."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    return np.abs(found.astype(np.float64) - expected).max()


def picture(height: int, width: int, dtype, channels: int = 3) -> np.ndarray:
    """[H, W, 3] or [H, W]; floats in [0, 1]."""
    if np.dtype(dtype).kind == "u":
        return scene(height, width, channels, dtype)
    return (scene(height, width, channels, np.uint16) / 65535).astype(dtype)


@pytest.fixture(scope="module")
def enhancer(weight):
    return Enhancer(weight, device="cpu")


@pytest.fixture(scope="module", params=DEVICES)
def on_device(request, weight):
    """An enhancer on the path of GPUs, which also runs on the CPU."""
    enhancer = Enhancer(weight, device="cpu")
    enhancer.path = DevicePath(weight, "dsc", request.param)
    return enhancer


@pytest.mark.parametrize("dtype", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_reference(size, channels, dtype, enhancer, plainly):
    image = picture(*size, dtype, channels)
    found = enhancer(image)
    assert difference(found, plainly(image)) <= LEVELS[dtype]
    if image.size > 1000:
        assert found.mean() > 1.2 * image.mean()  # it does enhance


@pytest.mark.parametrize("dtype", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_device_path_equals_the_reference(size, channels, dtype, on_device, plainly):
    image = picture(*size, dtype, channels)
    assert difference(on_device(image), plainly(image)) <= LEVELS[dtype]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_layout_gives_the_same(dtype, enhancer, on_device):
    image = picture(130, 170, dtype)
    fixed = image.copy()
    fixed.setflags(write=False)
    layouts = [
        np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1],
        np.asfortranarray(image),
        np.repeat(image, 2, axis=1)[:, ::2],
        np.dstack((image, image))[..., :3],
        fixed,
    ]
    for path in (enhancer, on_device):
        expected = path(image)
        for layout in layouts:
            before = layout.copy()
            np.testing.assert_array_equal(path(layout), expected)
            np.testing.assert_array_equal(layout, before)


@pytest.mark.parametrize("kind", ["tc", "dc"])
def test_other_architectures(kind, weights, plainly):
    image = picture(130, 170, np.uint8)
    found = Enhancer(weights[kind], device="cpu", conv_type=kind)(image)
    assert difference(found, plainly(image, kind=kind)) <= 1


@pytest.mark.parametrize("kind", ["dsc", "tc", "dc"])
@pytest.mark.parametrize("scale", [1, 2, 5])
@pytest.mark.parametrize("path", ["cpu", "device"])
def test_tiles_have_no_seams(path, scale, kind, weights, plainly, monkeypatch):
    monkeypatch.setattr(processor, "TILE", 40)
    monkeypatch.setattr(device_path, "TILE", 40)
    enhancer = Enhancer(weights[kind], scale, device="cpu", conv_type=kind)
    if path == "device":
        enhancer.path = DevicePath(weights[kind], kind, "cpu")
    for size in ((93, 131), (41 * scale, 40 * scale + 1), (7, 90)):
        image = picture(*size, np.uint8)
        assert difference(enhancer(image), plainly(image, scale, kind=kind)) <= 1


def test_full_scale_tiles_of_the_real_size(weight, plainly):
    image = picture(262, 280, np.uint8)  # 2 x 2 tiles of 256
    enhancer = Enhancer(weight, scale_factor=1, device="cpu")
    assert difference(enhancer(image), plainly(image, 1)) <= 1
    gray = image[..., 0]
    assert difference(enhancer(gray), plainly(gray, 1)) <= 1


@pytest.mark.parametrize("dtype", [*LEVELS, np.float16])
@pytest.mark.parametrize("scale", [1, 12])
def test_strength_zero_is_the_input_bit_for_bit(scale, dtype, weight, on_device):
    image = np.linspace(0, 1, 3 * 256 * 100).reshape(100, 256, 3)
    image = image * 65535 if dtype == np.uint16 else image * 255 if dtype == np.uint8 else image
    image = image.astype(dtype)
    enhancer = Enhancer(weight, scale, strength=0.0, device="cpu")
    found = enhancer(image)
    assert found.tobytes() == image.tobytes()
    assert not np.shares_memory(found, image)
    factor = on_device.factor(image)
    assert on_device.apply(image, factor, strength=0).tobytes() == image.tobytes()
    assert on_device.apply(image, factor, iterations=0).tobytes() == image.tobytes()


@pytest.mark.parametrize("strength", [0.3, 1.7, 50.0])
def test_strength_multiplies_the_clamped_map(strength, weight, plainly, on_device):
    image = picture(121, 97, np.uint8)
    expected = plainly(image, strength=strength)
    enhancer = Enhancer(weight, strength=strength, device="cpu")
    assert difference(enhancer(image), expected) <= 1
    found = on_device.apply(image, on_device.factor(image), strength=strength)
    assert difference(found, expected) <= 1


def test_iterations_brighten_step_by_step(enhancer, weight):
    image = picture(60, 80, np.uint8)
    factor = enhancer.factor(image)
    means = [enhancer.apply(image, factor, iterations=n).mean() for n in (0, 1, 4, 8)]
    assert means == sorted(set(means))
    found = Enhancer(weight, iterations=4, device="cpu")(image)
    np.testing.assert_array_equal(found, enhancer.apply(image, factor, iterations=4))


def test_factor_then_apply_is_the_call(enhancer, on_device):
    for path in (enhancer, on_device):
        for dtype in (np.uint8, np.uint16, np.float32):
            image = picture(121, 97, dtype)
            factor = path.factor(image)
            assert factor.shape == (3, 11, 9)
            assert factor.dtype == np.float32
            assert np.abs(factor).max() <= 1
            np.testing.assert_array_equal(path.apply(image, factor), path(image))
        with pytest.raises(ValueError, match=r"would be \(3, 5, 7\)"):
            path.apply(picture(60, 80, np.uint8), factor)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((4, 4, 5), np.uint8), r"shape \(4, 4, 5\)"),
        (np.zeros((4,), np.uint8), r"shape \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.int32), "not int32"),
        (np.full((4, 4, 3), 1.5), r"floats in \[0, 1\]"),
        (np.full((4, 4, 3), np.nan), r"floats in \[0, 1\]"),
    ],
)
def test_what_is_no_image_is_refused(image, reason, enhancer):
    with pytest.raises(ValueError, match=reason):
        enhancer(image)
    with pytest.raises(ValueError, match=reason):
        enhancer.factor(image)


def test_a_network_is_cached_until_its_checkpoint_changes(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint = tmp_path / "net.pth"
    checkpoint.write_bytes(weights["dsc"].read_bytes())
    image = scene(40, 50)
    first = Enhancer(checkpoint, device="cpu")(image)
    (stored,) = (tmp_path / ".cache/sgz").iterdir()
    monkeypatch.setattr(model, "load_model", None)  # not asked again
    np.testing.assert_array_equal(Enhancer(checkpoint, device="cpu")(image), first)
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(tmp_path))

    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1  # a disk's fault
    stored.write_bytes(content)
    np.testing.assert_array_equal(Enhancer(checkpoint, device="cpu")(image), first)

    state = torch.load(checkpoint, weights_only=True)
    state["e_conv7.point_conv.bias"] += 0.2
    torch.save(state, checkpoint)
    assert np.abs(Enhancer(checkpoint, device="cpu")(image).astype(int) - first).max() > 2
    checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(model.CheckpointError):
        Enhancer(checkpoint, device="cpu")


def test_a_home_that_cannot_be_written_only_costs_time(weight, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert Enhancer(weight, device="cpu")(scene(40, 50)).shape == (40, 50, 3)


def test_many_threads_share_one_enhancer(enhancer):
    images = [scene(150 + i, 200, seed=i) for i in range(12)]
    expected = [enhancer(image) for image in images]
    with ThreadPoolExecutor(6) as pool:
        for found, wanted in zip(pool.map(enhancer, images), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


MEASURE = """
import json, resource, sys
import numpy as np
from sgz.enhancer import Enhancer
from sgz.image.photo import encode_photo, read_photo
weight, scale, what, large, *files = sys.argv[1:]
scale, large = int(scale), int(large)
enhancer = Enhancer(weight, scale, device="cpu", threads=2)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def from_file_to_file(path):
    photo = read_photo(path)
    photo = photo.with_pixels(enhancer(photo.pixels))
    encode_photo(photo, "." + what)
    return photo.pixels
if what in ("jpg", "png"):
    run = lambda side: from_file_to_file(files[side == large])
else:
    dtype = np.dtype(what)
    run = lambda side: enhancer(np.full((side, side, 3), 7, dtype))
run(800)
before, result = peak(), run(large)
print(json.dumps([(peak() - before) / large**2, result.itemsize * 3]))
"""


@pytest.mark.parametrize(
    ("what", "scale", "side"),
    [
        ("uint8", 12, 10_000),
        ("uint16", 12, 5000),
        ("uint8", 1, 1600),
        ("jpg", 12, 5000),
        ("png", 12, 3000),
    ],
)
def test_peak_memory_is_under_eight_bytes_a_pixel(what, scale, side, weight, tmp_path):
    """Beyond what a small picture took before, less the input, per pixel."""
    files = [tmp_path / "small", tmp_path / "large"]
    if what in ("jpg", "png"):
        for path, length in zip(files, (800, side), strict=True):
            noise = np.random.default_rng(0).integers(0, 99, (length, length, 3), np.uint8)
            path.write_bytes(encode_photo(Photo(noise), f".{what}"))
    command = [sys.executable, "-c", MEASURE, weight, str(scale), what, str(side), *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    taken, decoded = json.loads(done.stdout)
    assert taken - decoded < 8

"""The CPU kernel against the plain computation in torch."""

import os
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import scene

from sgz import model
from sgz.kernels import rgb

ROOT = Path(__file__).parents[1]
SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (11, 11), (12, 12), (13, 25), (24, 36), (37, 53), (97, 64)]
SIZES += [(5, 700), (120, 160)]  # rows longer than the kernel's buffers; many rows
DTYPES = [np.uint8, np.uint16, np.float32]


def picture(height: int, width: int, dtype, channels: int = 3) -> np.ndarray:
    """[H, W, C]; floats in [0, 1]."""
    kind = np.uint16 if dtype == np.float32 else dtype
    stack = scene(height, width, channels, kind).reshape(height, width, channels)
    return stack / np.float32(65535) if dtype == np.float32 else stack


def factor_map(height: int, width: int, scale: int, channels: int = 3) -> np.ndarray:
    """A map of any values in [-1, 1], -1 and 1 among them."""
    shape = channels, -(-height // scale), -(-width // scale)
    factor = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    factor.flat[0], factor.flat[-1] = -1, 1
    return factor


def plain(image: np.ndarray, factor: np.ndarray, scale: int, iterations: int = 8) -> np.ndarray:
    """The curve in torch in float64, not rounded, on the image's own scale."""
    height, width = image.shape[:2]
    peak = rgb.PEAK[image.dtype]
    wide = model.enlarge(torch.from_numpy(factor)[None].double(), scale)[0, :, :height, :width]
    x = torch.from_numpy(image.astype(np.float64) / peak)
    return model.apply_curve(x, wide.permute(1, 2, 0), iterations).numpy() * peak


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 2, 3, 12, 13])
@pytest.mark.parametrize("size", SIZES)
def test_shrink_is_the_models(size, scale, dtype):
    image = picture(*size, dtype)
    tensor = torch.from_numpy(image.astype(np.float32) / np.float32(rgb.PEAK[image.dtype]))
    expected = model.shrink(tensor.permute(2, 0, 1)[None], scale)[0].numpy()
    found = rgb.shrink(image, scale)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 2, 12, 13])
@pytest.mark.parametrize("size", SIZES)
def test_apply_is_the_plain_curve(size, scale, dtype):
    image, factor = picture(*size, dtype), factor_map(*size, scale)
    found = rgb.apply_factor(image, factor, scale)
    assert (found.dtype, found.shape) == (image.dtype, image.shape)
    error = np.abs(found - plain(image, factor, scale)).max()
    # Half a level is the rounding; the rest is float32 (positions along a row of 700 pixels).
    assert error <= {np.uint8: 0.51, np.uint16: 4, np.float32: 1e-4}[dtype]


def test_gray_is_one_channel():
    image, factor = picture(40, 50, np.uint8, 1), factor_map(40, 50, 12, 1)
    found = rgb.apply_factor(image, factor, 12)
    assert np.abs(found - plain(image, factor, 12)).max() <= 0.51


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_layout_gives_the_same(dtype):
    image, factor = picture(64, 80, dtype), factor_map(64, 80, 12)
    expected = rgb.apply_factor(image, factor, 12)
    fixed = image.copy()
    fixed.setflags(write=False)
    layouts = {
        "every other pixel": np.repeat(np.repeat(image, 2, 0), 2, 1)[::2, ::2],
        "mirrored twice": np.ascontiguousarray(image[:, ::-1])[:, ::-1],
        "column major": np.asfortranarray(image),
        "planes": np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
        "read-only": fixed,
    }
    for name, array in layouts.items():
        before = array.copy()
        found = rgb.apply_factor(array, factor, 12)
        np.testing.assert_array_equal(found, expected, err_msg=name)
        np.testing.assert_array_equal(array, before, err_msg=name)
        np.testing.assert_array_equal(rgb.shrink(array, 12), rgb.shrink(image, 12), err_msg=name)


def test_bands_and_writing_in_place_change_nothing():
    image, factor = picture(97, 64, np.uint8), factor_map(97, 64, 12)
    expected = rgb.apply_factor(image, factor, 12)
    with ThreadPoolExecutor(3) as pool:
        for bands in (1, 2, 7, 97):
            found = rgb.apply_factor(image, factor, 12, 8, pool, bands)
            np.testing.assert_array_equal(found, expected)
        rgb.apply_factor(image, factor, 12, 8, pool, 3, out=image)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_leaves_every_level_as_it_is(dtype):
    levels = {np.uint8: 256, np.uint16: 65536}.get(dtype, 0)
    image = np.arange(levels).astype(dtype) if levels else np.linspace(0, 1, 65536, dtype=dtype)
    image = image.reshape(16, -1, 1)
    none = np.zeros((1, 16, image.shape[1]), np.float32)
    np.testing.assert_array_equal(rgb.apply_factor(image, none, 1), image)
    full = np.full_like(none, -1)
    np.testing.assert_array_equal(rgb.apply_factor(image, full, 1, iterations=0), image)


def test_what_does_not_fit_is_refused():
    image = picture(24, 36, np.uint8)
    with pytest.raises(ValueError, match=r"expected \(3, 2, 3\)"):
        rgb.apply_factor(image, np.zeros((3, 2, 4), np.float32), 12)
    for out in (np.empty((24, 36, 3), np.uint16), np.empty((36, 24, 3), np.uint8), image[:, ::-1]):
        with pytest.raises(ValueError, match="C-contiguous uint8 array"):
            rgb.apply_factor(image, factor_map(24, 36, 12), 12, out=out)


RUN_KERNEL = """
import numpy as np
from sgz.kernels import rgb
image = np.full((8, 8, 3), 100, np.uint8)
print(rgb.apply_factor(image, np.full((3, 1, 1), -0.5, np.float32), 12)[0, 0, 0])
"""


@pytest.mark.parametrize("trouble", ["no folder", "disk full"])
def test_kernel_without_a_cache_on_disk(trouble, tmp_path):
    shutil.copytree(ROOT / "sgz", tmp_path / "sgz", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {key: os.environ[key] for key in os.environ if key != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    if trouble == "no folder":  # nowhere to write, not even for root
        (tmp_path / "sgz/kernels/__pycache__").touch()
        environment |= {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}

    def limit():
        if trouble == "disk full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    command = [sys.executable, "-c", RUN_KERNEL]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, preexec_fn=limit, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200
    assert not list(tmp_path.rglob("*.nbc"))


def test_kernel_is_cached_on_disk(tmp_path):
    shutil.copytree(ROOT / "sgz", tmp_path / "sgz", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", RUN_KERNEL], cwd=tmp_path, env=environment, check=True)
    assert list(tmp_path.rglob("*.nbc"))

"""The look's compiled passes against plain NumPy, and the path of a GPU against both."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pictures import scene

from sgz.device import DevicePath
from sgz.kernels import denoise, natural
from sgz.kernels.noise import measure_blocks
from sgz.look.denoise import denoise_plainly, shrinkage_of
from sgz.look.treatment import Treatment, apply_plainly
from sgz.pixels import PEAK
from sgz.processor import PACKAGED

SIZES = [(1, 1), (1, 9), (9, 1), (12, 12), (37, 53), (97, 64), (5, 700)]
WEIGHTS = PACKAGED / "Epoch99.pth"
DTYPES = [np.uint8, np.uint16, np.float32]


def picture(size: tuple[int, int], dtype, channels: int = 3) -> np.ndarray:
    """[H, W, C]; floats in [0, 1]."""
    kind = np.uint16 if dtype == np.float32 else dtype
    stack = scene(*size, channels, kind).reshape(*size, channels)
    return stack / np.float32(65535) if dtype == np.float32 else stack


def treatment(size: tuple[int, int], scale: int, channels: int, maps: int, sigma: float = 0.0):
    """Any treatment, with factors beyond -1 and 1 to be clipped."""
    rng = np.random.default_rng(1)
    shape = maps, -(-size[0] // scale), -(-size[1] // scale)
    slope, offset = rng.uniform(-1, 1, (2, *shape)).astype(np.float32)
    return Treatment(rng.uniform(0, 0.05, channels).astype(np.float32), slope, offset, sigma)


def run(image: np.ndarray, given: Treatment, scale: int, **more) -> np.ndarray:
    shrinkage = None
    if given.sigma:
        shrinkage = shrinkage_of(given.sigma * PEAK[image.dtype], image.shape)
    parts = given.black, given.slope, given.offset
    return natural.apply_look(image, *parts, scale, 8, shrinkage, **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 12])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "maps"), [(3, 1), (3, 3), (1, 1)])
def test_the_pass_is_the_plain_one(size, scale, dtype, channels, maps):
    image = picture(size, dtype, channels)
    for sigma in (0.0, 0.05):
        given = treatment(size, scale, channels, maps, sigma)
        found = run(image, given, scale)
        expected = apply_plainly(image / PEAK[image.dtype], given, scale, 8)
        assert (found.dtype, found.shape) == (image.dtype, image.shape)
        error = np.abs(found - expected * PEAK[image.dtype]).max()
        # Half a level is the rounding; the rest is float32 (positions along a row of 700 pixels).
        assert error <= {np.uint8: 0.52, np.uint16: 12, np.float32: 2e-4}[dtype]


@pytest.mark.parametrize("step", [8, 12])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_denoising_is_the_plain_one(size, channels, step):
    image = picture(size, np.uint8, channels)
    found = denoise.denoise(image, shrinkage_of(6.0, image.shape, step))
    expected = denoise_plainly(image.astype(np.float64), 6.0, step)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_no_noise_is_nothing_to_take_out():
    image = picture((60, 80), np.uint8)
    found = denoise.denoise(image, shrinkage_of(0.0, image.shape))
    np.testing.assert_allclose(found, image, atol=1e-3)


def test_bands_change_nothing():
    image = picture((131, 64), np.uint8)
    for sigma in (0.0, 0.05):
        given = treatment((131, 64), 12, 3, 1, sigma)
        expected = run(image, given, 12)
        with ThreadPoolExecutor(3) as pool:
            for bands in (1, 2, 7, 16):
                found = run(image, given, 12, pool=pool, bands=bands)
                np.testing.assert_array_equal(found, expected)


def test_every_layout_gives_the_same():
    image = picture((64, 80), np.uint8)
    given = treatment((64, 80), 12, 3, 1, 0.03)
    expected = run(image, given, 12)
    for array in (np.repeat(image, 2, 1)[:, ::2], np.asfortranarray(image), image.copy()):
        array.setflags(write=False)
        np.testing.assert_array_equal(run(array, given, 12), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_do_leaves_every_level_as_it_is(dtype):
    levels = {np.uint8: 256, np.uint16: 65536}.get(dtype, 0)
    image = np.arange(levels).astype(dtype) if levels else np.linspace(0, 1, 65536, dtype=dtype)
    image = np.repeat(image.reshape(16, -1, 1), 3, 2)
    none = np.zeros((1, 16, image.shape[1]), np.float32)
    found = run(image, Treatment(np.zeros(3, np.float32), none, none, 0.0), 1)
    np.testing.assert_allclose(found, image, rtol=0, atol=1e-6 if dtype == np.float32 else 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_of_blocks_is_the_laplacians(channels, dtype):
    image = picture((40, 70), dtype, channels)
    means, deviations = measure_blocks(image, np.arange(8), 4)
    for number in range(8):
        top, left = 16 * (number // 4), 16 * (number % 4)
        block = image[top : top + 16, left : left + 16].astype(np.float64)
        luma = block.sum(2) / np.sqrt(channels)
        rows = luma[:-2] - 2 * luma[1:-1] + luma[2:]
        laplacian = (rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6
        assert means[number] == pytest.approx(block.mean(), rel=1e-4)
        assert deviations[number] == pytest.approx(np.sqrt((laplacian**2).mean()), rel=1e-3)


@pytest.mark.parametrize("maps", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (97, 64)])
def test_the_device_path_is_the_plain_one(size, maps):
    image = picture(size, np.float32)
    given = treatment(size, 12, 3, maps, 0.05)
    path = DevicePath(WEIGHTS, "dsc", "cpu")
    found = path.apply_look(path.upload(image), given, 12, 8).numpy()
    expected = apply_plainly(image.astype(np.float64), given, 12, 8)
    np.testing.assert_allclose(found, expected, atol=2e-4)

"""The fused pass on a frame's planes against the same arithmetic on a whole RGB picture."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sgz.kernels import rgb, yuv

LAYOUTS = [  # height, width, bits, subsampling, shares, full, interlaced
    (48, 64, 8, (2, 2), (0.2126, 0.0722), False, False),
    (47, 1029, 8, (2, 2), (0.299, 0.114), True, False),
    (48, 1025, 10, (2, 2), (0.2126, 0.0722), False, True),
    (33, 35, 8, (1, 1), (0.299, 0.114), False, False),
    (40, 66, 10, (2, 1), (0.2627, 0.0593), True, False),
    (41, 63, 12, (1, 2), (0.2126, 0.0722), False, False),
    (1, 1, 8, (2, 2), (0.2126, 0.0722), False, False),
]


def make_planes(layout, levels=(20, 120), chroma=(110, 146)):
    height, width, bits, subsampling, shares, full, interlaced = layout
    rng = np.random.default_rng(0)
    kind, unit = (np.uint8, 1) if bits == 8 else (np.uint16, 1 << (bits - 8))
    small = -(-height // subsampling[1]), -(-width // subsampling[0])
    arrays = [rng.integers(levels[0] * unit, levels[1] * unit, (height, width + 5)).astype(kind)]
    arrays += [
        rng.integers(chroma[0] * unit, chroma[1] * unit, (small[0], small[1] + 3)).astype(kind)
        for _ in range(2)
    ]  # lines are padded, as FFmpeg pads them
    return yuv.Planes(tuple(arrays), width, height, bits, subsampling, shares, full, interlaced)


def mean_of_pixels(values, planes):
    """[H, W] -> chroma samples, each the mean of its pixels, whose last row or column may lack."""
    horizontal, vertical = planes.subsampling
    rows, columns = np.indices(values.shape)
    lines = rows // vertical
    if planes.weave():
        lines = rows // 4 * 2 + rows % 2
    total = np.zeros((lines.max() + 1, -(-planes.width // horizontal)))
    count = total.copy()
    np.add.at(total, (lines, columns // horizontal), values)
    np.add.at(count, (lines, columns // horizontal), 1)
    return total / count


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scale", [1, 5, 12])
def test_equals_the_picture_path(layout, scale):
    planes = make_planes(layout)
    rng = np.random.default_rng(1)
    small = -(-planes.height // scale), -(-planes.width // scale)
    factor = rng.uniform(-1, 1, (3, *small)).astype(np.float32)
    picture = planes.to_rgb(planes.read(np.arange(planes.height), np.arange(planes.width)))
    bright = rgb.apply_factor(picture.astype(np.float32), factor, scale).astype(np.float64)
    red, blue = planes.shares
    luma = bright @ np.array([red, 1 - red - blue, blue])
    black, luma_step, gray, chroma_step = planes.levels()
    expected = [luma * luma_step + black]
    for channel, share in ((2, blue), (0, red)):
        difference = (bright[..., channel] - luma) / (2 * (1 - share))
        expected.append(mean_of_pixels(difference, planes) * chroma_step + gray)
    yuv.apply_factor(planes, factor, scale)
    peak = (1 << planes.bits) - 1
    for plane, values in zip(planes.arrays, expected, strict=True):
        written = plane[: values.shape[0], : values.shape[1]].astype(float)
        # Half a level of rounding, and what float32 leaves open about it.
        assert np.abs(written - values.clip(0, peak)).max() <= 0.5 + 2e-3 * (1 << planes.bits - 8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_map_of_zeros_changes_nothing(layout):
    """Colours that RGB has come back exactly."""
    planes = make_planes(layout, levels=(80, 150), chroma=(122, 134))
    before = [plane.copy() for plane in planes.arrays]
    small = -(-planes.height // 12), -(-planes.width // 12)
    yuv.apply_factor(planes, np.zeros((3, *small), np.float32), 12)
    for plane, old in zip(planes.arrays, before, strict=True):
        assert np.array_equal(plane, old)


def test_bands_and_iterations():
    layout = (50, 70, 8, (2, 2), (0.299, 0.114), False, False)
    factor = np.full((3, 5, 6), -0.3, np.float32)
    for iterations in (0, 1, 3, 8):
        one, other = make_planes(layout), make_planes(layout)
        yuv.apply_factor(one, factor, 12, iterations)
        with ThreadPoolExecutor(3) as pool:
            yuv.apply_factor(other, factor, 12, iterations, pool, 4)
        for plane, same in zip(one.arrays, other.arrays, strict=True):
            assert np.array_equal(plane, same)


def test_a_map_that_does_not_fit():
    with pytest.raises(ValueError, match="expected"):
        yuv.apply_factor(make_planes(LAYOUTS[0]), np.zeros((3, 9, 9), np.float32), 12)


def test_matrix_by_tag_or_height():
    assert yuv.shares_of_matrix(1, 480) == (0.2126, 0.0722)
    assert yuv.shares_of_matrix(2, 480) == (0.299, 0.114)
    assert yuv.shares_of_matrix(2, 1080) == (0.2126, 0.0722)

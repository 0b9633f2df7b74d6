"""How far a photograph is from natural ones, without any reference: NIQE.

score = niqe(image)  # image [H, W, 3] uint8 RGB; lower is better
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

NIQE_MODEL = Path(__file__).resolve().parents[1] / "data" / "niqe_model.npz"
NIQE_COLOURS = ("studio", "studio_rounded", "full")
NIQE_BLOCK = 96
# Pixels are multiplied with their right, lower, lower right and lower left neighbour.
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def luma(image: np.ndarray, colour: str = "full") -> np.ndarray:
    """BT.601 luma of [H, W, 3] RGB or [H, W] gray uint8: [H, W] float64.

    "full" lies in 0..255 and is rounded, as Matlab's rgb2gray; "studio" lies in 16..235, as its
    rgb2ycbcr, and is rounded too in "studio_rounded".
    """
    values = image.astype(np.float64)
    if colour == "full":
        return values if image.ndim == 2 else np.round(values @ np.array([0.299, 0.587, 0.114]))
    weights = np.array([65.481, 128.553, 24.966]) / 255
    studio = (values * weights.sum() if image.ndim == 2 else values @ weights) + 16
    return np.round(studio) if colour == "studio_rounded" else studio


def mscn(plane: np.ndarray) -> np.ndarray:
    """Mean-subtracted, contrast-normalised values of a luma plane in 0..255.

    (I - mu) / (sigma + 1), with mu and sigma under a 7x7 Gaussian window of deviation 7/6
    (Mittal et al. 2012, eq. 1 to 3).
    """
    window = cv2.getGaussianKernel(7, 7 / 6)
    mean = cv2.sepFilter2D(plane, -1, window, window, borderType=cv2.BORDER_REPLICATE)
    square = cv2.sepFilter2D(plane * plane, -1, window, window, borderType=cv2.BORDER_REPLICATE)
    return (plane - mean) / (np.sqrt(np.abs(square - mean * mean)) + 1)


def halve(plane: np.ndarray) -> np.ndarray:
    """Half the size by the antialiased bicubic of Matlab's imresize; sizes are even."""
    distance = (np.arange(8) - 3.5) / 2
    near, far = 1.5 * np.abs(distance) ** 3, -0.5 * np.abs(distance) ** 3  # Keys, a = -1/2
    near += -2.5 * distance**2 + 1
    far += 2.5 * distance**2 - 4 * np.abs(distance) + 2
    weights = np.where(np.abs(distance) <= 1, near, far)
    weights /= weights.sum()
    filtered = cv2.sepFilter2D(
        plane, -1, weights, weights, anchor=(3, 3), borderType=cv2.BORDER_REFLECT
    )
    return filtered[::2, ::2]


@cache
def gamma_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For shapes a = 0.2, 0.201 … 10: a, r(a), sqrt(G(1/a) / G(3/a)) and G(2/a) / G(1/a).

    r(a) = G(2/a)^2 / (G(1/a) G(3/a)) grows with a.
    """
    from scipy.special import gamma

    shape = np.arange(200, 10001) / 1000
    g1, g2, g3 = gamma(1 / shape), gamma(2 / shape), gamma(3 / shape)
    return shape, g2**2 / (g1 * g3), np.sqrt(g1 / g3), g2 / g1


def nearest_shape(ratio: np.ndarray) -> np.ndarray:
    """The index in gamma_tables whose r(a) is nearest to each ratio."""
    table = gamma_tables()[1]
    above = np.clip(np.searchsorted(table, ratio), 1, len(table) - 1)
    return above - (ratio - table[above - 1] < table[above] - ratio)


def fit_asymmetric(
    values: np.ndarray, zero_is_right: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit an asymmetric generalised Gaussian to each row by moments (Lasmar et al. 2009).

    Args:
        values: [N, samples].
        zero_is_right: whether exact zeros count among the right side's samples, or on no side.

    Returns:
        The index of the shape in gamma_tables, the left and the right standard deviation, and
        the factor from deviation to scale, each [N]; NaN deviations where a side has no sample.
    """
    square = values * values
    negative, positive = values < 0, values >= 0 if zero_is_right else values > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((square * negative).sum(1) / negative.sum(1))
        right = np.sqrt((square * positive).sum(1) / positive.sum(1))
        skew = left / right
        ratio = np.abs(values).mean(1) ** 2 / square.mean(1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    index = nearest_shape(np.nan_to_num(ratio))
    return index, left, right, gamma_tables()[2][index]


def niqe_features(blocks: np.ndarray) -> np.ndarray:
    """18 features of each block of MSCN values: [N, h, w] -> [N, 18] (Mittal et al. 2013, 2.2)."""
    shapes, _, _, mean_factor = gamma_tables()
    index, left, right, scale = fit_asymmetric(blocks.reshape(len(blocks), -1))
    columns = [shapes[index], scale * (left + right) / 2]
    for shift in NEIGHBOURS:
        products = blocks * np.roll(blocks, shift, axis=(1, 2))  # wraps round, as the authors do
        index, left, right, scale = fit_asymmetric(products.reshape(len(blocks), -1))
        mean = scale * (right - left) * mean_factor[index]
        columns += [shapes[index], mean, scale * left, scale * right]
    return np.stack(columns, axis=1)


def split_blocks(plane: np.ndarray, size: int) -> np.ndarray:
    """[R size, C size] -> [R C, size, size]."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    grid = plane.reshape(rows, size, columns, size).swapaxes(1, 2)
    return np.ascontiguousarray(grid).reshape(-1, size, size)


@cache
def niqe_model() -> tuple[np.ndarray, np.ndarray]:
    """The published mean [36] and covariance [36, 36] of pristine photographs."""
    with np.load(NIQE_MODEL) as model:
        return model["mean"], model["covariance"]


def niqe(image: np.ndarray, colour: str = "studio", border: int = 0) -> float:
    """Natural image quality evaluator (Mittal et al., IEEE SPL 2013); lower is better.

    The distance between the Gaussian of this image's features and that of pristine photographs,
    on 96x96 blocks at full and half size.

    Args:
        image: [H, W, 3] RGB or [H, W] gray, uint8.
        colour: "studio", luma in 16..235 as the common Python toolboxes, "studio_rounded" as their
            later versions; "full", in 0..255 and rounded, as the authors' Matlab release.
        border: pixels cut off each side first.

    Returns:
        NaN where it is not defined: fewer than two blocks with any structure.

    Raises:
        ValueError: smaller than two blocks of 96x96 after the border is cut, or no such colour.
    """
    if colour not in NIQE_COLOURS:
        raise ValueError(f"colour must be one of {', '.join(NIQE_COLOURS)}, not {colour!r}")
    height, width = (length - 2 * border for length in image.shape[:2])
    rows, columns = max(height, 0) // NIQE_BLOCK, max(width, 0) // NIQE_BLOCK
    if rows * columns < 2:
        raise ValueError(f"NIQE needs two blocks of 96x96 pixels, not {width}x{height} in all")
    plane = luma(image, colour)
    plane = plane[border:, border:][: rows * NIQE_BLOCK, : columns * NIQE_BLOCK]
    full = niqe_features(split_blocks(mscn(plane), NIQE_BLOCK))
    half = mscn(halve(plane))
    features = np.hstack((full, niqe_features(split_blocks(half, NIQE_BLOCK // 2))))  # [N, 36]
    whole = features[np.isfinite(features).all(1)]
    if len(whole) < 2:
        return float("nan")
    mean, covariance = niqe_model()
    with np.errstate(invalid="ignore"):
        difference = mean - np.nanmean(features, axis=0)
    pooled = (covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))

"""The field's measures of quality: arrays in, numbers out.

psnr(image, reference)  # [H, W, 3] uint8 RGB, both of one size
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

SSIM_KINDS = ("rgb", "luma")
LOE_KINDS = ("step", "100x100")
CLIPPED = 250  # a channel from here on is taken for clipped
STATIC_SHARE = 0.25  # of the cells of a frame, the stillest ones, count as static
CELLS = 16  # a frame is cut into this many cells each way

Frames = Iterable[tuple[np.ndarray, np.ndarray]]


def check_pair(image: np.ndarray, reference: np.ndarray) -> None:
    """Raise ValueError unless both are uint8 images of one shape, [H, W, 3] or [H, W]."""
    if image.dtype != np.uint8 or reference.dtype != np.uint8:
        raise ValueError(f"expected uint8 images, not {image.dtype} and {reference.dtype}")
    if image.shape != reference.shape:
        sizes = (" x ".join(map(str, array.shape[1::-1])) for array in (image, reference))
        channels = (array.shape[2] if array.ndim == 3 else 1 for array in (image, reference))
        described = [f"{size} of {count}" for size, count in zip(sizes, channels, strict=True)]
        raise ValueError(f"images differ: {' against '.join(described)} channels")


def mse(image: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared error of values scaled to [0, 1]."""
    check_pair(image, reference)
    return float(np.mean((image / 255.0 - reference / 255.0) ** 2))


def mae(image: np.ndarray, reference: np.ndarray) -> float:
    """Mean absolute error of values scaled to [0, 1]."""
    check_pair(image, reference)
    return float(cv2.absdiff(image, reference).mean() / 255)


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, scikit-image's; infinite for identical images."""
    from skimage.metrics import peak_signal_noise_ratio

    check_pair(image, reference)
    if np.array_equal(image, reference):
        return float("inf")
    return float(peak_signal_noise_ratio(reference, image, data_range=255))


def ssim(image: np.ndarray, reference: np.ndarray, kind: str = "rgb") -> float:
    """Structural similarity (Wang et al. 2004), scikit-image's.

    Args:
        kind: "rgb", a uniform 7x7 window on each channel, then their mean; "luma", the paper's
            Gaussian window of deviation 1.5 on BT.601 luma.

    Raises:
        ValueError: an image smaller than the window, or no such kind.
    """
    from skimage.metrics import structural_similarity

    check_pair(image, reference)
    if kind == "rgb":
        axis = 2 if image.ndim == 3 else None
        return float(structural_similarity(reference, image, channel_axis=axis, data_range=255))
    if kind != "luma":
        raise ValueError(f"kind must be one of {', '.join(SSIM_KINDS)}, not {kind!r}")
    return float(
        structural_similarity(
            gray(reference),
            gray(image),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
    )


def gray(image: np.ndarray) -> np.ndarray:
    """BT.601 luma in 0..255, rounded: [H, W, 3] or [H, W] uint8 -> [H, W] uint8."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def rescale_to_mean(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scale an image to its reference's mean luma, as "GT mean" scores do; it flatters them."""
    ratio = float(gray(reference).mean()) / max(float(gray(image).mean()), 1e-6)
    return np.clip(np.round(image * ratio), 0, 255).astype(np.uint8)


def mean_luma(image: np.ndarray) -> float:
    """Mean BT.601 luma in 0..255."""
    return float(gray(image).mean())


def newly_clipped(image: np.ndarray, before: np.ndarray) -> float:
    """Share of pixels, in [0, 1], with some channel from 250 on where `before` had none."""
    check_pair(image, before)
    clipped, clipped_before = (
        (array if array.ndim == 2 else array.max(axis=2)) >= CLIPPED for array in (image, before)
    )
    return float(np.mean(clipped & ~clipped_before))


def loe(image: np.ndarray, before: np.ndarray, kind: str = "step") -> float:
    """Lightness order error (Wang et al., IEEE TIP 2013); lower is better, 0 keeps every order.

    For each pixel, the number of pixels whose lightness (the largest channel) compares with its
    own one way before and the other way after, averaged over the pixels of small versions.

    Args:
        kind: how the small versions are made. "step": the largest lightness within 7 pixels,
            taken every floor(min(H, W) / 50) pixels, as the evaluation code that circulates with
            the paper does; "100x100": both shrunk to 100x100, as LIME's and BIMEF's does.

    Raises:
        ValueError: sizes differ, or no such kind.
    """
    check_pair(image, before)
    lightness = [a if a.ndim == 2 else a.max(axis=2) for a in (before, image)]
    if kind == "step":
        step = max(min(image.shape[:2]) // 50, 1)
        window = np.ones((15, 15), np.uint8)
        largest = [cv2.dilate(a, window, borderType=cv2.BORDER_REFLECT_101) for a in lightness]
        small = [a[step - 1 :: step, step - 1 :: step] for a in largest]
    elif kind == "100x100":
        small = [cv2.resize(a, (100, 100), interpolation=cv2.INTER_AREA) for a in lightness]
    else:
        raise ValueError(f"kind must be one of {', '.join(LOE_KINDS)}, not {kind!r}")
    return order_errors(*small)


def order_errors(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over i of #{j: (one_i >= one_j) xor (other_i >= other_j)}, from the joint histogram.

    With c(a, b) = #{j: one_j <= a, other_j <= b}, pixel i of values (a, b) has
    c(a, 255) + c(255, b) - 2 c(a, b) such j; that takes 256 x 256 steps in place of N x N.
    """
    pairs = one.ravel().astype(np.int64) * 256 + other.ravel()
    joint = np.bincount(pairs, minlength=256 * 256).reshape(256, 256)
    below = joint.cumsum(0).cumsum(1)
    return float((joint * (below[:, -1:] + below[-1:] - 2 * below)).sum() / one.size)


def confusion(
    prediction: np.ndarray, label: np.ndarray, num_classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """Count pixels by class: [num_classes, num_classes], rows are labels, columns predictions.

    Args:
        prediction, label: [H, W] whole numbers; labels of `ignore_index` are left out.

    Raises:
        ValueError: sizes differ, or a number is no class (a prediction of `ignore_index` too).
    """
    if prediction.shape != label.shape or label.ndim != 2:
        raise ValueError(f"label maps differ: {prediction.shape} against {label.shape}")
    counted = np.ones(label.shape, bool) if ignore_index is None else label != ignore_index
    for name, values in (("prediction", prediction[counted]), ("label", label[counted])):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(
                f"{name} holds class {values.max()}, but there are classes 0 to {num_classes - 1}"
            )
    pairs = label[counted].astype(np.int64) * num_classes + prediction[counted]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_scores(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel accuracy and intersection over union of each class from a confusion matrix.

    Returns:
        Two arrays [classes] in [0, 1]. NaN where undefined: the accuracy of a class that no label
        holds, the IoU of one that neither labels nor predictions hold. mPA and mIoU are their
        means over the defined classes.
    """
    hit, labelled, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore"):
        return hit / labelled, hit / (labelled + predicted - hit)


@dataclass(frozen=True)
class Flicker:
    """A flicker measure of the input, of the output, and of what the output adds to it."""

    before: float
    after: float
    added: float


def fine_detail(plane: np.ndarray) -> np.ndarray:
    """A float32 plane less its 5x5 mean."""
    return plane - cv2.blur(plane, (5, 5))


def luma_flicker(frames: Frames) -> Flicker:
    """Flicker of mean luma in the static part of one scene, without any reference.

    The static part is the quarter of a grid of 16x16 cells whose luma varies least in the input,
    in proportion to itself. `before` and `after` are the standard deviation over time of its mean
    luma, in levels of 255. An enhancement that does not change over time hands each cell's change
    on with its contrast gain, the slope of the output's fine detail on the input's. That much the
    input explains; `added` is the standard deviation of the rest, whether it makes the output
    flicker more or, as a curve that is chosen anew for each frame does, pump against the input.

    Args:
        frames: pairs (input, output), [H, W, 3] uint8 RGB, taken one at a time; 2 KiB are kept
            of each. Split a clip at its scene cuts.

    Raises:
        ValueError: fewer than three frames, or frames that differ in size.
    """
    series: tuple[list, list] = ([], [])
    sums = np.zeros((2, CELLS**2))
    for pair in frames:
        check_pair(*pair)
        planes = [gray(frame).astype(np.float32) for frame in pair]
        for cells, plane in zip(series, planes, strict=True):
            cells.append(cell_means(plane))
        before, after = (fine_detail(plane) for plane in planes)
        sums += cell_means(after * before), cell_means(before * before)
    if len(series[0]) < 3:
        raise ValueError("flicker over time needs at least three frames")
    before, after = (np.stack(cells).astype(np.float64) for cells in series)  # [T, cells]
    movement = before.std(0) / (before.mean(0) + 1)
    static = np.argsort(movement, kind="stable")[: int(STATIC_SHARE * CELLS**2)]
    gain = sums[0, static] / np.maximum(sums[1, static], 1e-6)
    before, after = before[:, static], after[:, static]
    unexplained = ((after - after.mean(0)) - gain * (before - before.mean(0))).mean(1)  # [T]
    return Flicker(*(float(v.std()) for v in (before.mean(1), after.mean(1), unexplained)))


def cell_means(plane: np.ndarray) -> np.ndarray:
    """Means of a grid of 16x16 cells: [H, W] float32 -> [256]."""
    return cv2.resize(plane, (CELLS, CELLS), interpolation=cv2.INTER_AREA).ravel()


def warped_error(frames: Frames, tolerance: float = 8.0) -> Flicker:
    """Flow-warped error between neighbouring frames, without any reference.

    DIS optical flow (Kroeger et al. 2016) on the input carries the previous pair of frames onto
    the present one (after Lai et al. 2018); pixels count where the input's blurred luma then
    agrees within `tolerance` levels. `before` and `after` are root mean squares of the change of
    blurred luma, divided by its mean, averaged over time; `added` is that of the output's change
    less the input's times the local contrast gain (see luma_flicker). A pair of frames that agree
    in less than a tenth of their pixels is a scene cut and left out.

    Args:
        frames: pairs (input, output), [H, W, 3] uint8 RGB, of one size, taken one at a time.

    Raises:
        ValueError: no two neighbouring frames agree.
    """
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    errors, previous = [], None
    for pair in frames:
        check_pair(*pair)
        present = [gray(frame) for frame in pair]
        if previous is not None:
            flow = estimator.calc(present[0], previous[0], None)
            errors.append(change_along(flow, previous, present, tolerance))
        previous = present
    errors = [error for error in errors if error is not None]
    if not errors:
        raise ValueError("no two neighbouring frames agree; a clip needs at least two of a scene")
    return Flicker(*(float(value) for value in np.mean(errors, axis=0)))


def change_along(
    flow: np.ndarray, previous: list[np.ndarray], present: list[np.ndarray], tolerance: float
) -> tuple[float, float, float] | None:
    """warped_error's three numbers for one step along a flow [H, W, 2]; None at a scene cut.

    Args:
        previous, present: luma of input and output, [H, W] uint8 each.
    """
    rows, columns = np.indices(flow.shape[:2], dtype=np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    height, width = flow.shape[:2]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    now = [plane.astype(np.float32) for plane in present]
    before, after = (
        cv2.GaussianBlur(
            plane - cv2.remap(old.astype(np.float32), x, y, cv2.INTER_LINEAR), (0, 0), 2
        )
        for plane, old in zip(now, previous, strict=True)
    )
    agreeing = inside & (np.abs(before) <= tolerance)
    if agreeing.mean() < 0.1:
        return None
    detail, detail_after = (fine_detail(plane) for plane in now)
    slope = cv2.blur(detail_after * detail, (31, 31))
    gain = slope / np.maximum(cv2.blur(detail * detail, (31, 31)), 1e-6)
    level, level_after = (max(float(plane[agreeing].mean()), 1.0) for plane in now)
    changes = (before / level, after / level_after, (after - gain * before) / level_after)
    return tuple(float(np.sqrt(np.mean(change[agreeing] ** 2))) for change in changes)

"""Does enhancement help a frozen segmentation network? Label maps, networks, confusion matrices."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from evaluation import metrics
from evaluation.matching import INPUT, REFERENCE, match, read_rgb
from evaluation.tables import Column, Results
from sgz.errors import ImageError, UserError


def count_classes(
    paths: dict[str, Path],
    num_classes: int,
    ignore_index: int | None,
    segment: Callable[[np.ndarray], np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """The confusion matrices of one image by method.

    Args:
        paths: by role: REFERENCE is the label map, every other an image for `segment`, or a label
            map of predictions where that is None.

    Raises:
        ImageError: a file is damaged, sizes differ, or a class number is out of range.
    """
    label = read_labels(paths[REFERENCE])
    counts = {}
    for role, path in paths.items():
        if role == REFERENCE:
            continue
        try:
            prediction = segment(read_rgb(path, set())) if segment else read_labels(path)
            counts[role] = metrics.confusion(prediction, label, num_classes, ignore_index)
        except ValueError as error:
            raise ImageError(f"{path}: {error}") from error
    return counts


def read_labels(path: Path) -> np.ndarray:
    """A label map from a PNG: [H, W] class numbers; a palette is not looked up.

    Raises:
        ImageError: it cannot be decoded or holds colours.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                raise ImageError(
                    f"a label map holds class numbers in one channel, this is {image.mode}"
                )
            return np.asarray(image).astype(np.int64)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"damaged or no image ({error}); replace or remove it") from error


def bootstrap(
    matrices: dict[str, np.ndarray], baseline: str | None = None, rounds: int = 2000, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Intervals of mIoU that hold 95 % of what redrawn sets of images give.

    Args:
        matrices: method -> confusion matrices [images, classes, classes].
        baseline: a method; the same draws serve all, so that differences from it are paired.

    Returns:
        Method -> (low, high) of its mIoU in [0, 1]; and of its difference from the baseline.
    """
    images = len(next(iter(matrices.values())))
    draws = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), rounds)
    means = {}
    for method, counts in matrices.items():
        totals = np.tensordot(draws, counts, 1)  # [rounds, classes, classes]
        with warnings.catch_warnings():  # a draw may hold no pixel of any class
            warnings.simplefilter("ignore", RuntimeWarning)
            means[method] = np.nanmean([metrics.class_scores(total)[1] for total in totals], 1)
    ends = (2.5, 97.5)
    intervals = {method: np.nanpercentile(values, ends) for method, values in means.items()}
    if baseline is None:
        return intervals, {}
    gains = {m: v - means[baseline] for m, v in means.items() if m != baseline}
    return intervals, {method: np.nanpercentile(values, ends) for method, values in gains.items()}


def score_segmentation(
    folders: dict[str, Path],
    label_dir: Path,
    names: Sequence[str],
    ignore_index: int | None = None,
    segment: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[Results, dict[str, dict[str, Path]]]:
    """Accuracy and IoU of each class over all pixels; their means are mPA and mIoU.

    Args:
        folders: name -> folder of images for `segment`, or of predicted label maps without it.
        label_dir: the true label maps.
        names: of the classes, 0 to one less than there are names.
        ignore_index: a label that does not count.
        segment: a network, from load_segmenter.

    Returns:
        The results, and the matched paths by image name and role.

    Raises:
        UserError: nothing can be scored.
    """
    paths, notes = match({**folders, REFERENCE: label_dir})
    counted: dict[str, list[np.ndarray]] = {role: [] for role in folders}
    failures = []
    for name, roles in tqdm(paths.items(), unit="image", disable=None, leave=False):
        try:
            counts = count_classes(roles, len(names), ignore_index, segment)
        except ImageError as error:
            failures.append(f"{name}: {error}")
            continue
        for role, matrix in counts.items():
            counted[role].append(matrix)
    if len(failures) == len(paths):
        raise UserError(f"no image could be scored; the first: {failures[0]}")
    matrices = {role: np.stack(counts) for role, counts in counted.items()}
    scores: dict[str, dict] = {}
    for role, counts in matrices.items():
        accuracy, overlap = metrics.class_scores(counts.sum(0))
        rows = zip(names, accuracy, overlap, strict=True)
        scores[role] = {n: {"pa": 100 * float(a), "iou": 100 * float(b)} for n, a, b in rows}
    ignored = "none" if ignore_index is None else ignore_index
    protocol = [
        f"One confusion matrix per method over all pixels of {len(paths) - len(failures)} images; "
        f"ignored label: {ignored}. mPA and mIoU are means over the classes.",
        interval_sentence(matrices),
    ]
    columns = [Column("pa", "PA %", 1, 2), Column("iou", "IoU %", 1, 2)]
    # The input competes: whether enhancement helps is the question.
    return Results(columns, scores, None, protocol, failures, notes, unit="class"), paths


def interval_sentence(matrices: dict[str, np.ndarray]) -> str:
    """How sure the mIoU of each method is, and its gain over the input."""
    intervals, gains = bootstrap(matrices, INPUT if INPUT in matrices else None)

    def show(ends: np.ndarray, sign: str = "") -> str:
        return " to ".join(f"{100 * end:{sign}.1f}" for end in ends)

    parts = [
        f"{method} {show(ends)}"
        + (f" ({show(gains[method], '+')} over the input)" if method in gains else "")
        for method, ends in intervals.items()
    ]
    return f"95 % of mIoU over redrawn images (bootstrap): {', '.join(parts)}."

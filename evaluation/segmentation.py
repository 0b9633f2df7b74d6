"""Does enhancement help a frozen segmentation network? Label maps, networks, confusion matrices."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from evaluation import metrics
from evaluation.matching import REFERENCE, match, read_rgb
from evaluation.tables import Column, Results
from sgz.errors import ImageError, UserError
from sgz.machine import choose_device


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


def load_segmenter(
    path: Path, normalise: str, device: str = "auto"
) -> Callable[[np.ndarray], np.ndarray]:
    """A frozen segmentation network as a function from [H, W, 3] uint8 RGB to classes [H, W].

    The network takes float32 RGB [1, 3, H, W], in [0, 1] or normalised as ImageNet's, and gives
    logits [1, classes, h, w], which are enlarged to the image, or class numbers [1, H, W].

    Raises:
        UserError: the file cannot be loaded.
    """
    run = load_onnx(path) if path.suffix == ".onnx" else load_torchscript(path, device)
    mean, deviation = (0.0, 1.0)
    if normalise == "imagenet":
        mean, deviation = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))

    def segment(image: np.ndarray) -> np.ndarray:
        values = (np.float32(image) / 255 - mean) / deviation
        try:
            output = run(np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32))[0]
        except Exception as error:  # whatever the runtime raises for a shape it does not take
            raise ImageError(f"{path.name} does not take this image ({error})") from error
        if output.ndim == 2:
            return output.astype(np.int64)
        import cv2

        logits = np.ascontiguousarray(output.transpose(1, 2, 0))
        return cv2.resize(logits, image.shape[1::-1], interpolation=cv2.INTER_LINEAR).argmax(2)

    return segment


def load_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Run an ONNX file with onnxruntime."""
    try:
        from sgz.onnx_graph import open_session

        session = open_session(path)
    except Exception as error:
        raise UserError(f"{path} cannot be loaded as an ONNX network ({error})") from error
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def load_torchscript(path: Path, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """Run a TorchScript file."""
    import torch

    place = choose_device(device)
    try:
        network = torch.jit.load(path, map_location=place).eval()
    except Exception as error:
        raise UserError(f"{path} cannot be loaded as a TorchScript network ({error})") from error

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(batch).to(place)).cpu().numpy()

    return run


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
    total = {role: np.zeros((len(names),) * 2, np.int64) for role in folders}
    failures = []
    for name, roles in tqdm(paths.items(), unit="image", disable=None, leave=False):
        try:
            counts = count_classes(roles, len(names), ignore_index, segment)
        except ImageError as error:
            failures.append(f"{name}: {error}")
            continue
        for role, matrix in counts.items():
            total[role] += matrix
    if len(failures) == len(paths):
        raise UserError(f"no image could be scored; the first: {failures[0]}")
    scores: dict[str, dict] = {}
    for role, matrix in total.items():
        accuracy, overlap = metrics.class_scores(matrix)
        rows = zip(names, accuracy, overlap, strict=True)
        scores[role] = {n: {"pa": 100 * float(a), "iou": 100 * float(b)} for n, a, b in rows}
    ignored = "none" if ignore_index is None else ignore_index
    protocol = [
        f"One confusion matrix per method over all pixels of {len(paths) - len(failures)} images; "
        f"ignored label: {ignored}. mPA and mIoU are means over the classes."
    ]
    columns = [Column("pa", "PA %", 1, 2), Column("iou", "IoU %", 1, 2)]
    # The input competes: whether enhancement helps is the question.
    return Results(columns, scores, None, protocol, failures, notes, unit="class"), paths

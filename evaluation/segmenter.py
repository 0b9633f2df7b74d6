"""Frozen segmentation networks from files, as functions from images to classes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sgz.errors import ImageError, UserError
from sgz.machine import choose_device


def read_mapping(path: Path) -> dict[str, list[int]]:
    """Which outputs of a network make up each class of the labels, in the labels' order.

    Returns:
        Name of a class -> numbers of outputs; outputs that are nowhere are left out before the
        largest is taken.

    Raises:
        UserError: the file is no JSON object of lists of numbers, or one output is named twice.
    """
    wanted = 'needed: {"class": [outputs, …], …} in the order of the labels'
    try:
        mapping = json.loads(path.read_text("utf-8"))
        outputs = [number for numbers in mapping.values() for number in numbers]
        whole = all(type(number) is int and number >= 0 for number in outputs)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is no mapping of classes ({error}); {wanted}") from error
    if not outputs or not whole or not all(mapping.values()) or len(set(outputs)) < len(outputs):
        raise UserError(
            f"{path} is no mapping of classes: every class needs outputs, whole numbers from 0, "
            f"each in one class; {wanted}"
        )
    return mapping


def load_segmenter(
    path: Path,
    normalise: str,
    device: str = "auto",
    scale: float = 1.0,
    groups: Sequence[Sequence[int]] | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """A frozen segmentation network as a function from [H, W, 3] uint8 RGB to classes [H, W].

    The network takes float32 RGB [1, 3, H, W], in [0, 1] or normalised as ImageNet's, and gives
    logits [1, classes, h, w], which are resized to the image, or class numbers [1, H, W].

    Args:
        scale: the image is enlarged by it before the network sees it.
        groups: the outputs of each class of the labels, as of read_mapping.

    Raises:
        UserError: the file cannot be loaded.
    """
    run = load_onnx(path) if path.suffix == ".onnx" else load_torchscript(path, device)
    mean, deviation = (0.0, 1.0)
    if normalise == "imagenet":
        mean, deviation = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))

    def segment(image: np.ndarray) -> np.ndarray:
        import cv2

        large = image
        if scale != 1:
            size = [max(round(scale * side), 1) for side in image.shape[1::-1]]
            large = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        values = (np.float32(large) / 255 - mean) / deviation
        try:
            output = run(np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32))[0]
        except Exception as error:  # whatever the runtime raises for a shape it does not take
            raise ImageError(f"{path.name} does not take this image ({error})") from error
        if output.ndim == 2:
            if scale != 1:
                output = cv2.resize(
                    output.astype(np.int32), image.shape[1::-1], interpolation=cv2.INTER_NEAREST
                )
            return group_numbers(output.astype(np.int64), groups)
        logits = cv2.resize(
            np.ascontiguousarray(output.transpose(1, 2, 0)),
            image.shape[1::-1],
            interpolation=cv2.INTER_LINEAR,
        )
        if groups is None:
            return logits.argmax(2)
        if (largest := max(map(max, groups))) >= logits.shape[2]:
            raise UserError(
                f"{path} has outputs 0 to {logits.shape[2] - 1}; the mapping of classes names "
                f"{largest}"
            )
        return np.stack([logits[..., list(group)].max(2) for group in groups], 2).argmax(2)

    return segment


def group_numbers(numbers: np.ndarray, groups: Sequence[Sequence[int]] | None) -> np.ndarray:
    """Class numbers of a network -> those of the labels.

    Raises:
        ImageError: a number is in no group.
    """
    if groups is None:
        return numbers
    found = np.full_like(numbers, -1)
    for label, group in enumerate(groups):
        found[np.isin(numbers, group)] = label
    if (found < 0).any():
        raise ImageError(
            f"the network gives class {numbers[found < 0][0]}, which the mapping of classes lacks"
        )
    return found


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

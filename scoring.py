"""Score folders of images: match them by name, measure on all cores, gather the results."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

import metrics
import naturalness
from hardware import count_cores
from photo import IMAGE_SUFFIXES, ImageError, read_photo, to_8_bit
from report import Column
from utils import UserError, find_files, no_images

INPUT, REFERENCE = "input", "reference"
SHOWN = 10  # names of a list that are printed


@dataclass(frozen=True)
class Protocol:
    """Everything on which the field's numbers disagree."""

    ssim: str = "rgb"
    niqe_colour: str = "studio"
    niqe_border: int = 0
    loe: str = "step"
    gt_mean: bool = False
    crop_to_match: bool = False
    device: str = "auto"

    def describe(self, keys: Iterable[str]) -> list[str]:
        """A sentence for each choice that bears on the metrics asked for."""
        about = {
            "psnr": "PSNR (scikit-image): 8-bit RGB, whole image.",
            "ssim": "SSIM (scikit-image): "
            + ("8-bit RGB, uniform 7x7 window, mean over channels." if self.ssim == "rgb" else
               "BT.601 luma, Gaussian window of deviation 1.5."),
            "mae": "MAE, MSE: of values in [0, 1].",
            "niqe": f"NIQE: published model, luma {self.niqe_colour}, {self.niqe_border} border "
            "pixels cut off.",
            "brisque": "BRISQUE: model and features of the package brisque.",
            "loe": f"LOE: against the input, small versions by {self.loe}.",
            "newly_clipped": f"Newly clipped: pixels in % with a channel from {metrics.CLIPPED} "
            "on where the input has none.",
        }  # fmt: skip
        lines = [text for key, text in about.items() if key in keys]
        if self.gt_mean:
            lines.append(
                "GT mean: every image was rescaled to its reference's mean luma before it was "
                "compared. This uses the answer and inflates the scores; do not set them beside "
                "scores without."
            )
        if self.crop_to_match:
            lines.append("Images of different sizes were cropped to their common top left part.")
        return lines


@dataclass(frozen=True)
class Measure:
    """A metric: how it is shown, what it is held against ("", INPUT, REFERENCE), how computed."""

    column: Column
    against: str
    compute: Callable[[np.ndarray, np.ndarray | None, Protocol], float]


MEASURES = {
    measure.column.key: measure
    for measure in (
        Measure(Column("psnr", "PSNR", 1, 2), REFERENCE, lambda a, b, p: metrics.psnr(a, b)),
        Measure(Column("ssim", "SSIM", 1), REFERENCE, lambda a, b, p: metrics.ssim(a, b, p.ssim)),
        Measure(Column("mae", "MAE", -1, 4), REFERENCE, lambda a, b, p: metrics.mae(a, b)),
        Measure(Column("mse", "MSE", -1, 4), REFERENCE, lambda a, b, p: metrics.mse(a, b)),
        Measure(
            Column("niqe", "NIQE", -1),
            "",
            lambda a, b, p: naturalness.niqe(a, p.niqe_colour, p.niqe_border),
        ),
        Measure(Column("brisque", "BRISQUE", -1, 2), "", lambda a, b, p: naturalness.brisque(a)),
        Measure(Column("loe", "LOE", -1, 1), INPUT, lambda a, b, p: metrics.loe(a, b, p.loe)),
        Measure(Column("mean_luma", "mean luma", 0, 1), "", lambda a, b, p: metrics.mean_luma(a)),
        Measure(
            Column("newly_clipped", "newly clipped %", -1),
            INPUT,
            lambda a, b, p: 100 * metrics.newly_clipped(a, b),
        ),
    )
}


def measure_of(key: str, device: str = "auto") -> Measure:
    """The metric of a key: one of MEASURES, or pyiqa:NAME of IQA-PyTorch.

    Raises:
        UserError: there is no such metric, or its package is not installed.
    """
    if key.startswith("pyiqa:"):
        return pyiqa_measure(key, device)
    if key not in MEASURES:
        raise UserError(f"no metric {key}; choose from {', '.join(MEASURES)}, pyiqa:NAME")
    return MEASURES[key]


@cache
def pyiqa_measure(key: str, device: str) -> Measure:
    """A metric of IQA-PyTorch (package pyiqa), UNIQUE among them."""
    import torch

    from hardware import choose_device

    try:
        import pyiqa
    except Exception as error:  # its many dependencies fail in many ways
        raise UserError(f"{key} needs IQA-PyTorch ({error}); run: pip install pyiqa") from error
    name = key.removeprefix("pyiqa:")
    if name not in pyiqa.list_models():
        raise UserError(f"IQA-PyTorch has no metric {name}; see pyiqa.list_models()")
    try:
        network = pyiqa.create_metric(name, device=choose_device(device))
    except Exception as error:
        raise UserError(f"{key} could not be made ready ({error})") from error

    def tensor(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255

    def compute(image: np.ndarray, other: np.ndarray | None, protocol: Protocol) -> float:
        pair = (image,) if other is None else (image, other)
        with torch.no_grad():
            return float(network(*(tensor(one) for one in pair)))

    better = -1 if network.lower_better else 1
    against = REFERENCE if network.metric_mode == "FR" else ""
    return Measure(Column(key, key, better), against, compute)


def index_images(root: Path) -> dict[str, Path]:
    """Images under a folder by relative name without suffix; a file stands under its own.

    Raises:
        UserError: there is none, or two have one name.
    """
    if not root.exists():
        raise no_images(root)
    found: dict[str, Path] = {}
    for path in sorted(find_files(root, IMAGE_SUFFIXES)):
        name = path.stem if root.is_file() else path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{found[name]} and {path} have one name; keep one of them")
        found[name] = path
    if not found:
        raise no_images(root)
    return found


def match(folders: dict[str, Path]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Match images of several folders (or single files) by name.

    Returns:
        name -> role -> path, for the names that all of them have, and a sentence for each folder
        that has others.

    Raises:
        UserError: a folder has no image, or they have no name in common.
    """
    indexes = {role: index_images(root) for role, root in folders.items()}
    if all(root.is_file() for root in folders.values()):
        name = next(iter(indexes.values()))
        return {next(iter(name)): {r: first_path(index) for r, index in indexes.items()}}, []
    common = set.intersection(*(set(index) for index in indexes.values()))
    if not common:
        listed = "; ".join(f"{folders[r]} has {next(iter(i))}, …" for r, i in indexes.items())
        raise UserError(f"the folders have no image name in common ({listed})")
    unmatched = []
    for role, index in indexes.items():
        if rest := [name for name in index if name not in common]:
            unmatched.append(
                f"not compared, {len(rest)} of {folders[role]} without a partner elsewhere: "
                f"{', '.join(rest)}"
            )
    matched = {
        name: {role: index[name] for role, index in indexes.items()} for name in sorted(common)
    }
    return matched, unmatched


def first_path(index: dict[str, Path]) -> Path:
    """The only path of a single file's index."""
    return next(iter(index.values()))


@dataclass
class Scored:
    """An image's scores by method and metric, or why it has none; with remarks for the reader."""

    name: str
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    remarks: set[str] = field(default_factory=set)


def read_rgb(path: Path, remarks: set[str]) -> np.ndarray:
    """An image as 8-bit RGB [H, W, 3]; what had to be changed for that goes into `remarks`."""
    photo = read_photo(path)
    pixels = photo.pixels
    if pixels.dtype != np.uint8:
        remarks.add("16 bits per channel, rounded to 8")
        pixels = to_8_bit(pixels)
    if pixels.ndim == 2:
        remarks.add("gray, taken as three equal channels")
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if photo.alpha is not None:
        remarks.add("with an alpha channel, which was ignored")
    return pixels


def read_matched(paths: dict[str, Path], crop: bool, scored: Scored) -> dict[str, np.ndarray]:
    """The pictures of one name by role, all of one size; else `scored.failures` says why not."""
    pictures: dict[str, np.ndarray] = {}
    for role, path in paths.items():
        try:
            pictures[role] = read_rgb(path, scored.remarks)
        except ImageError as error:
            scored.failures.append(f"{path}: {error}")
    sizes = {picture.shape[:2] for picture in pictures.values()}
    if len(sizes) > 1 and crop:
        height, width = (min(lengths) for lengths in zip(*sizes, strict=True))
        return {role: picture[:height, :width] for role, picture in pictures.items()}
    if len(sizes) > 1 and not scored.failures:
        listed = ", ".join(f"{role} {p.shape[1]}x{p.shape[0]}" for role, p in pictures.items())
        scored.failures.append(f"{scored.name}: sizes differ ({listed}); add --crop_to_match")
    return pictures


def score_image(
    name: str, paths: dict[str, Path], keys: tuple[str, ...], protocol: Protocol
) -> Scored:
    """Measure every method's version of one image.

    Args:
        paths: by role: INPUT and REFERENCE where given, every other one is a method.
    """
    scored = Scored(name)
    pictures = read_matched(paths, protocol.crop_to_match, scored)
    if scored.failures:
        return scored
    for role, picture in pictures.items():
        if role != REFERENCE:
            scored.scores[role] = {}
            for key in keys:
                measure = measure_of(key, protocol.device)
                if role == INPUT and measure.against == INPUT:
                    continue  # the input against itself says nothing
                other = pictures.get(measure.against)
                try:
                    value = evaluate(measure, picture, other, protocol)
                except naturalness.BrisqueError:
                    raise
                except ValueError as error:
                    scored.remarks.add(f"{measure.column.label} undefined: {error}")
                    value = math.nan
                scored.scores[role][key] = value
    return scored


def evaluate(
    measure: Measure, picture: np.ndarray, other: np.ndarray | None, protocol: Protocol
) -> float:
    """One score of one picture."""
    if measure.against == REFERENCE and protocol.gt_mean:
        picture = metrics.rescale_to_mean(picture, other)
    return measure.compute(picture, other, protocol)


def start_worker() -> None:
    """A worker leaves Ctrl-C to its parent and computes on one core."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def run_all(function: Callable, tasks: list[tuple], num_workers: int) -> Iterator:
    """Yield function(*task) in the tasks' order, computed by processes; by this one if few."""
    workers = min(num_workers or count_cores(), max(len(tasks) // 4, 1))
    if workers == 1:
        yield from (function(*task) for task in tasks)
        return
    import multiprocessing

    # OpenBLAS would start a thread per core in every process.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, start_worker)
    try:
        yield from pool.map(function, *zip(*tasks, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


# Segmentation: does enhancement help a frozen network?


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
        from graph import open_session

        session = open_session(path)
    except Exception as error:
        raise UserError(f"{path} cannot be loaded as an ONNX network ({error})") from error
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def load_torchscript(path: Path, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """Run a TorchScript file."""
    import torch

    from hardware import choose_device

    place = choose_device(device)
    try:
        network = torch.jit.load(path, map_location=place).eval()
    except Exception as error:
        raise UserError(f"{path} cannot be loaded as a TorchScript network ({error})") from error

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(batch).to(place)).cpu().numpy()

    return run


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

"""Scores of enhanced images: the protocol, the measures, one image's scores, all cores at work."""

import math
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from evaluation import metrics, naturalness
from evaluation.matching import INPUT, REFERENCE, read_matched
from evaluation.tables import Column
from sgz.errors import UserError
from sgz.machine import choose_device, count_cores


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


@dataclass
class Scored:
    """An image's scores by method and metric, or why it has none; with remarks for the reader."""

    name: str
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    remarks: set[str] = field(default_factory=set)


def score_image(
    name: str, paths: dict[str, Path], keys: tuple[str, ...], protocol: Protocol
) -> Scored:
    """Measure every method's version of one image.

    Args:
        paths: by role: INPUT and REFERENCE where given, every other one is a method.
    """
    scored = Scored(name)
    pictures, scored.failures = read_matched(name, paths, protocol.crop_to_match, scored.remarks)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Ctrl-C waits; processes begun meanwhile never hear it, not even before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_all(function: Callable, tasks: list[tuple], num_workers: int) -> Iterator:
    """Yield function(*task) in the tasks' order, computed by processes; by this one if few."""
    workers = min(num_workers or count_cores(), max(len(tasks) // 4, 1))
    if workers == 1:
        yield from (function(*task) for task in tasks)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)
    try:
        with no_interrupts():
            results = pool.map(function, *zip(*tasks, strict=True))
        yield from results
    except BrokenProcessPool as error:
        raise UserError("a process died, likely for want of memory", "num_workers") from error
    finally:
        pool.shutdown(cancel_futures=True)

"""The method at one fixed size for phones and the web: LiteRT, Core ML, TensorFlow.js.

Each converter is a package of its own and an optional one: it is imported here when it is asked
for, and its absence is a sentence.
"""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exporting.natural import NaturalMethod
from sgz.errors import UserError
from sgz.model import EnhanceNet, apply_curve

Run = Callable[[np.ndarray], np.ndarray]


class StaticMethod(nn.Module):
    """EnhanceNet for images of one size: no shape is computed, which converters need.

    Args:
        net: in evaluation mode; its scale_factor divides height and width.
    """

    def __init__(self, net: EnhanceNet, height: int, width: int):
        super().__init__()
        self.net = net
        self.size = (height, width)

    def forward(self, image: Tensor) -> Tensor:
        """[1, 3, height, width] in [0, 1] -> enhanced, the same."""
        scale = self.net.scale_factor
        if scale == 1:
            return apply_curve(image, self.net.extract(image), self.net.iterations)
        first, count = (scale - 1) // 2, 2 - scale % 2  # the middle of each cell, as shrink
        small = F.avg_pool2d(image[..., first:, first:], count, scale)
        factor = self.net.extract(small)
        factor = F.interpolate(factor, size=self.size, mode="bilinear", align_corners=True)
        return apply_curve(image, factor, self.net.iterations)


def static_method(net: EnhanceNet, size: tuple[int, int], look: str) -> nn.Module:
    """The method with a look, at one size."""
    kind = NaturalMethod if look == "natural" else StaticMethod
    return kind(net, *size).eval()


def to_litert(net: EnhanceNet, size: tuple[int, int], look: str, target: Path) -> None:
    """Write a .tflite file: image [1, 3, H, W] float32 -> enhanced."""
    litert_torch = import_converter("litert_torch", "litert-torch")
    with silenced():
        image = torch.rand(1, 3, *size)
        model = litert_torch.convert(static_method(net, size, look), (image,))
        model.export(str(target))


def run_litert(path: Path) -> Run:
    """The written file, in LiteRT's interpreter."""
    module = import_converter("ai_edge_litert.interpreter", "litert-torch")
    interpreter = module.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return run


def to_coreml(net: EnhanceNet, size: tuple[int, int], look: str, target: Path) -> None:
    """Write an .mlpackage folder: image [1, 3, H, W] float32 -> enhanced."""
    ct = import_converter("coremltools", "coremltools")
    image = torch.rand(1, 3, *size)
    with silenced():
        traced = torch.jit.trace(static_method(net, size, look), image)
        model = ct.convert(
            traced,
            convert_to="mlprogram",
            inputs=[ct.TensorType("image", tuple(image.shape))],
            outputs=[ct.TensorType("enhanced")],
            compute_precision=ct.precision.FLOAT32,  # the default is half precision
            minimum_deployment_target=ct.target.iOS15,
        )
        model.save(str(target))


def run_coreml(path: Path) -> Run | None:
    """The written package, where there is a Core ML to run it; None elsewhere."""
    import platform

    if platform.system() != "Darwin":
        return None
    model = import_converter("coremltools", "coremltools").models.MLModel(str(path))
    return lambda image: model.predict({"image": image})["enhanced"]


def import_converter(module: str, package: str):
    """A converter's module.

    Raises:
        UserError: it is not installed.
    """
    try:
        with silenced():
            return importlib.import_module(module)
    except ImportError as error:
        missing = getattr(error, "name", None) or module
        detail = "" if module.startswith(missing) else f" ({missing} is missing)"
        raise UserError(
            f"this target needs {package}{detail}: pip install {package}, better in a virtual "
            "environment of its own"
        ) from error


@contextmanager
def silenced() -> Iterator[None]:
    """Without what converters print about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

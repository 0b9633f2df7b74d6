"""The whole method as an ONNX graph of one fixed size, of operators that old runtimes know.

Programs that carry a runtime of their own (OBS's plugin, phones) want fixed shapes, an old opset,
one input and one output.
"""

from typing import TYPE_CHECKING

import numpy as np

from sgz import onnx_look
from sgz.method import LOOKS, small_size
from sgz.onnx_graph import Graph, add_curve, add_network

if TYPE_CHECKING:  # as in onnx_graph.py
    from torch import nn

OPSET, IR_VERSION = 11, 6  # the first opset whose Resize aligns corners, and its year's format


def static_method_to_onnx(
    net: "nn.Module", height: int, width: int, look: str = "paper", strength: float = 1.0
) -> bytes:
    """image [1, 3, height, width] float32 RGB in [0, 1] -> enhanced, the same.

    Args:
        net: an EnhanceNet on the CPU; its scale_factor divides both sides.
        look: "paper", or "natural" as Enhancer's with denoise="off".
        strength: multiplies the factor map (in the natural look, what exposure found).

    Raises:
        ValueError: a side is no multiple of the scale factor, or another look.
    """
    scale = net.scale_factor
    if height % scale or width % scale:
        raise ValueError(f"{height}x{width} is no multiple of the scale factor {scale}")
    if look not in LOOKS:
        raise ValueError(f"the look must be one of {', '.join(LOOKS)}, not {look!r}")
    graph = Graph()
    add_parts = _add_natural if look == "natural" else _add_paper
    add_parts(graph, net, small_size((height, width), scale), strength)
    shape = [1, 3, height, width]
    return graph.serialise(
        "sgz_static",
        "float",
        {"image": shape, "enhanced": shape},
        OPSET,
        IR_VERSION,
        scale_factor=scale,
        conv_type=net.conv_type,
        iterations=net.iterations,
        look=look,
    )


def _add_paper(graph: Graph, net: "nn.Module", shape: tuple[int, int], strength: float) -> None:
    """The paper's path, image -> enhanced."""
    small = _add_shrink(graph, "image", net.scale_factor)
    factor = add_network(graph, net, small, "small_factor")
    if strength != 1:
        factor = _add_scaled(graph, factor, graph.constant(strength))
    factor = _add_enlarge(graph, factor, net.scale_factor)
    add_curve(graph, "image", factor, net.iterations, "enhanced")


def _add_natural(graph: Graph, net: "nn.Module", shape: tuple[int, int], strength: float) -> None:
    """The natural look but for denoising, image -> enhanced; shape is the small picture's."""
    small = _add_shrink(graph, "image", net.scale_factor)
    black = onnx_look.add_black_point(graph, small, shape)
    seen = onnx_look.add_subtraction(graph, small, black)
    factor = add_network(graph, net, seen, "small_factor")
    factor = graph.add("ReduceMean", factor, axes=[1], keepdims=1)
    factor = onnx_look.add_spared_highlights(graph, seen, factor)
    found = onnx_look.add_exposure(graph, seen, factor, shape, net.iterations)
    factor = _add_scaled(graph, factor, found)
    if strength != 1:
        factor = _add_scaled(graph, factor, graph.constant(strength))
    fit = onnx_look.add_fitted_guide(graph, seen, factor, shape)
    fit = _add_enlarge(graph, fit, net.scale_factor)
    image = onnx_look.add_subtraction(graph, "image", black)
    factor = onnx_look.add_guided_map(graph, fit, image)
    add_curve(graph, image, factor, net.iterations, "enhanced")


def _add_shrink(graph: Graph, image: str, scale: int) -> str:
    """model.shrink of a picture whose sides are multiples of scale: the middle of each cell."""
    if scale == 1:
        return image
    first, count = (scale - 1) // 2, 2 - scale % 2
    limits = [[first] * 2, [np.iinfo(np.int32).max] * 2, [2, 3]]
    picked = graph.add("Slice", image, *map(graph.constant, limits))
    return graph.add("AveragePool", picked, kernel_shape=[count] * 2, strides=[scale] * 2)


def _add_enlarge(graph: Graph, factor: str, scale: int) -> str:
    """model.enlarge: [1, C, h, w] -> [1, C, h * scale, w * scale]."""
    if scale == 1:
        return factor
    return graph.add(
        "Resize",
        *(factor, graph.array(np.zeros(0, np.float32), "no region")),
        graph.array(np.array([1, 1, scale, scale], np.float32), "enlargement"),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )


def _add_scaled(graph: Graph, factor: str, strength: str) -> str:
    """A map times a strength, in [-1, 1]."""
    product = graph.add("Mul", factor, strength)
    return graph.add("Clip", product, graph.constant(-1.0), graph.constant(1.0))

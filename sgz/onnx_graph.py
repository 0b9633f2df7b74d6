"""The network, and the whole method, as ONNX graphs built from weights without tracing."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # running a graph takes no torch
    from torch import nn

OPSET = 17
LAYOUTS = ("float_nchw", "uint8_nhwc")


def network_to_onnx(net: "nn.Module") -> bytes:
    """EnhanceNet.extract as an ONNX model: image [1, 3, h, w] -> factor [1, 3, h, w]."""
    graph = Graph()
    add_network(graph, net, "image", "factor")
    return graph.serialise("sgz", "float", {"image": [1, 3, "h", "w"], "factor": [1, 3, "h", "w"]})


def method_to_onnx(net: "nn.Module", layout: str = "float_nchw") -> bytes:
    """What EnhanceNet makes of an image of any size, as an ONNX model: image -> enhanced.

    Args:
        net: an EnhanceNet on the CPU.
        layout: of image and result: "float_nchw" is [batch, 3, height, width] float32 in [0, 1],
            "uint8_nhwc" is [batch, height, width, 3] uint8, rounded to the nearest level.

    Raises:
        ValueError: another layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"the layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    graph, scale, levels = Graph(), net.scale_factor, layout == "uint8_nhwc"
    rows = 1 if levels else 2  # the axis of the height; the width's is the next
    size = graph.add("Shape", "image", start=rows, end=rows + 2)
    picks = add_picks(graph, "image", size, scale, rows)
    if levels:  # channels stay last at full size; what is small is turned
        picks = graph.add("Transpose", add_unit(graph, picks), perm=[0, 3, 1, 2])
    factor = add_network(graph, net, add_shrink(graph, picks, scale), "small_factor")
    factor = add_enlarge(graph, factor, size, scale)
    if levels:
        factor = graph.add("Transpose", factor, perm=[0, 2, 3, 1])
        x = add_curve(graph, add_unit(graph, "image"), factor, net.iterations, "unit")
        nudged = graph.add("Mul", x, graph.constant(255.0))
        nudged = graph.add("Add", nudged, graph.constant(0.5))  # the cast truncates
        graph.add("Cast", nudged, result="enhanced", to=graph.types["uint8"])
        kind, shape = "uint8", ["batch", "height", "width", 3]
    else:
        add_curve(graph, "image", factor, net.iterations, "enhanced")
        kind, shape = "float", ["batch", 3, "height", "width"]
    return graph.serialise(
        "sgz_method",
        kind,
        {"image": shape, "enhanced": shape},
        scale_factor=scale,
        conv_type=net.conv_type,
        iterations=net.iterations,
    )


def open_session(model: bytes | Path, threads: int = 0):
    """An onnxruntime.InferenceSession of a graph or file on the CPU, which reports to nobody.

    ONNX Runtime's Linux builds send usage events to their makers. A script (command.run_script)
    keeps it from beginning; here it is told to stop.

    Args:
        threads: 0 leaves them to ONNX Runtime.
    """
    import onnxruntime  # late: it takes longer than all else that a script needs to say its help

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads must sleep: spinning, they take the cores from the curve's.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Graph:
    """An ONNX graph that is being built: its nodes and constants; values go by name."""

    def __init__(self):
        from onnx import TensorProto

        kinds = {"float": "FLOAT", "uint8": "UINT8", "int64": "INT64"}
        self.types = {name: getattr(TensorProto, kind) for name, kind in kinds.items()}
        self.nodes = []
        self.constants: dict[str, np.ndarray] = {}

    def add(
        self, operator: str, *sources: str, result: str = "", results: int = 1, **attributes
    ) -> str:
        """Append a node and return its first result's name, made up unless it is given."""
        from onnx import helper

        result = result or f"{operator}.{len(self.nodes)}"
        names = [result, *(f"{result}.{number}" for number in range(1, results))]
        self.nodes.append(helper.make_node(operator, sources, names, **attributes))
        return result

    def constant(self, value: float | list) -> str:
        """The name of a constant: a float is float32, an int or a list of them is int64."""
        kind = np.float32 if isinstance(value, float) else np.int64
        return self.array(np.array(value, kind), f"constant {value}")

    def array(self, values: np.ndarray, name: str = "") -> str:
        """The name, made up unless it is given, of an array as a constant."""
        name = name or f"constant.{len(self.constants)}"
        self.constants[name] = values
        return name

    def serialise(
        self,
        name: str,
        kind: str,
        ends: dict[str, list],
        opset: int = OPSET,
        ir_version: int = 8,
        **properties,
    ) -> bytes:
        """The finished model; `ends` are the shapes of its input and its output, of one kind."""
        from onnx import helper, numpy_helper

        source, target = (
            helper.make_tensor_value_info(end, self.types[kind], shape)
            for end, shape in ends.items()
        )
        constants = [numpy_helper.from_array(value, key) for key, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, [source], [target], constants)
        imports = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
        helper.set_model_props(model, {key: str(value) for key, value in properties.items()})
        return model.SerializeToString()


def add_network(graph: Graph, net: "nn.Module", image: str, factor: str) -> str:
    """EnhanceNet.extract; the result is named `factor`."""
    graph.constants |= {name: value.numpy() for name, value in net.state_dict().items()}

    def block(number: int, *sources: str) -> str:
        name = f"e_conv{number}"
        x = sources[0]
        if len(sources) > 1:
            x = graph.add("Concat", *sources, result=f"{name}.input", axis=1)
        for layer, module in getattr(net, name).named_children():
            x = graph.add(
                "Conv",
                *(x, f"{name}.{layer}.weight", f"{name}.{layer}.bias"),
                result=f"{name}.{layer}",
                pads=[*module.padding, *module.padding],
                dilations=module.dilation,
                group=module.groups,
            )
        if number == 7:
            return graph.add("Tanh", x, result=factor)
        return graph.add("Relu", x, result=f"x{number}")

    x1 = block(1, image)
    x2 = block(2, x1)
    x3 = block(3, x2)
    x4 = block(4, x3)
    x5 = block(5, x3, x4)
    x6 = block(6, x2, x5)
    return block(7, x1, x6)


def middle(scale: int) -> list[int]:
    """Which pixels of a cell of `scale` model.shrink reads along an axis: one, or two if even.

    Bilinear shrinking without antialiasing reads only those around the middle of each cell.
    """
    return sorted({(scale - 1) // 2, scale // 2})


def add_picks(graph: Graph, image: str, size: str, scale: int, first_axis: int) -> str:
    """The pixels that model.shrink reads, alone: of any type, along first_axis and the next.

    Picked by index they are exact, and no full-size copy is made; the operator Resize would
    round their coordinates, the more the larger the image.
    """
    if scale == 1:
        return image
    for number in range(2):
        length = graph.add("Gather", size, graph.constant(number))
        cells = graph.add("Range", graph.constant(0), length, graph.constant(scale))
        cells = graph.add("Unsqueeze", cells, graph.constant([1]))
        wanted = graph.add("Add", cells, graph.constant(middle(scale)))  # [cells, 1 or 2]
        wanted = graph.add("Reshape", wanted, graph.constant([-1]))
        last = graph.add("Sub", length, graph.constant(1))
        wanted = graph.add("Min", wanted, last)  # as if the last row or column were repeated
        image = graph.add("Gather", image, wanted, axis=first_axis + number)
    return image


def add_shrink(graph: Graph, picks: str, scale: int) -> str:
    """model.shrink from its picked pixels [B, 3, ., .]: their means over each cell."""
    count = len(middle(scale))
    if count == 1:
        return picks
    return graph.add("AveragePool", picks, kernel_shape=[count, count], strides=[count, count])


def add_enlarge(graph: Graph, factor: str, size: str, scale: int) -> str:
    """model.enlarge [B, 3, h, w] -> [B, 3, H, W], cut to the size of the image."""
    if scale == 1:
        return factor
    outer = graph.add("Shape", factor, start=0, end=2)
    cells = graph.add("Shape", factor, start=2, end=4)
    whole = graph.add("Concat", outer, graph.add("Mul", cells, graph.constant(scale)), axis=0)
    wide = graph.add(
        "Resize",
        *(factor, "", "", whole),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )
    return graph.add("Slice", wide, graph.constant([0, 0]), size, graph.constant([2, 3]))


def add_curve(graph: Graph, x: str, factor: str, iterations: int, result: str) -> str:
    """x <- x + A (x^2 - x) (SGZ, eq. 1), so many times; the last x is named `result`."""
    for number in range(1, iterations + 1):
        change = graph.add("Sub", graph.add("Mul", x, x), x)
        step = graph.add("Mul", factor, change)
        x = graph.add("Add", x, step, result=result if number == iterations else "")
    return x


def add_unit(graph: Graph, levels: str) -> str:
    """uint8 -> float32 in [0, 1]."""
    values = graph.add("Cast", levels, to=graph.types["float"])
    return graph.add("Div", values, graph.constant(255.0))

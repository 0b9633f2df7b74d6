"""The method at one fixed size as a TensorFlow.js graph model, written without TensorFlow.

The format is a GraphDef in JSON (model.json) beside one file of weights. TensorFlow's own
converter wants packages that no longer install together, and the network has nine operators.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partialmethod
from pathlib import Path

import numpy as np

from exporting import tfjs_look
from sgz.errors import UserError
from sgz.method import small_size
from sgz.model import EnhanceNet

WEIGHTS = "group1-shard1of1.bin"
KINDS = {"float32": "DT_FLOAT", "int32": "DT_INT32"}
# Reads a model folder and an image in raw floats, writes the result in raw floats.
RUNNER = """
const tf = require("@tensorflow/tfjs");
const fs = require("fs");
const [folder, source, target] = process.argv.slice(1);
const json = JSON.parse(fs.readFileSync(`${folder}/model.json`));
const bytes = fs.readFileSync(`${folder}/${json.weightsManifest[0].paths[0]}`);
const artifacts = {
  ...json,
  weightSpecs: json.weightsManifest[0].weights,
  weightData: new Uint8Array(bytes).buffer,
};
tf.setBackend("cpu").then(async () => {
  const model = await tf.loadGraphModel({ load: async () => artifacts });
  const values = new Float32Array(new Uint8Array(fs.readFileSync(source)).buffer);
  const result = model.predict(tf.tensor(values, model.inputs[0].shape));
  fs.writeFileSync(target, new Uint8Array(result.dataSync().buffer));
});
"""


def to_tfjs(net: EnhanceNet, size: tuple[int, int], look: str, folder: Path) -> None:
    """Write a folder: image [1, H, W, 3] float32 RGB in [0, 1] -> enhanced, the same."""
    graph = GraphDef()
    shape = {"dim": [{"size": str(side)} for side in (1, *size, 3)]}
    graph.add("Placeholder", name="image", shape={"shape": shape}, dtype={"type": "DT_FLOAT"})
    add_parts = _add_natural if look == "natural" else _add_paper
    add_parts(graph, net, size)
    folder.mkdir()
    graph.write(folder, size)


def _add_paper(graph: "GraphDef", net: EnhanceNet, size: tuple[int, int]) -> None:
    """The paper's path, image -> enhanced."""
    factor = _add_network(graph, net, _add_shrink(graph, net.scale_factor))
    factor = _add_enlarge(graph, factor, size, net.scale_factor)
    graph.curve("image", factor, net.iterations, "enhanced")


def _add_natural(graph: "GraphDef", net: EnhanceNet, size: tuple[int, int]) -> None:
    """The natural look but for denoising, image -> enhanced."""
    shape = small_size(size, net.scale_factor)
    small = _add_shrink(graph, net.scale_factor)
    black = tfjs_look.add_black_point(graph, small, shape)
    seen = tfjs_look.add_without(graph, small, black)
    factor = graph.reduce("Mean", _add_network(graph, net, seen), 3, keep=True)
    factor = tfjs_look.add_spared(graph, seen, factor)
    found = tfjs_look.add_exposure(graph, seen, factor, shape, net.iterations)
    factor = graph.within(graph.times(factor, found), -1.0)
    fit = tfjs_look.add_fitted_guide(graph, seen, factor, shape)
    fit = _add_enlarge(graph, fit, size, net.scale_factor)
    image = tfjs_look.add_without(graph, "image", black)
    factor = tfjs_look.add_guided_map(graph, fit, image)
    graph.curve(image, factor, net.iterations, "enhanced")


def _add_shrink(graph: "GraphDef", scale: int) -> str:
    """What the network sees of the image: the middle of each cell, as shrink."""
    if scale == 1:
        return "image"
    first, count = (scale - 1) // 2, 2 - scale % 2
    begin, extent = [0, first, first, 0], [-1, -1, -1, -1]
    small = graph.add("Slice", "image", graph.constant(begin), graph.constant(extent))
    return graph.mean_of(small, [count] * 2, scale)


def _add_enlarge(graph: "GraphDef", small: str, size: tuple[int, int], scale: int) -> str:
    """Bilinear, corners aligned."""
    if scale == 1:
        return small
    whole = graph.constant(list(size))
    return graph.add("ResizeBilinear", small, whole, align_corners={"b": True})


def _add_network(graph: "GraphDef", net: EnhanceNet, image: str) -> str:
    """EnhanceNet.extract."""

    def block(number: int, *sources: str) -> str:
        x = graph.join(*sources) if len(sources) > 1 else sources[0]
        for layer in getattr(net, f"e_conv{number}").children():
            weight = layer.weight.numpy().transpose(2, 3, 1, 0)  # height, width, in, out
            operator = "Conv2D"
            if layer.groups > 1:
                operator, weight = "DepthwiseConv2dNative", weight.transpose(0, 1, 3, 2)
            dilations = ints([1, *layer.dilation, 1])
            x = graph.add(
                operator, x, graph.constant(weight), strides=ints([1] * 4), dilations=dilations,
                **SAME,
            )  # fmt: skip
            x = graph.add("BiasAdd", x, graph.constant(layer.bias.numpy()), **LAYOUT)
        return graph.add("Tanh" if number == 7 else "Relu", x)

    x1 = block(1, image)
    x2 = block(2, x1)
    x3 = block(3, x2)
    x4 = block(4, x3)
    x5 = block(5, x3, x4)
    x6 = block(6, x2, x5)
    return block(7, x1, x6)


def ints(values: list[int]) -> dict:
    """An attribute that is a list of whole numbers."""
    return {"list": {"i": [str(value) for value in values]}}


def _text(value: str) -> dict:
    """An attribute that is a word."""
    return {"s": base64.b64encode(value.encode()).decode()}


LAYOUT = {"data_format": _text("NHWC")}
SAME = {"padding": _text("SAME"), **LAYOUT}
VALID = {"padding": _text("VALID"), **LAYOUT}


class GraphDef:
    """Nodes and constants that are being collected."""

    def __init__(self):
        self.nodes: list[dict] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, operator: str, *sources: str, name: str = "", **attributes: dict) -> str:
        """Append a node and return its name."""
        name = name or f"{operator}_{len(self.nodes)}"
        attributes.setdefault("T", {"type": "DT_FLOAT"})
        node = {"name": name, "op": operator, "input": list(sources), "attr": attributes}
        self.nodes.append(node)
        return name

    def constant(self, value) -> str:
        """The name of a constant: float32 arrays, or whole numbers."""
        array = np.asarray(value)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(array)
        kind = KINDS[array.dtype.name]
        shape = {"dim": [{"size": str(side)} for side in array.shape]}
        value = {"tensor": {"dtype": kind, "tensorShape": shape}}
        attributes = {"dtype": {"type": kind}, "value": value}
        self.nodes.append({"name": name, "op": "Const", "input": [], "attr": attributes})
        return name

    def operand(self, value: str | float) -> str:
        """A node's name; a number becomes a constant."""
        return value if isinstance(value, str) else self.constant(float(value))

    def _both(self, operator: str, one: str | float, other: str | float) -> str:
        return self.add(operator, self.operand(one), self.operand(other))

    plus = partialmethod(_both, "AddV2")
    minus = partialmethod(_both, "Sub")
    times = partialmethod(_both, "Mul")
    over = partialmethod(_both, "RealDiv")
    most = partialmethod(_both, "Maximum")
    least = partialmethod(_both, "Minimum")

    def within(self, value: str, low: float = 0.0, high: float = 1.0) -> str:
        """Clamped to [low, high]."""
        return self.least(self.most(value, low), high)

    def truth(self, comparison: str, one: str | float, other: str | float) -> str:
        """0 or 1 as a float."""
        kinds = {"SrcT": {"type": "DT_BOOL"}, "DstT": {"type": "DT_FLOAT"}}
        return self.add("Cast", self._both(comparison, one, other), **kinds)

    def reduce(self, operator: str, value: str, axis: int, keep: bool = False) -> str:
        """Max, Min, Sum or Mean along an axis."""
        return self.add(operator, value, self.constant([axis]), keep_dims={"b": keep})

    def gather(self, value: str, places: Sequence[int], axis: int) -> str:
        """What lies at these places of an axis."""
        return self.add("GatherV2", value, self.constant(list(map(int, places))),
                        self.constant(axis))  # fmt: skip

    def reshape(self, value: str, shape: list[int]) -> str:
        """The same values in another shape."""
        return self.add("Reshape", value, self.constant(shape))

    def join(self, *values: str) -> str:
        """Their channels behind one another."""
        return self.add("ConcatV2", *values, self.constant(3), N={"i": str(len(values))})

    def mean_of(self, value: str, sides: list[int], pace: int = 1) -> str:
        """Means over windows [sides], `pace` apart."""
        ksize, strides = ints([1, *sides, 1]), ints([1, pace, pace, 1])
        return self.add("AvgPool", value, ksize=ksize, strides=strides, **VALID)

    def curve(self, x: str, factor: str, iterations: int, name: str = "") -> str:
        """x <- x + A (x^2 - x); the last one is called `name`."""
        for number in range(1, iterations + 1):
            step = self.times(factor, self.minus(self.times(x, x), x))
            x = self.add("AddV2", x, step, name=name if number == iterations else "")
        return x

    def write(self, folder: Path, size: tuple[int, int]) -> None:
        """model.json and its weights."""
        weights = [
            {"name": name, "shape": list(value.shape), "dtype": value.dtype.name}
            for name, value in self.constants.items()
        ]
        dims = {"dim": [{"size": str(side)} for side in (1, *size, 3)]}
        ends = {
            side: {name: {"name": f"{name}:0", "dtype": "DT_FLOAT", "tensorShape": dims}}
            for side, name in (("inputs", "image"), ("outputs", "enhanced"))
        }
        model = {
            "format": "graph-model",
            "generatedBy": "SGZ",
            "convertedBy": None,
            "signature": ends,
            "modelTopology": {"node": self.nodes, "versions": {"producer": 1882}},
            "weightsManifest": [{"paths": [WEIGHTS], "weights": weights}],
        }
        (folder / "model.json").write_text(json.dumps(model), encoding="utf-8")
        content = b"".join(value.astype(value.dtype.newbyteorder("<")).tobytes()
                           for value in self.constants.values())  # fmt: skip
        (folder / WEIGHTS).write_bytes(content)


def run_tfjs(folder: Path) -> Callable[[np.ndarray], np.ndarray] | None:
    """The written folder in Node.js; None where that or @tensorflow/tfjs is not installed."""
    node = shutil.which("node")
    look = [node, "-e", 'require.resolve("@tensorflow/tfjs")']
    if node is None or subprocess.run(look, capture_output=True, check=False).returncode:
        print("npm install @tensorflow/tfjs, in this folder, lets this command run what it writes")
        return None

    def run(image: np.ndarray) -> np.ndarray:
        source, target = folder.with_name("source.raw"), folder.with_name("target.raw")
        picture = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
        source.write_bytes(picture.tobytes())
        command = [node, "-e", RUNNER, folder.resolve(), source.resolve(), target.resolve()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.exists():
            raise UserError(f"TensorFlow.js does not run it: {done.stderr.strip()[-300:]}")
        result = np.frombuffer(target.read_bytes(), "<f4").reshape(picture.shape)
        source.unlink()
        target.unlink()
        return result.transpose(0, 3, 1, 2)

    return run

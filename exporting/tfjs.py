"""The method at one fixed size as a TensorFlow.js graph model, written without TensorFlow.

The format is a GraphDef in JSON (model.json) beside one file of weights. TensorFlow's own
converter wants packages that no longer install together, and the network has nine operators.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sgz.errors import UserError
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


def to_tfjs(net: EnhanceNet, size: tuple[int, int], folder: Path) -> None:
    """Write a folder: image [1, H, W, 3] float32 RGB in [0, 1] -> enhanced, the same."""
    graph = _GraphDef()
    shape = {"dim": [{"size": str(side)} for side in (1, *size, 3)]}
    graph.add("Placeholder", name="image", shape={"shape": shape}, dtype={"type": "DT_FLOAT"})
    scale = net.scale_factor
    small = "image"
    if scale > 1:
        first, count = (scale - 1) // 2, 2 - scale % 2  # the middle of each cell, as shrink
        begin, extent = [0, first, first, 0], [-1, -1, -1, -1]
        small = graph.add("Slice", "image", graph.constant(begin), graph.constant(extent))
        sides, paces = [1, count, count, 1], [1, scale, scale, 1]
        small = graph.add("AvgPool", small, ksize=ints(sides), strides=ints(paces), **VALID)
    factor = _add_network(graph, net, small)
    if scale > 1:
        whole = graph.constant(list(size))
        factor = graph.add("ResizeBilinear", factor, whole, align_corners={"b": True})
    x = "image"
    for number in range(1, net.iterations + 1):
        change = graph.add("Sub", graph.add("Mul", x, x), x)
        step = graph.add("Mul", factor, change)
        x = graph.add("AddV2", x, step, name="enhanced" if number == net.iterations else "")
    folder.mkdir()
    graph.write(folder, size)


def _add_network(graph: "_GraphDef", net: EnhanceNet, image: str) -> str:
    """EnhanceNet.extract."""

    def block(number: int, *sources: str) -> str:
        x = sources[0]
        if len(sources) > 1:
            x = graph.add("ConcatV2", *sources, graph.constant(3), N={"i": str(len(sources))})
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


class _GraphDef:
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

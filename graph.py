"""The network as an ONNX graph, built from its weights without tracing."""

from torch import nn


def network_to_onnx(net: nn.Module) -> bytes:
    """EnhanceNet.extract as an ONNX model: image [1, 3, h, w] -> factor [1, 3, h, w]."""
    from onnx import TensorProto, helper, numpy_helper

    weights = net.state_dict()
    nodes = []

    def block(number: int, *sources: str) -> str:
        name = f"e_conv{number}"
        x = sources[0]
        if len(sources) > 1:
            x = f"{name}.input"
            nodes.append(helper.make_node("Concat", sources, [x], axis=1))
        for layer, module in getattr(net, name).named_children():
            nodes.append(
                helper.make_node(
                    "Conv",
                    [x, f"{name}.{layer}.weight", f"{name}.{layer}.bias"],
                    [f"{name}.{layer}"],
                    pads=[*module.padding, *module.padding],
                    dilations=module.dilation,
                    group=module.groups,
                )
            )
            x = f"{name}.{layer}"
        result = "factor" if number == 7 else f"x{number}"
        nodes.append(helper.make_node("Tanh" if number == 7 else "Relu", [x], [result]))
        return result

    x1 = block(1, "image")
    x2 = block(2, x1)
    x3 = block(3, x2)
    x4 = block(4, x3)
    x5 = block(5, x3, x4)
    x6 = block(6, x2, x5)
    block(7, x1, x6)
    graph = helper.make_graph(
        nodes,
        "sgz",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("factor", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()

"""The weights in the box: a checkpoint, and its network as ONNX."""

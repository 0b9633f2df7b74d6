"""The entry for torch.hub.

net = torch.hub.load("path/to/this/repository", "sgz", source="local")
enhanced, factor = net(image)  # image [B, 3, H, W] in [0, 1], any size
"""

import sys
from pathlib import Path

dependencies = ["torch"]  # torch.hub reads it
FOLDER = Path(__file__).resolve().parent


def sgz(
    pretrained: bool = True,
    weight_dir: str | Path | None = None,
    scale_factor: int = 12,
    conv_type: str = "dsc",
    iterations: int = 8,
):
    """EnhanceNet: image [B, 3, H, W] in [0, 1] -> the enhanced image and its factor map.

    Args:
        pretrained: load weights, in evaluation mode; False leaves torch's random start.
        weight_dir: a checkpoint (ours, the authors' or Zero-DCE++'s); left out, the one in the box.
        scale_factor: the network sees the image shrunk by this whole number.
        conv_type: "dsc", "tc" or "dc", as the checkpoint was trained.
        iterations: how often the curve is applied.

    Raises:
        CheckpointError: (a ValueError) the checkpoint cannot be used.
    """
    if str(FOLDER) not in sys.path:  # torch.hub takes it away before this is called
        sys.path.insert(0, str(FOLDER))
    from sgz import model

    if not pretrained:
        return model.EnhanceNet(scale_factor, conv_type, iterations)
    path = weight_dir or FOLDER / "weight" / "Epoch99.pth"
    return model.load_model(path, scale_factor, conv_type, iterations)

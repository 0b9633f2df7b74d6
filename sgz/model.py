"""The enhancement network and its curve.

from sgz.model import load_model
net = load_model("weight/Epoch99.pth", scale_factor=12)
enhanced, factor = net(image)  # image [B, 3, H, W] in [0, 1]
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgz.errors import CheckpointError
from sgz.files import check_archive
from sgz.method import CONV_TYPES, ITERATIONS, SCALE_FACTOR
from sgz.pixels import PEAK, as_image, as_stack

LARGEST_WEIGHT = 1e4  # a trained network's are below 10; with 3e38 sums overflow


class DepthwiseSeparableConv(nn.Module):
    """A 3x3 convolution of each channel alone, then a 1x1 convolution across channels."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.depth_conv = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels)
        self.point_conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depth_conv(x))


class PlainConv(nn.Module):
    """A 3x3 convolution; with dilation 2 it sees 5x5 and keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def build_conv(conv_type: str, in_channels: int, out_channels: int) -> nn.Module:
    """One block of the network: dsc depthwise separable, tc plain, dc dilated (our reading)."""
    if conv_type == "dsc":
        return DepthwiseSeparableConv(in_channels, out_channels)
    if conv_type == "tc":
        return PlainConv(in_channels, out_channels)
    if conv_type == "dc":
        return PlainConv(in_channels, out_channels, dilation=2)
    raise ValueError(f"conv_type must be one of {', '.join(CONV_TYPES)}, not {conv_type!r}")


class EnhanceNet(nn.Module):
    """Enhancement factor extraction and recurrent image enhancement (SGZ, sections 3.1 and 3.2).

    Args:
        scale_factor: the network sees the image shrunk by this whole number (1 in training).
        conv_type: "dsc" (10,561 parameters), "tc" (67,299) or "dc".
        iterations: how often the curve is applied; 8 in the paper.
    """

    def __init__(self, scale_factor: int = 1, conv_type: str = "dsc", iterations: int = ITERATIONS):
        super().__init__()
        if scale_factor < 1 or scale_factor != int(scale_factor):
            raise ValueError(f"scale_factor must be a whole number from 1, not {scale_factor}")
        self.scale_factor = int(scale_factor)
        self.conv_type = conv_type
        self.iterations = iterations
        widths = [(3, 32), (32, 32), (32, 32), (32, 32), (64, 32), (64, 32), (64, 3)]
        for number, (in_channels, out_channels) in enumerate(widths, start=1):
            setattr(self, f"e_conv{number}", build_conv(conv_type, in_channels, out_channels))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance images of any size.

        Args:
            image: [B, 3, H, W] in [0, 1].

        Returns:
            The enhanced image [B, 3, H, W] in [0, 1] and its factor map [B, 3, H, W] in [-1, 1].
        """
        factor = self.factor(image)
        return apply_curve(image, factor, self.iterations), factor

    def factor(self, image: Tensor) -> Tensor:
        """The factor map at full size: [B, 3, H, W] in [0, 1] -> [B, 3, H, W] in [-1, 1]."""
        height, width = image.shape[-2:]
        factor = enlarge(self.extract(shrink(image, self.scale_factor)), self.scale_factor)
        return factor[..., :height, :width]

    def extract(self, x: Tensor) -> Tensor:
        """The network alone: [B, 3, h, w] in [0, 1] -> [B, 3, h, w] in [-1, 1]."""
        x1 = F.relu(self.e_conv1(x))  # [B, 32, h, w]
        x2 = F.relu(self.e_conv2(x1))
        x3 = F.relu(self.e_conv3(x2))
        x4 = F.relu(self.e_conv4(x3))
        x5 = F.relu(self.e_conv5(torch.cat((x3, x4), 1)))
        x6 = F.relu(self.e_conv6(torch.cat((x2, x5), 1)))
        return torch.tanh(self.e_conv7(torch.cat((x1, x6), 1)))

    @classmethod
    def from_pretrained(cls, source: str | Path, **options) -> "EnhanceNet":
        """Read what save_pretrained or push_to_hub wrote; in evaluation mode.

        Args:
            source: a folder, or the name of a repository on the Hugging Face Hub ("user/name").
            options: as huggingface_hub's PyTorchModelHubMixin takes: revision, token, cache_dir,
                local_files_only, map_location, …

        Raises:
            CheckpointError: it holds no network of this kind.
            OSError: it cannot be read.
        """
        kind = make_hub_class()
        try:
            return convert(kind.from_pretrained(source, strict=True, **options), cls)
        except OSError:
            raise
        except Exception as error:  # on damaged files safetensors raises its own kinds
            raise CheckpointError(
                f"{source} holds no EnhanceNet in config.json and model.safetensors, as "
                f"save_pretrained writes them ({type(error).__name__})"
            ) from error

    def save_pretrained(self, folder: str | Path, **options) -> None:
        """Write config.json, model.safetensors and a model card (README.md) into a folder."""
        convert(self, make_hub_class()).save_pretrained(folder, **options)

    def push_to_hub(self, name: str, **options) -> str:
        """Put the same files into the repository "user/name" of the Hugging Face Hub; its URL.

        Args:
            options: as huggingface_hub's PyTorchModelHubMixin takes: private, token, branch, …
        """
        return convert(self, make_hub_class()).push_to_hub(name, **options)


def make_hub_class() -> type[EnhanceNet]:
    """EnhanceNet with huggingface_hub's mixin.

    Made when asked for: that import takes a second, and this file is to need torch alone.
    """
    from huggingface_hub import PyTorchModelHubMixin

    class EnhanceNetOfHub(
        PyTorchModelHubMixin,
        EnhanceNet,
        license="mit",
        paper_url="https://arxiv.org/abs/2110.00970",
        pipeline_tag="image-to-image",
        tags=["low-light-enhancement"],
    ):
        # No defaults: the mixin would go on with them where there is no config.json.
        def __init__(self, scale_factor: int, conv_type: str, iterations: int):
            super().__init__(scale_factor, conv_type, iterations)

    return EnhanceNetOfHub


def convert(net: EnhanceNet, kind: type[EnhanceNet]) -> EnhanceNet:
    """The same network as another class, of the same tensors."""
    other = kind(scale_factor=net.scale_factor, conv_type=net.conv_type, iterations=net.iterations)
    other.load_state_dict(net.state_dict(), assign=True)
    return other.train(net.training)


def apply_curve(image: Tensor, factor: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Recurrent image enhancement, x <- x + A (x^2 - x) (SGZ, eq. 1); negative A brightens.

    Args:
        image, factor: [B, 3, H, W], in [0, 1] and [-1, 1]; the result is in [0, 1] again.
    """
    for _ in range(iterations):
        image = image + factor * (image * image - image)
    return image


def shrink(image: Tensor, scale: int) -> Tensor:
    """Shrink by 1/scale, bilinear, after repeating the last row and column up to a multiple."""
    if scale == 1:
        return image
    height, width = image.shape[-2:]
    padding = (0, -width % scale, 0, -height % scale)
    # Replicate padding refuses nothing here: its width is below `scale`, whatever the image's.
    padded = F.pad(image, padding, mode="replicate")
    # By size: 49 pixels times 1/49 is below 1 in floating point, and would leave none.
    cells = (padded.shape[-2] // scale, padded.shape[-1] // scale)
    return F.interpolate(padded, size=cells, mode="bilinear", align_corners=False)


def enlarge(factor: Tensor, scale: int) -> Tensor:
    """Enlarge by scale, bilinear, corners aligned, as the authors do."""
    if scale == 1:
        return factor
    return F.interpolate(factor, scale_factor=float(scale), mode="bilinear", align_corners=True)


def initialise_paper(net: EnhanceNet, generator: torch.Generator | None = None) -> None:
    """Start from N(0, 0.02) weights and zero biases (SGZ, section 4.1)."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, 0.02, generator=generator)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors without running any code in it; a `module.` prefix is dropped.

    Raises:
        CheckpointError: the file is missing, unreadable, or not a dictionary of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give the path of an Epoch….pth file")
    try:
        state = load_safely(path)
    except Exception as error:  # on damaged files torch raises nearly anything
        raise CheckpointError(
            f"{path} is no checkpoint that torch can read safely: expected a state dict of "
            f"EnhanceNet saved with torch.save ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(map(is_array, state.values())):
        raise CheckpointError(
            f"{path} holds no state dict: expected a dictionary of tensors, dense and of floats"
        )
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def load_safely(path: Path) -> object:
    """torch.load of a file whose checksums are right, without running code in it or a warning.

    Raises:
        Exception: on damaged files torch raises nearly anything.
    """
    check_archive(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would tell of a damaged file's pickle
        return torch.load(path, map_location="cpu", weights_only=True)


def is_array(value: object) -> bool:
    """Whether it is a tensor that has all its numbers: neither meta, sparse nor quantized."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
    )


def check_state_dict(state: dict[str, Tensor], net: EnhanceNet, path: str | Path) -> None:
    """Raise CheckpointError unless each tensor has the name, shape and range that `net` expects."""
    expected = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if found == expected:
        if not all(value.double().abs().amax() <= LARGEST_WEIGHT for value in state.values()):
            raise CheckpointError(
                f"{path} holds values that are not finite, or beyond {LARGEST_WEIGHT:g}; "
                "train it again"
            )
        return
    kind = next((k for k in CONV_TYPES if shapes_of(k) == found and k != net.conv_type), None)
    hint = f"; it fits conv_type {kind}" if kind else ""
    different = sorted(expected.items() ^ found.items())[0][0]
    raise CheckpointError(
        f"{path} is a checkpoint of another architecture: expected the {len(expected)} tensors of "
        f"EnhanceNet with conv_type={net.conv_type}, found {len(found)}, {different} differs{hint}"
    )


def shapes_of(conv_type: str) -> dict[str, tuple[int, ...]]:
    """The names and shapes in a checkpoint of this conv_type."""
    return {k: tuple(v.shape) for k, v in EnhanceNet(conv_type=conv_type).state_dict().items()}


def load_model(
    path: str | Path,
    scale_factor: int = SCALE_FACTOR,
    conv_type: str = "dsc",
    iterations: int = ITERATIONS,
    device: str | torch.device = "cpu",
) -> EnhanceNet:
    """Build an EnhanceNet in evaluation mode from a checkpoint (ours, the authors', Zero-DCE++'s).

    Raises:
        CheckpointError: the file is missing, is no checkpoint, is of another architecture, or
            holds values that are not finite.
    """
    state = read_state_dict(path)
    net = EnhanceNet(scale_factor, conv_type, iterations)
    check_state_dict(state, net, path)
    net.load_state_dict(state)
    return net.eval().requires_grad_(False).to(device)


def enhance_plainly(net: EnhanceNet, image: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """EnhanceNet.forward on an image as NumPy has it, all in float32 at full size: the yardstick.

    Args:
        net: in evaluation mode.
        image: [H, W, 3] RGB or [H, W] gray; uint8, uint16 or float in [0, 1].
        strength: multiplies the factor map, which is then clamped to [-1, 1].

    Returns:
        The enhanced image, of the same shape and type, rounded to the nearest level.

    Raises:
        ValueError: another shape or type, or floats outside [0, 1].
    """
    stack = as_stack(image)
    peak = PEAK[stack.dtype]
    device = next(net.parameters()).device
    with torch.inference_mode():
        x = torch.from_numpy(stack.astype(np.float32) / peak).to(device).permute(2, 0, 1)[None]
        factor = net.factor(x.expand(-1, 3, -1, -1))
        if stack.shape[2] == 1:
            factor = factor.mean(1, keepdim=True)
        if strength != 1:
            factor = (factor * strength).clamp(-1, 1)
        y = apply_curve(x, factor, net.iterations)[0].permute(1, 2, 0)
        if peak != 1:
            y = y * peak + 0.5
    return as_image(y.cpu().numpy().astype(stack.dtype), image)

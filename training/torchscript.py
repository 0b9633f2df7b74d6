"""A foreign network as TorchScript: loaded, and refused unless it can be a semantic guide."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from sgz.errors import UserError

PROBE = (1, 3, 64, 64)  # what a file is tried on


def load_script(path: Path, num_classes: int, device: str | torch.device) -> nn.Module:
    """The network of a TorchScript file, to evaluate, after a trial with an image.

    Raises:
        UserError: it is none, or does not map images to finite logits that gradients pass through.
    """
    if not path.is_file():
        raise UserError(f"no TorchScript file at {path}; give one, or the name of a guide")
    wanted = "needed: images [B, 3, H, W] in [0, 1] to logits [B, classes, h, w], with gradient"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            net = torch.jit.load(path, map_location=device).eval()
        except Exception as error:  # whatever a foreign file may raise
            raise UserError(f"{path} is no TorchScript file ({last_line(error)})") from error
    image = torch.rand(PROBE, device=device, requires_grad=True)
    try:
        logits = net(image)
        trouble = trouble_with(logits)
        if not trouble:
            logits.sum().backward()
            if not image.grad.isfinite().all():
                trouble = "its gradient is not finite"
    except Exception as error:
        trouble = last_line(error)
        if "cuda" in trouble.lower() or "nvidia" in trouble.lower():
            trouble = f"it needs a GPU, and this run has none: {trouble}"
    if trouble:
        raise UserError(f"{path} cannot be the semantic guide ({trouble}); {wanted}")
    if logits.shape[1] != num_classes:
        warnings.warn(
            f"{path} has {logits.shape[1]} classes, not {num_classes}; its own count", stacklevel=2
        )
    return net


def trouble_with(logits: object) -> str:
    """Why what a network returned for PROBE cannot be logits; empty if it can."""
    if not isinstance(logits, Tensor):
        return f"it returns a {type(logits).__name__}"
    if logits.dim() != 4 or logits.shape[0] != PROBE[0] or logits.shape[1] < 2:
        return f"for an image {list(PROBE)} it returns the shape {list(logits.shape)}"
    if not logits.is_floating_point():
        return f"it returns {logits.dtype}: class numbers, no logits"
    return "" if logits.isfinite().all() else "it returns NaN or infinity"


def last_line(error: Exception) -> str:
    """Where TorchScript says what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()

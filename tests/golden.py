"""Inputs and weights given by a formula, for comparison with the authors' code.

The numbers in the tests were computed with the authors' code on these; only figures are kept.
"""

import numpy as np
import torch


def wave(shape: tuple[int, ...], phase: float, low: float, high: float) -> torch.Tensor:
    """low + (high - low) (0.5 + 0.5 sin(0.37 k + 0.11 sqrt(k) + phase)), k the flat index."""
    k = np.arange(int(np.prod(shape)), dtype=np.float64)
    values = low + (high - low) * (0.5 + 0.5 * np.sin(0.37 * k + 0.11 * np.sqrt(k) + phase))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill(tensors: list[torch.Tensor]) -> None:
    """Number i gets wave(phase=i) within 1 / sqrt(fan-in), or within 0.05 for a bias."""
    with torch.no_grad():
        for i, tensor in enumerate(tensors):
            bound = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.05
            tensor.copy_(wave(tuple(tensor.shape), i, -bound, bound))

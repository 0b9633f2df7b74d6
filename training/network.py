"""The network as training runs it: the same tensors and sums, fewer copies."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgz.model import DepthwiseSeparableConv, EnhanceNet


class TrainedNet(EnhanceNet):
    """EnhanceNet whose blocks take their inputs apart.

    A concatenation is as large as both inputs, is written, read and kept for the backward pass:
    a tenth of the network's time in training. Inference keeps it, as the authors do: it rounds
    alike to the last bit.
    """

    def extract(self, x: Tensor) -> Tensor:
        """The network alone: [B, 3, h, w] in [0, 1] -> [B, 3, h, w] in [-1, 1]."""
        x1 = F.relu_(self.e_conv1(x))  # [B, 32, h, w]
        x2 = F.relu_(self.e_conv2(x1))
        x3 = F.relu_(self.e_conv3(x2))
        x4 = F.relu_(self.e_conv4(x3))
        x5 = F.relu_(apply_block(self.e_conv5, (x3, x4)))
        x6 = F.relu_(apply_block(self.e_conv6, (x2, x5)))
        return torch.tanh(apply_block(self.e_conv7, (x1, x6)))


def apply_block(block: nn.Module, parts: Sequence[Tensor]) -> Tensor:
    """block(torch.cat(parts, 1)) for parts [B, C, h, w], by the weights of each part."""
    ends = list(accumulate(part.shape[1] for part in parts))
    places = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    if isinstance(block, DepthwiseSeparableConv):
        last, depth = block.point_conv, block.depth_conv
        parts = [
            F.conv2d(x, depth.weight[at], depth.bias[at], padding=1, groups=x.shape[1])
            for x, at in zip(parts, places, strict=True)
        ]
    else:
        last = block.conv
    size = {"padding": last.padding, "dilation": last.dilation}
    total = F.conv2d(parts[0], last.weight[:, places[0]], last.bias, **size)
    for x, at in zip(parts[1:], places[1:], strict=True):
        total = total + F.conv2d(x, last.weight[:, at], **size)
    return total

"""The frozen semantic guide of training: ResNet-50 with a feature pyramid head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FPNHead(nn.Module):
    """Feature pyramid from ResNet stages to class logits at 1/4 of the image's size (SGZ, 3.3).

    The attribute names follow the authors' segmentation network.
    """

    def __init__(self, num_classes: int = 21):
        super().__init__()
        self.toplayer = nn.Conv2d(2048, 256, 1)
        for level in range(1, 5):
            setattr(self, f"smooth{level}_1", nn.Conv2d(256, 256, 3, padding=1))
        for level in range(1, 5):
            setattr(self, f"smooth{level}_2", nn.Conv2d(256, 128, 3, padding=1))
        for level, channels in enumerate((1024, 512, 256), start=1):
            setattr(self, f"latlayer{level}", nn.Conv2d(channels, 256, 1))
        self.classify = nn.Conv2d(512, num_classes, 3, padding=1)

    def forward(self, c2: Tensor, c3: Tensor, c4: Tensor, c5: Tensor) -> Tensor:
        """Stages [B, 256..2048, H/4..H/32, W/4..W/32] -> logits [B, classes, H/4, W/4]."""
        p5 = self.toplayer(c5)
        p4 = resize_like(p5, c4) + self.latlayer1(c4)
        p3 = resize_like(p4, c3) + self.latlayer2(c3)
        p2 = resize_like(p3, c2) + self.latlayer3(c2)
        levels = [
            resize_like(self.smooth1_2(self.smooth1_1(p5)), c2),
            resize_like(self.smooth2_2(self.smooth2_1(p4)), c2),
            resize_like(self.smooth3_2(self.smooth3_1(p3)), c2),
            self.smooth4_2(self.smooth4_1(p2)),
        ]
        return self.classify(torch.cat(levels, 1))


def resize_like(x: Tensor, other: Tensor) -> Tensor:
    """Bilinear resize of x to the height and width of `other`."""
    return F.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=False)

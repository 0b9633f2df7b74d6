"""The zero-reference losses and their weighted sum as named parts; all images in [0, 1]."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sgz.method import LOSS_WEIGHTS

# (row, column, weight) of the eight neighbours: axis neighbours count 1, diagonal ones 0.5.
NEIGHBOURS = [
    (dy, dx, 1.0 if dy == 0 or dx == 0 else 0.5)
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if (dy, dx) != (0, 0)
]


def region_means(image: Tensor, patch_size: int) -> Tensor:
    """Mean over RGB and over patches: [B, 3, H, W] -> [B, 1, H // patch, W // patch]."""
    return F.avg_pool2d(image.mean(1, keepdim=True), patch_size)


def neighbours_of(x: Tensor) -> list[tuple[Tensor, float]]:
    """Each of the eight neighbours of every pixel, zero beyond the border, with its weight."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (1, 1, 1, 1))
    return [
        (padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width], weight)
        for dy, dx, weight in NEIGHBOURS
    ]


def spatial_loss(enhanced: Tensor, image: Tensor, patch_size: int = 4) -> Tensor:
    """Keep the differences between neighbouring regions (released code).

    The change of a difference is the difference of the change, so one map serves all eight:
    mean over regions of sum_j w_j ((Y_i - Y_j) - (I_i - I_j))^2.
    """
    change = region_means(enhanced, patch_size) - region_means(image, patch_size)
    return sum(w * (change - other).square() for other, w in neighbours_of(change)).mean()


def colour_loss(enhanced: Tensor) -> Tensor:
    """Gray-world: sqrt(D_rg^2 + D_rb^2 + D_gb^2), D squared differences of the channel means.

    vector_norm's gradient at zero is zero, so gray images train without NaN.
    """
    red, green, blue = enhanced.mean((2, 3)).unbind(1)  # [B] each
    squared = [(red - green).square(), (red - blue).square(), (green - blue).square()]
    return torch.linalg.vector_norm(torch.stack(squared, 1), dim=1).mean()


def exposure_loss(enhanced: Tensor, level: float = 0.6, patch_size: int = 16) -> Tensor:
    """Pull every region's brightness to one level: mean (Y - E)^2 (released code)."""
    return (region_means(enhanced, patch_size) - level).square().mean()


def total_variation_loss(factor: Tensor) -> Tensor:
    """Smooth factor map [B, 3, H, W]: 2 (sum dh^2 / ((H-1) W) + sum dw^2 / (H (W-1))) / B."""
    batch, _, height, width = factor.shape
    rows = factor.diff(dim=2).square().sum() / ((height - 1) * width)
    columns = factor.diff(dim=3).square().sum() / (height * (width - 1))
    return 2 * (rows + columns) / batch


def semantic_loss(logits: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss of a segmentation against its own arg max, mean over pixels.

    Args:
        logits: [B, classes, h, w], any range.
    """
    log_p = F.log_softmax(logits, 1).amax(1)  # the label is the arg max: its log-probability
    return (-((1 - log_p.exp()) ** gamma) * log_p).mean()


def paper_spatial_loss(enhanced: Tensor, image: Tensor, patch_size: int = 4) -> Tensor:
    """Eq. 2: mean over regions i of sum_j w_j (|Y_i - Y_j| - |I_i - I_j|)^2, as printed.

    j runs over the neighbours that exist; w is 1 beside and 0.5 across a corner. The paper's 1/A
    with A x A regions is taken as the mean over the regions: else the loss would grow with A.
    """
    new, old = region_means(enhanced, patch_size), region_means(image, patch_size)
    inside = neighbours_of(torch.ones_like(new))
    total = torch.zeros_like(new)
    for (y, w), (i, _), (exists, _) in zip(
        neighbours_of(new), neighbours_of(old), inside, strict=True
    ):
        total = total + w * exists * ((new - y).abs() - (old - i).abs()).square()
    return total.mean()


def paper_colour_loss(enhanced: Tensor) -> Tensor:
    """Eq. 3: sum over the pairs of channels of sqrt((Y^a - Y^b)^2 + 1e-12), Y channel means."""
    red, green, blue = enhanced.mean((2, 3)).unbind(1)  # [B] each
    pairs = torch.stack((red - green, red - blue, green - blue), 1)
    return (pairs.square() + 1e-12).sqrt().sum(1).mean()


def paper_exposure_loss(enhanced: Tensor, level: float = 0.6, patch_size: int = 16) -> Tensor:
    """Eq. 4: mean over regions of |Y_a - E|."""
    return (region_means(enhanced, patch_size) - level).abs().mean()


def paper_total_variation_loss(factor: Tensor) -> Tensor:
    """Eq. 5: 1 / (C H W) sum of (dx A)^2 + (dy A)^2, mean over the batch."""
    squares = factor.diff(dim=2).square().sum() + factor.diff(dim=3).square().sum()
    return squares / factor.numel()


OBJECTIVES = {  # the functions of tv, spatial, colour and exposure
    "code": (total_variation_loss, spatial_loss, colour_loss, exposure_loss),
    "paper": (
        paper_total_variation_loss,
        paper_spatial_loss,
        paper_colour_loss,
        paper_exposure_loss,
    ),
}


class ZeroReferenceLoss(torch.nn.Module):
    """An objective as named parts, each with its weight; their sum is the loss.

    Args:
        weights: name -> weight; a part whose weight is 0 is not computed.
        patch_size, exp_level: region of the spatial loss, target of the exposure loss.
        exposure_patch: region of the exposure loss.
        guide: a frozen network [B, 3, H, W] -> logits, for the "semantic" part.
        objective: "code", the released code's losses and weights, or "paper", those printed
            (SGZ, eq. 2 to 6); the semantic part is the same in both.
    """

    def __init__(
        self,
        weights: dict[str, float] | None = None,
        patch_size: int = 4,
        exp_level: float = 0.6,
        exposure_patch: int = 16,
        guide: torch.nn.Module | None = None,
        objective: str = "code",
    ):
        super().__init__()
        self.tv, self.spatial, self.colour, self.exposure = OBJECTIVES[objective]
        self.weights = LOSS_WEIGHTS[objective] | (weights or {})
        if unknown := set(self.weights) - set(LOSS_WEIGHTS[objective]):
            raise ValueError(f"no loss is called {', '.join(sorted(unknown))}")
        if guide is None:
            self.weights["semantic"] = 0.0
        self.patch_size = patch_size
        self.exp_level = exp_level
        self.exposure_patch = exposure_patch
        self.guide = guide

    def forward(self, image: Tensor, enhanced: Tensor, factor: Tensor) -> dict[str, Tensor]:
        """Weighted parts by name, each a scalar; image, enhanced, factor [B, 3, H, W]."""
        parts = {
            "tv": lambda: self.tv(factor),
            "spatial": lambda: self.spatial(enhanced, image, self.patch_size),
            "colour": lambda: self.colour(enhanced),
            "exposure": lambda: self.exposure(enhanced, self.exp_level, self.exposure_patch),
            "semantic": lambda: semantic_loss(self.guide(enhanced)),
        }
        return {name: w * parts[name]() for name, w in self.weights.items() if w}

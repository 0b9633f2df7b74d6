"""What a run minimises, from its options: the losses by name and the frozen guide."""

import warnings
from argparse import Namespace
from collections.abc import Callable

from loss import ZeroReferenceLoss
from sgz.errors import UserError
from training.guide import SemanticGuide, build_guide

SMALLEST_GUIDED = 64  # below, ResNet-50's last stage has one pixel, too few for batch statistics


def check_image_size(options: Namespace) -> None:
    """Raise UserError where images are smaller than what a loss needs of them."""
    needs = {
        "the semantic guide": SMALLEST_GUIDED * bool(options.seg_weight),
        "the spatial loss": options.patch_size * bool(options.spatial_weight),
        "the exposure loss": options.exposure_patch * bool(options.exposure_weight),
        "differences between neighbours": 2,
    }
    what, least = max(needs.items(), key=lambda need: need[1])
    if options.image_size < least:
        raise UserError(
            f"images of {options.image_size}x{options.image_size} pixels are too small: "
            f"{what} needs {least} or more",
            "guided_size" if what == "the semantic guide" else "image_size",
        )


def start_guide(
    options: Namespace, seed: int, log: Callable[[str], object]
) -> SemanticGuide | None:
    """The semantic guide, or None where its weight is 0; `log` is told what it is."""
    if not options.seg_weight:
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        guide = build_guide(
            options.seg_model,
            options.seg_weights,
            options.seg_init,
            options.num_of_SegClass,
            seed,
        )
    for warning in caught:
        log(f"WARNING: {warning.message}")
    log(f"semantic guide: {options.seg_model}, weights: {guide.source}")
    return guide


def build_loss(options: Namespace, guide: SemanticGuide | None) -> ZeroReferenceLoss:
    """The losses, each with its weight."""
    return ZeroReferenceLoss(
        {
            "tv": options.tv_weight,
            "spatial": options.spatial_weight,
            "colour": options.colour_weight,
            "exposure": options.exposure_weight,
            "semantic": options.seg_weight,
        },
        options.patch_size,
        options.exp_level,
        options.exposure_patch,
        guide,
        options.objective,
    )

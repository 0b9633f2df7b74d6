"""The names of sgz/model.py, where users of the paper's code look for them."""

from sgz.errors import CheckpointError
from sgz.method import CONV_TYPES
from sgz.model import (
    EnhanceNet,
    apply_curve,
    enhance_plainly,
    enlarge,
    initialise_paper,
    load_model,
    shrink,
)

__all__ = [
    "CONV_TYPES",
    "CheckpointError",
    "EnhanceNet",
    "apply_curve",
    "enhance_plainly",
    "enlarge",
    "initialise_paper",
    "load_model",
    "shrink",
]

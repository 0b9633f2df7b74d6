"""The method's constants (SGZ, section 3.1)."""

SCALE_FACTOR = 12  # the network sees the image shrunk by it, in inference
ITERATIONS = 8  # times the curve is applied
CONV_TYPES = ("dsc", "tc", "dc")
LOOKS = ("natural", "paper")  # natural is ours: sgz/look
MAPS = ("guided", "bilinear")  # how the factor map is enlarged; the paper's is bilinear
# By objective: the released code's, and the paper's (section 4.1).
LOSS_WEIGHTS = {
    "code": {"tv": 1600.0, "spatial": 1.0, "colour": 5.0, "exposure": 10.0, "semantic": 0.1},
    "paper": {"tv": 1.0, "spatial": 1.0, "colour": 1.0, "exposure": 1.0, "semantic": 0.1},
}


def receptive_radius(conv_type: str) -> int:
    """How many pixels around one the network sees: one, or two where dilated, for each layer."""
    return 14 if conv_type == "dc" else 7


def small_size(shape: tuple[int, ...], scale: int) -> tuple[int, int]:
    """Height and width of the factor map of an image [H, W, ...]."""
    return -(-shape[0] // scale), -(-shape[1] // scale)


def check_strength(strength: float) -> float:
    """The factor map's multiplier: any finite number from 0.

    Raises:
        ValueError: it is none.
    """
    if not 0 <= strength < float("inf"):
        raise ValueError(f"strength must be a number from 0, not {strength}")
    return strength


def check_iterations(iterations: int) -> int:
    """How often the curve is applied: a whole number from 0.

    Raises:
        ValueError: it is none.
    """
    if not 0 <= iterations < float("inf") or iterations != int(iterations):
        raise ValueError(f"iterations must be a whole number from 0, not {iterations}")
    return int(iterations)

"""Which parts of the natural look are on."""

from dataclasses import dataclass, replace

from sgz.method import LOOKS, MAPS


@dataclass(frozen=True)
class Look:
    """What is done besides the paper's curve.

    black_point: subtract each channel's black (black_point.py).
    exposure: one strength for the picture (exposure.py).
    map: how the factor map is enlarged, "guided" (guided_map.py) or "bilinear".
    denoise: "auto", "off", or the noise's standard deviation in levels of 255 (denoise.py).
    hue_preserving: one factor for the three channels, their mean: hue stays.
    """

    black_point: bool = False
    exposure: bool = False
    map: str = "bilinear"
    denoise: str | float = "off"
    hue_preserving: bool = False

    def __post_init__(self):
        if self.map not in MAPS:
            raise ValueError(f"map must be one of {', '.join(MAPS)}, not {self.map!r}")
        known = self.denoise in ("auto", "off") if isinstance(self.denoise, str) else True
        if not known or (not isinstance(self.denoise, str) and not 0 <= self.denoise <= 255):
            raise ValueError(
                f"denoise must be auto, off or a number of levels from 0 to 255, "
                f"not {self.denoise!r}"
            )


PAPER = Look()
NATURAL = Look(True, True, "guided", "auto", True)


def choose_look(look: str = "paper", **parts) -> Look:
    """A look by its name, "natural" or "paper", and what is other than in it.

    Args:
        parts: Look's fields; None leaves one as it is in the look.

    Raises:
        ValueError: no such look, or a part that cannot be so.
    """
    if look not in LOOKS:
        raise ValueError(f"look must be one of {', '.join(LOOKS)}, not {look!r}")
    chosen = {key: value for key, value in parts.items() if value is not None}
    return replace(NATURAL if look == "natural" else PAPER, **chosen)

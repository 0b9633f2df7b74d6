"""What a visitor sets: look, brightness, shadows, denoising."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

from sgz.look.options import choose_look

BRIGHTNESS, SHADOWS, NOISE = (0.0, 2.0), (1, 16), (0.0, 12.0)
LOOKS, DENOISING = ("natural", "paper"), ("auto", "off", "amount")


@dataclass(frozen=True)
class Settings:
    """The controls of the page.

    brightness: Enhancer's strength. shadows: its iterations. denoise: "auto" measures the noise,
    "amount" takes `noise`, a standard deviation in levels of 255. shows_map: the factor map is
    shown in place of the result.
    """

    look: str = "natural"
    brightness: float = 1.0
    shadows: int = 8
    denoise: str = "auto"
    noise: float = 3.0
    shows_map: bool = False

    @classmethod
    def of_request(cls, values: Mapping[str, object]) -> "Settings":
        """Settings from what a browser sent, whatever that is: clamped, defaults in place of it."""
        first = cls()

        def number(name: str, limits: tuple) -> float:
            value = values.get(name)
            known = isinstance(value, int | float) and value == value
            return clamp(value, limits) if known else getattr(first, name)

        def choice(name: str, known: tuple[str, ...]) -> str:
            return values.get(name) if values.get(name) in known else getattr(first, name)

        return cls(
            choice("look", LOOKS),
            number("brightness", BRIGHTNESS),
            round(number("shadows", SHADOWS)),
            choice("denoise", DENOISING),
            number("noise", NOISE),
            values.get("shows_map") is True,
        )

    def tuned(self, enhancer, ratio: float = 1.0):
        """An Enhancer with these settings; weights and threads are shared.

        Args:
            ratio: of the sides of a shrunken picture to the whole one's. The network is to see it
                about as large as it sees the whole, and shrinking has averaged noise.
        """
        tuned = copy(enhancer)
        tuned.strength, tuned.iterations = self.brightness, self.shadows
        tuned.scale_factor = max(round(enhancer.scale_factor * ratio), 1)
        denoise = self.noise * ratio if self.denoise == "amount" else self.denoise
        tuned.look = choose_look(self.look, denoise=denoise)
        return tuned


def clamp(value, limits: tuple):
    """A number pushed into its limits."""
    return min(max(value, limits[0]), limits[1])

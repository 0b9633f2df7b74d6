"""What a person sees of a run as it goes: one bar, the loss below it, the time left."""

import time
from collections import deque
from itertools import pairwise

from tqdm import tqdm

REMEMBERED = 100  # steps that the time left is told from
ENOUGH = 4  # steps, after the first one, which is slower


class Progress:
    """A bar over all steps of a run, and how long the rest of them takes.

    Args:
        done, total: steps of the run.
        hidden: show nothing.

    Attributes:
        is_bar: whether the bar is seen.
    """

    def __init__(self, done: int, total: int, hidden: bool = False):
        hide = True if hidden else None
        layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{postfix}]"
        self.bar = tqdm(initial=done, total=total, bar_format=layout, disable=hide)
        # A line of its own: beside the bar, 80 columns show two of the parts.
        self.parts = tqdm(bar_format="{desc}", position=1, leave=False, disable=hide)
        self.is_bar = not self.bar.disable
        self.left = total - done
        self.ends: deque[float] = deque(maxlen=REMEMBERED + 1)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_error: object) -> None:
        self.parts.close()
        self.bar.close()

    def step(self, text: str) -> None:
        """A step of the part of the run that the text names has ended."""
        self.left -= 1
        self.ends.append(time.monotonic())
        self.bar.set_description_str(text, refresh=False)
        self.bar.set_postfix_str(self.time_left() or "measuring", refresh=False)
        self.bar.update()
        if not self.left:
            self.bar.refresh()  # even where the last one was a moment ago

    def show(self, text: str) -> None:
        """Write the parts of the loss below the bar."""
        self.parts.set_description_str(text)

    def seconds_left(self) -> float | None:
        """How long the rest takes, by the mean of the last steps with all that comes between them.

        None before a few have been.
        """
        if len(self.ends) <= ENOUGH:
            return None
        return self.left * (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)

    def time_left(self) -> str:
        """The same in words, or nothing."""
        seconds = self.seconds_left()
        return "" if seconds is None else f"{in_words(seconds)} left"


def in_words(seconds: float) -> str:
    """A duration in its two largest units: "2 days 7 h", "5 min 30 s"."""
    units = (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
    seconds = round(seconds)
    for (name, size), (smaller, part) in pairwise(units):
        if seconds >= size:
            number, rest = seconds // size, seconds % size // part
            name = "day" if name == "days" and number == 1 else name
            return f"{number} {name} {rest} {smaller}" if rest else f"{number} {name}"
    return f"{seconds} s"

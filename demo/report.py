"""What demo/make_video.py says about a video."""

import sys
from argparse import Namespace

from tqdm import tqdm

from sgz.video.reader import Reader


class Report:
    """Sentences about the video, printed once the progress bar is gone.

    damages: how many of them tell of a loss.
    """

    def __init__(self):
        self.sentences: list[str] = []
        self.damages = 0

    def note(self, sentence: str) -> None:
        self.sentences.append(f"note: {sentence}")

    def damage(self, sentence: str) -> None:
        self.damages += 1
        self.sentences.append(f"damaged: {sentence}")

    def close(self, done: str) -> int:
        """Print everything; the exit code."""
        print(done)
        for sentence in self.sentences:
            print(sentence, file=sys.stderr)
        return 1 if self.damages else 0


def open_reader(options: Namespace, report: Report) -> Reader:
    """The video that the options name."""
    pixels = round(options.max_megapixels * 1e6)
    return Reader(
        options.video_path,
        report.note,
        report.damage,
        pixels,
        options.start,
        options.duration,
        hardware=options.hardware == "auto",
    )


def new_bar(total: int | None) -> tqdm:
    """A progress bar with frames per second and the time left."""
    return tqdm(total=total, unit="frame", smoothing=0.1)

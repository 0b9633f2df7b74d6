"""What can be seen of a training run: train.log, log.csv, run.json, pictures, TensorBoard."""

import csv
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgz.command import printable
from sgz.errors import UserError
from sgz.files import whole_file, write_whole

PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "opencv-python-headless", "pillow")
MEASURES = ("gradient_norm", "lr", "images_per_second")  # of log.csv, besides losses
INK = [(60, 60, 60), (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)]


class Monitor:
    """The records of one run, in its folder; a disk that is full costs a warning, not the run.

    Args:
        folder: where they go.
        writes: False for all but one of several processes: everything is silent then.
        tracker: "none" or "tensorboard".

    Raises:
        UserError: the tracker is not installed.
    """

    def __init__(self, folder: Path, writes: bool = True, tracker: str = "none"):
        self.folder = folder
        self.writes = writes
        self.tracker = tracker if writes else "none"
        self.board = None
        self.rows: list[dict[str, float]] = []  # of log.csv
        self.warned: set[str] = set()
        if self.tracker == "tensorboard":
            import_summary_writer()

    def say(self, line: str, quiet: bool = False) -> None:
        """Append to train.log, and print unless quiet."""
        if not self.writes:
            return
        line = printable(line)  # names of files are in it
        if not quiet:
            tqdm.write(line, file=sys.stderr)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S ")
        self.attempt("train.log", lambda path: append(path, f"{stamp}{line}\n"))

    def attempt(self, name: str, write: Callable[[Path], object]) -> None:
        """Let `write` write a file of the folder; when it cannot, say so once for each file."""
        try:
            write(self.folder / name)
        except OSError as error:
            if name not in self.warned:
                self.warned.add(name)
                line = f"WARNING: cannot write {self.folder / name} ({error.strerror or error})"
                tqdm.write(f"{line}; training goes on", file=sys.stderr)

    def begin(self, record: dict, resumed: tuple[int, int] | None, step: int) -> None:
        """Begin, or go on with, the run's files.

        Args:
            record: options and the like, for run.json.
            resumed: (epoch, step) the run in this folder goes on from; None for a new one. What
                was recorded beyond it will happen again, and is dropped.
            step: the number of the next step, counted over all epochs.
        """
        if not self.writes:
            return
        for name in ("log.csv", "validation.csv"):
            rows = read_rows(self.folder / name)
            kept = [row for row in rows if resumed and (row["epoch"], row["step"]) <= resumed]
            if len(kept) < len(rows):
                self.attempt(name, lambda path, kept=kept: write_rows(path, kept))
            if name == "log.csv":
                self.rows = kept
        record = {"started": time.strftime("%Y-%m-%d %H:%M:%S"), **record, **versions()}
        self.attempt("run.json", lambda path: add_record(path, record))
        if self.tracker == "tensorboard":
            self.board = import_summary_writer()(self.folder / "tensorboard", purge_step=step)

    def progress(
        self, values: dict[str, float], epoch: int, step: int, steps: int, total_steps: int
    ) -> str:
        """Record the loss and its parts at a step, add a line to log.csv; returns them as text."""
        row = {"epoch": epoch, "step": step, "steps": steps}
        row |= {n if n in MEASURES else f"loss_{n}": value for n, value in values.items()}
        self.scalars("log.csv", row, total_steps)
        return " ".join(f"{name} {value:.3g}" for name, value in values.items())

    def scalars(self, name: str, row: dict[str, float], step: int) -> None:
        """Append a line to a CSV file, "log.csv" or "validation.csv", and tell the tracker."""
        if not self.writes:
            return
        if name == "log.csv":
            self.rows.append(row)
        self.attempt(name, lambda path: add_row(path, row))
        if self.board:
            for key, value in row.items():
                if key not in ("epoch", "step", "steps"):
                    self.board.add_scalar(f"{Path(name).stem}/{key}", value, step)

    def pictures(self, preview: np.ndarray, step: int) -> None:
        """Write preview.png, [H, W, 3] uint8, and loss.png, the curves of log.csv."""
        self.attempt("preview.png", lambda path: write_png(path, preview))
        self.attempt("loss.png", lambda path: write_png(path, draw_curves(self.rows)))
        if self.board:
            self.board.add_image("preview", preview, step, dataformats="HWC")

    def close(self) -> None:
        """Flush what the tracker still holds."""
        if self.board:
            self.board.close()


def import_summary_writer():
    """TensorBoard's writer; UserError when it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("TensorBoard is not installed; pip install tensorboard") from error
    return SummaryWriter


def versions() -> dict[str, object]:
    """The code's git commit (with a + for local changes), and versions of what it runs on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return {"commit": git_commit(), "versions": found, "machine": platform.platform()}


def git_commit() -> str | None:
    """The commit this file's repository stands at; None outside of one."""
    here = ["git", "-C", str(Path(__file__).resolve().parent)]
    try:
        head = subprocess.run([*here, "rev-parse", "HEAD"], capture_output=True, check=True)
        changed = subprocess.run([*here, "diff", "--quiet", "HEAD"], capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.decode().strip() + ("+" if changed.returncode else "")


def append(path: Path, text: str) -> None:
    """Add text to the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def add_record(path: Path, record: dict) -> None:
    """Add to the list that a JSON file holds: each start of the run is one entry."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        records = []
    text = json.dumps([*records, record], indent=2) + "\n"
    write_whole(path, text.encode())


def add_row(path: Path, row: dict[str, float]) -> None:
    """Append to a CSV file, with a header if it is new; if its columns differ, rewrite it."""
    if not path.exists():
        return write_rows(path, [row])
    with path.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file), [])
    if columns != list(row):
        return write_rows(path, [*read_rows(path), row])
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, columns).writerow(row)


def write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    """Write a CSV file of rows, whose columns may differ."""
    columns = list(dict.fromkeys(key for row in rows for key in row))

    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, float]]:
    """The whole lines of a CSV file of numbers; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({key: float(value) for key, value in row.items() if value != ""})
            except (TypeError, ValueError):
                continue
    return rows


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write [H, W, 3] uint8 RGB, whole or not at all."""
    from PIL import Image

    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


def draw_curves(rows: list[dict[str, float]], width: int = 900, height: int = 500) -> np.ndarray:
    """The loss and its parts over the epochs, on a logarithmic scale; [H, W, 3] uint8."""
    import cv2

    left, right, top, bottom = 70, width - 150, 20, height - 40
    picture = np.full((height, width, 3), 255, np.uint8)
    font = (cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    names = [key for key in (rows[-1] if rows else {}) if key.startswith("loss_")]
    rows = rows[:: len(rows) // 2000 + 1]
    x = np.array([row["epoch"] + row["step"] / row["steps"] for row in rows])
    curves = {k: np.array([row.get(k, np.nan) for row in rows], float) for k in names}
    positive = [value for curve in curves.values() for value in curve if value > 0]
    if not positive:
        return picture
    low, high = np.floor(np.log10(min(positive))), np.ceil(np.log10(max(positive)))
    high = max(high, low + 1)
    first, last = x[0], max(x[-1], x[0] + 1e-9)
    for decade in range(int(low), int(high) + 1):
        y = round(bottom - (decade - low) / (high - low) * (bottom - top))
        cv2.line(picture, (left, y), (right, y), (225, 225, 225))
        cv2.putText(picture, f"1e{decade}", (left - 50, y + 4), *font)
    for share in (0, 0.5, 1):
        at = round(left + share * (right - left))
        cv2.putText(picture, f"{first + share * (last - first):.4g}", (at - 12, bottom + 18), *font)
    cv2.putText(picture, "epoch", ((left + right) // 2 - 20, bottom + 34), *font)
    for number, (name, curve) in enumerate(curves.items()):
        colour = INK[number % len(INK)]
        y = bottom - (np.log10(np.maximum(curve, 10**low)) - low) / (high - low) * (bottom - top)
        points = np.stack((left + (x - first) / (last - first) * (right - left), y), 1)
        points = points[np.isfinite(points).all(1)].round().astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 1, cv2.LINE_AA)
        cv2.putText(picture, name[5:], (right + 12, top + 20 + 20 * number), *font[:2], colour,
                    *font[3:])  # fmt: skip
    return picture

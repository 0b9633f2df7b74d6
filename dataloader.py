"""Dark images on disk -> training batches that depend on the seed and the epoch alone."""

import hashlib
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sgz.errors import ImageError, UserError
from sgz.files import find_files, no_images, write_whole
from sgz.image.photo import IMAGE_SUFFIXES, read_photo
from sgz.machine import count_cores
from sgz.pixels import to_8_bit

GIGABYTE = 1 << 30


class LowLightImages(Dataset):
    """The images under a folder, decoded and resized once, as square uint8 tensors.

    They are held in memory up to a limit; each one beyond it lies ready in a file of its own in
    the cache folder, named by the image's path, size and time of change, and is there for the
    next run too. What happens to the images themselves during training does not matter.

    An item is asked for by (epoch, index), so that what is random in it depends on the seed, the
    epoch and the image, not on the process that reads it or on where a run was resumed.

    Args:
        root: a folder, searched recursively, or one file; any type and size of image.
        size: side in pixels; images are resized to it without keeping their proportions.
        darken: each item comes with a gain exp(-darken * u), u uniform in [0, 1).
        seed: of what is random.
        cache_bytes: how much memory the images may take; None for no limit.
        cache_folder: where the others go; None for ~/.cache/sgz.

    Attributes:
        paths: of the images that could be read.
        skipped: what could not be read, as (path, reason).
        fingerprint: tells one state of the folder from another.

    Raises:
        UserError: no image, none that can be read, or no room for the cache.
    """

    def __init__(
        self,
        root: Path,
        size: int = 512,
        darken: float = 0.0,
        seed: int = 0,
        cache_bytes: float | None = None,
        cache_folder: Path | None = None,
    ):
        found = sorted(find_files(root, IMAGE_SUFFIXES)) if root.exists() else []
        if not found:
            raise no_images(root)
        self.size, self.darken, self.seed = size, darken, seed
        self.cache_folder = cache_folder or Path.home() / ".cache" / "sgz"
        self.skipped: list[tuple[Path, str]] = []
        self.paths: list[Path] = []
        self.where: list[int | Path] = []  # a row of pixels, or a file of the cache
        self.fingerprint, keys = fingerprint(found, root)
        room = len(found) if cache_bytes is None else int(cache_bytes // (3 * size * size))
        # Memory is taken up by rows that are written, not by those that are only allotted.
        self.pixels = np.empty((min(room, len(found)), size, size, 3), np.uint8)
        files = [
            None if i < room else self.cache_folder / f"{key}-{size}.rgb"
            for i, key in enumerate(keys)
        ]
        with ThreadPoolExecutor(count_cores()) as pool:
            results = pool.map(self.prepare, found, files)
            bar = tqdm(results, "reading images", len(found), leave=False, disable=None, delay=1)
            for row, (path, result) in enumerate(zip(found, bar, strict=True)):
                if isinstance(result, str):
                    self.skipped.append((path, result))
                    continue
                if isinstance(result, np.ndarray):
                    self.pixels[row] = result
                self.paths.append(path)
                self.where.append(result if isinstance(result, Path) else row)
        if not self.paths:
            path, reason = self.skipped[0]
            raise UserError(
                f"none of the {len(found)} images under {root} can be read ({path}: {reason})"
            )

    def prepare(self, path: Path, file: Path | None) -> np.ndarray | Path | str:
        """The image's pixels, or the cache's file that holds them, or why it cannot be read."""
        if file is not None and is_whole(file, self.size):
            return file
        pixels = decode_or_reason(path, self.size)
        if file is None or isinstance(pixels, str):
            return pixels
        try:
            write_whole(file, pixels.tobytes())
        except OSError as error:
            raise UserError(
                f"the images do not fit in memory, and {file.parent} cannot be written "
                f"({error.strerror or error}); make room there",
                "cache",
            ) from error
        return file

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, float]:
        """The image [3, size, size] uint8 and the gain its values are to be multiplied by."""
        epoch, index = key
        image = torch.from_numpy(self.read(index)).permute(2, 0, 1)
        if not self.darken:
            return image, 1.0
        u = np.random.default_rng((self.seed, epoch, index)).random()
        return image, float(np.exp(-self.darken * u))

    def read(self, index: int) -> np.ndarray:
        """An image [size, size, 3] uint8; UserError if the cache's file and the image are gone."""
        where = self.where[index]
        if isinstance(where, int):
            return self.pixels[where]
        if not is_whole(where, self.size):  # someone has emptied the cache
            result = self.prepare(self.paths[index], where)
            if isinstance(result, str):
                raise UserError(f"{where} is gone from the cache, {self.paths[index]}: {result}")
        return np.fromfile(where, np.uint8).reshape(self.size, self.size, 3)


def is_whole(file: Path, size: int) -> bool:
    """Whether a file of the cache is there with all its bytes."""
    try:
        return file.stat().st_size == 3 * size * size
    except OSError:
        return False


def decode_or_reason(path: Path, size: int) -> np.ndarray | str:
    """[size, size, 3] uint8, or why the file cannot be read."""
    import cv2

    try:
        pixels = read_photo(path).pixels
    except ImageError as error:
        return str(error)
    resized = cv2.resize(to_8_bit(pixels), (size, size), interpolation=cv2.INTER_AREA)
    return np.broadcast_to(resized[..., None], (size, size, 3)) if resized.ndim == 2 else resized


def fingerprint(paths: list[Path], root: Path) -> tuple[str, list[str]]:
    """What tells one data set from another, and one image from another: names, sizes, times.

    Returns:
        One hash for all, by names below the root; and a hash for each image, by its whole path.
    """
    digest, keys = hashlib.sha256(), []
    for path in paths:
        try:
            status = path.stat()
            state = f"{status.st_size}|{status.st_mtime_ns}"
        except OSError:  # removed since it was listed, or a link to nothing
            state = "gone"
        digest.update(f"{path.relative_to(root)}|{state}\n".encode())
        keys.append(hashlib.sha256(f"{path.resolve()}|{state}".encode()).hexdigest()[:32])
    return digest.hexdigest()[:16], keys


@dataclass
class Step:
    """One step of the optimiser, as one process sees it.

    images: in the step, over all processes. batches: the (epoch, index) keys of this process, a
    list for each backward pass. counts: the images each batch counts for: 0 for one that only
    keeps this process in step with the others.
    """

    images: int
    batches: list[list[tuple[int, int]]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


def plan_epoch(
    length: int,
    seed: int,
    epoch: int,
    batch_size: int,
    accumulate: int = 1,
    processes: int = 1,
    rank: int = 0,
) -> list[Step]:
    """The steps of one epoch in its own random order, the share of one process of several.

    A step takes batch_size x accumulate x processes images, the last one what is left; which
    images it takes depends on that product alone, not on how it is made up.
    """
    order = np.random.default_rng((seed, epoch)).permutation(length)
    steps = []
    for images in cut(order, batch_size * accumulate * processes):
        step = Step(len(images))
        for part in cut(images, batch_size * processes):
            mine = np.array_split(part, processes)[rank]
            step.counts.append(len(mine))
            # An image that counts for nothing, where the rest does not go round.
            keys = mine if len(mine) else part[:1]
            step.batches.append([(epoch, int(index)) for index in keys])
        steps.append(step)
    return steps


def cut(values: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Consecutive pieces of a length, the last one shorter."""
    return (values[start : start + length] for start in range(0, len(values), length))


def batches_of(
    dataset: LowLightImages,
    steps: list[Step],
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader:
    """The batches of some steps, one after another: uint8 [B, 3, S, S] and gains [B]."""
    keys = [batch for step in steps for batch in step.batches]
    return DataLoader(
        dataset,
        batch_sampler=keys,
        num_workers=min(num_workers, len(keys)),
        pin_memory=pin_memory,
        worker_init_fn=ignore_interrupt,
        generator=torch.Generator(),  # else it would draw from, and move, torch's own
    )


def ignore_interrupt(_worker: int) -> None:
    """Ctrl-C and a cluster's SIGTERM reach every process; only the training process answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

"""Dark images on disk -> training batches that depend on the seed and the epoch alone."""

import hashlib
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from photo import IMAGE_SUFFIXES, ImageError, read_photo
from utils import UserError, count_cores, find_files, no_images


class LowLightImages(Dataset):
    """The images under a folder, decoded and resized once, as square uint8 tensors.

    An item is asked for by (epoch, index), so that what is random in it depends on the seed, the
    epoch and the image, not on the process that reads it or on where a run was resumed.

    Args:
        root: a folder, searched recursively, or one file; any type and size of image.
        size: side in pixels; images are resized to it without keeping their proportions.
        darken: each item comes with a gain exp(-darken * u), u uniform in [0, 1).
        seed: of what is random.

    Attributes:
        skipped: what could not be read, as (path, reason).

    Raises:
        UserError: no image, or none that can be read.
    """

    def __init__(self, root: Path, size: int = 512, darken: float = 0.0, seed: int = 0):
        paths = sorted(find_files(root, IMAGE_SUFFIXES)) if root.exists() else []
        if not paths:
            raise no_images(root)
        self.darken = darken
        self.seed = seed
        self.fingerprint = fingerprint(paths, root)
        self.skipped: list[tuple[Path, str]] = []
        self.pixels = np.empty((len(paths), size, size, 3), np.uint8)
        kept = 0
        with ThreadPoolExecutor(count_cores()) as pool:
            decoded = pool.map(lambda path: decode_or_reason(path, size), paths)
            for path, result in zip(paths, decoded, strict=True):
                if isinstance(result, str):
                    self.skipped.append((path, result))
                else:
                    self.pixels[kept] = result
                    kept += 1
        if kept == 0:
            path, reason = self.skipped[0]
            raise UserError(
                f"none of the {len(paths)} images under {root} can be read ({path}: {reason})"
            )
        self.pixels = self.pixels[:kept]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, float]:
        """The image [3, size, size] uint8 and the gain its values are to be multiplied by."""
        epoch, index = key
        image = torch.from_numpy(self.pixels[index]).permute(2, 0, 1)
        if not self.darken:
            return image, 1.0
        u = np.random.default_rng((self.seed, epoch, index)).random()
        return image, float(np.exp(-self.darken * u))


def decode_or_reason(path: Path, size: int) -> np.ndarray | str:
    """[size, size, 3] uint8, or why the file cannot be read."""
    import cv2

    try:
        pixels = read_photo(path).pixels
    except ImageError as error:
        return str(error)
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    resized = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    return np.broadcast_to(resized[..., None], (size, size, 3)) if resized.ndim == 2 else resized


def fingerprint(paths: list[Path], root: Path) -> str:
    """What tells one data set from another: names, sizes and times of its files, hashed."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.relative_to(root)}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


class EpochOrder(Sampler):
    """The (epoch, index) keys of one epoch in its own random order, from a position on."""

    def __init__(self, length: int, seed: int, epoch: int, start: int = 0):
        self.length = length
        self.seed = seed
        self.epoch = epoch
        self.start = start

    def __len__(self) -> int:
        return max(self.length - self.start, 0)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return iter([(self.epoch, int(index)) for index in order[self.start :]])


def epoch_batches(
    dataset: LowLightImages,
    batch_size: int,
    epoch: int,
    first_step: int = 0,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader:
    """The batches of one epoch from `first_step` on: uint8 [B, 3, S, S] and gains [B]."""
    order = EpochOrder(len(dataset), dataset.seed, epoch, first_step * batch_size)
    return DataLoader(
        dataset,
        batch_size,
        sampler=order,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=ignore_interrupt,
        generator=torch.Generator(),  # else it would draw from, and move, torch's own
    )


def ignore_interrupt(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; only the training process answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

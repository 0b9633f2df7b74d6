"""Dark images on disk -> training batches that depend on the seed and the epoch alone."""

import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from isal import isal_zlib
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sgz.errors import ImageError, UserError
from sgz.files import find_files, no_images, private_folder, whole_file
from sgz.image.photo import IMAGE_SUFFIXES, read_photo
from sgz.machine import count_cores
from sgz.pixels import to_8_bit

FOOTER = np.dtype([("index_bytes", "<u8"), ("checksum", "<u4")])  # the end of a cache file
BLOCK = 1 << 26  # bytes summed at a time
DECODED_AT_ONCE = 64  # images


class LowLightImages(Dataset):
    """The images under a folder, decoded and resized once, as square uint8 tensors.

    With a cache folder they lie in one file there, mapped into memory: the system holds as much of
    it as there is room for, once for all processes, and the next run finds it ready. What happens
    to the images themselves during training does not matter.

    An item is asked for by (epoch, index), so that what is random in it depends on the seed, the
    epoch and the image, not on the process that reads it or on where a run was resumed.

    Args:
        root: a folder, searched recursively, or one file; any type and size of image.
        size: side in pixels; images are resized to it without keeping their proportions.
        darken: each item comes with a gain exp(-darken * u), u uniform in [0, 1).
        cutmix: the share of items into which a part of another image is cut, as in CutMix (Yun et
            al. 2019), but an ellipse: light has edges that a factor map must not run over.
        seed: of what is random.
        cache: folder for that file. None, or one that cannot be written, has the images held in
            the memory of each process.

    Attributes:
        paths: of the images that could be read.
        skipped: what could not be read, as (path, reason).
        fingerprint: tells one state of the folder from another.
        note: why the cache is not used, or nothing.

    Raises:
        UserError: no image, or none that can be read.
    """

    def __init__(
        self,
        root: Path,
        size: int = 512,
        darken: float = 0.0,
        cutmix: float = 0.0,
        seed: int = 0,
        cache: Path | None = None,
    ):
        found = sorted(find_files(root, IMAGE_SUFFIXES)) if root.exists() else []
        if not found:
            raise no_images(root)
        self.size, self.darken, self.cutmix, self.seed = size, darken, cutmix, seed
        self.fingerprint = fingerprint(found, root)
        self.note = ""
        self.file = None if cache is None else cache / f"{name_of(root)}-{size}.rgb"
        if self.file is not None:
            try:
                reasons = self._map(found)
            except OSError as error:
                self.note = f"images stay in memory: cannot cache them ({error.strerror or error})"
                self.file = None
        if self.file is None:
            reasons = self._hold(found)
        images = list(zip(found, reasons, strict=True))
        self.paths = [path for path, reason in images if not reason]
        self.skipped = [(path, reason) for path, reason in images if reason]
        if not self.paths:
            path, reason = self.skipped[0]
            raise UserError(
                f"none of the {len(found)} images under {root} can be read ({path}: {reason})"
            )

    def _map(self, found: list[Path]) -> list[str]:
        """Map the cache's file, made before if need be; for each image why it cannot be read."""
        reasons = read_index(self.file, self.fingerprint)
        if reasons is None or any_readable(found, reasons, self.size):
            reasons = write_cache(self.file, found, self.fingerprint, self.size)
        self.pixels = map_pixels(self.file, reasons.count(""), self.size)
        return reasons

    def _hold(self, found: list[Path]) -> list[str]:
        """Read the images into memory; for each why it cannot be read, or nothing."""
        # Memory is taken up by rows that are written, not by those that are only allotted.
        pixels = np.empty((len(found), self.size, self.size, 3), np.uint8)
        reasons: list[str] = []
        for result in decode_all(found, self.size):
            if isinstance(result, np.ndarray):
                pixels[reasons.count("")] = result
            reasons.append(result if isinstance(result, str) else "")
        self.pixels = pixels[: reasons.count("")]
        return reasons

    def __getstate__(self) -> dict:
        """For a process that is not forked: it maps the file itself."""
        if self.file is None:
            return self.__dict__
        return self.__dict__ | {"pixels": None}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, float]:
        """The image [3, size, size] uint8 and the gain its values are to be multiplied by."""
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        gain = float(np.exp(-self.darken * rng.random()))
        pixels = self.read(index)
        if rng.random() < self.cutmix:
            other = self.read(int(rng.integers(len(self))))
            pixels = np.where(random_ellipse(self.size, rng)[..., None], other, pixels)
        return torch.from_numpy(pixels).permute(2, 0, 1), gain

    def read(self, index: int) -> np.ndarray:
        """An image [size, size, 3] uint8."""
        if self.pixels is None:
            self.pixels = map_pixels(self.file, len(self), self.size)
        return self.pixels[index]


def random_ellipse(size: int, rng: np.random.Generator) -> np.ndarray:
    """[size, size] bool, true inside: anywhere, its half axes 0.1 to 0.4 of the side."""
    places = np.arange(size)
    (y, x), (half_height, half_width) = size * rng.random(2), size * rng.uniform(0.1, 0.4, 2)
    return ((places[:, None] - y) / half_height) ** 2 + ((places - x) / half_width) ** 2 < 1


def map_pixels(file: Path, count: int, size: int) -> np.ndarray:
    """The pixels [count, size, size, 3] uint8 of a cache file; what is changed stays here."""
    if not count:
        return np.empty((0, size, size, 3), np.uint8)
    return np.memmap(file, np.uint8, "c", shape=(count, size, size, 3))


def write_cache(file: Path, paths: list[Path], fingerprint: str, size: int) -> list[str]:
    """Write the pixels of the images, then an index and a checksum of all that.

    Returns:
        For each image why it could not be read, or nothing.

    Raises:
        OSError: there is no room, or no right to write; a file from before is as it was.
    """
    private_folder(file.parent)
    reasons: list[str] = []
    checksum = 0
    with whole_file(file) as temporary, temporary.open("wb") as out:
        for result in decode_all(paths, size):
            reasons.append(result if isinstance(result, str) else "")
            if isinstance(result, np.ndarray):
                pixels = np.ascontiguousarray(result)
                checksum = isal_zlib.crc32(pixels, checksum)
                out.write(pixels)
        index = json.dumps({"fingerprint": fingerprint, "reasons": reasons}).encode()
        out.write(index)
        out.write(np.array((len(index), isal_zlib.crc32(index, checksum)), FOOTER).tobytes())
    return reasons


def read_index(file: Path, fingerprint: str) -> list[str] | None:
    """For each image of a whole cache file why it is not in there; None if it does not fit."""
    if not file.exists() or file.stat().st_size <= FOOTER.itemsize:
        return None
    content = np.memmap(file, np.uint8, "r")
    index_bytes, expected = content[-FOOTER.itemsize :].view(FOOTER)[0].tolist()
    body = content[: -FOOTER.itemsize]
    checksum = 0
    for start in range(0, len(body), BLOCK):
        checksum = isal_zlib.crc32(body[start : start + BLOCK], checksum)
    if checksum != expected or not 0 < index_bytes <= len(body):
        return None
    index = json.loads(body[-index_bytes:].tobytes())
    return index["reasons"] if index["fingerprint"] == fingerprint else None


def any_readable(paths: list[Path], reasons: list[str], size: int) -> bool:
    """Whether an image that could not be read can be now: its right to be read has changed."""
    return any(
        reason and not isinstance(decode_or_reason(path, size), str)
        for path, reason in zip(paths, reasons, strict=True)
    )


def decode_all(paths: list[Path], size: int) -> Iterator[np.ndarray | str]:
    """Each image's pixels [size, size, 3] uint8, or why it cannot be read; in order."""
    decode = partial(decode_or_reason, size=size)
    bar = tqdm(total=len(paths), desc="reading images", leave=False, disable=None, delay=1)
    with bar, ThreadPoolExecutor(count_cores()) as pool:
        # No more at once: they would wait in memory, and Ctrl-C for them.
        for part in cut(paths, DECODED_AT_ONCE):
            for result in pool.map(decode, part):
                bar.update()
                yield result


def decode_or_reason(path: Path, size: int) -> np.ndarray | str:
    """[size, size, 3] uint8, or why the file cannot be read."""
    import cv2

    try:
        pixels = read_photo(path).pixels
    except ImageError as error:
        return str(error)
    resized = cv2.resize(to_8_bit(pixels), (size, size), interpolation=cv2.INTER_AREA)
    return np.broadcast_to(resized[..., None], (size, size, 3)) if resized.ndim == 2 else resized


def fingerprint(paths: list[Path], root: Path) -> str:
    """What tells one data set from another: names below the root, sizes, times of change."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
            state = f"{status.st_size}|{status.st_mtime_ns}"
        except OSError:  # removed since it was listed, or a link to nothing
            state = "gone"
        digest.update(f"{path.relative_to(root)}|{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def name_of(root: Path) -> str:
    """What the cache calls a folder: another state of the same folder takes its place."""
    return hashlib.sha256(bytes(root.resolve())).hexdigest()[:32]


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


def cut(values: Sequence, length: int) -> Iterator[Sequence]:
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
        # More than cores help nothing, and torch would warn of them in nine lines.
        num_workers=min(num_workers, len(keys), count_cores()),
        pin_memory=pin_memory,
        worker_init_fn=ignore_interrupt,
        generator=torch.Generator(),  # else it would draw from, and move, torch's own
    )


def ignore_interrupt(_worker: int) -> None:
    """Ctrl-C and a cluster's SIGTERM reach every process; only the training process answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

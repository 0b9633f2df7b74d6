"""How a network in training does on images that it does not train on."""

from pathlib import Path

import numpy as np
import torch

from dataloader import LowLightImages, Step, batches_of, cut
from evaluation.matching import index_images
from evaluation.metrics import psnr, ssim
from sgz.errors import ImageError
from sgz.image.photo import read_photo
from sgz.method import SCALE_FACTOR
from sgz.model import EnhanceNet, enhance_plainly
from sgz.pixels import to_8_bit, to_rgb

TILE, HEADING = 192, 24  # pixels: a side of the preview's pictures, and what is above them
HEADINGS = ("input", "enhanced", "factor map (light: more)")


class Validation:
    """Losses on a folder of dark images; with low/ and high/ in it, PSNR and SSIM as well.

    The losses are those of training, on images resized as in training. PSNR and SSIM compare the
    8-bit result at full size, enhanced as test.py does, with the file of the same name in high/.

    Args:
        root: the folder.
        batch_size: images per step, for the losses.
        data: the arguments of LowLightImages: size, seed, cache.

    Attributes:
        notes: what the user should know: images without a partner, or that cannot be read.
    """

    def __init__(self, root: Path, batch_size: int, **data):
        low, high = root / "low", root / "high"
        paired = low.is_dir() and high.is_dir()
        self.images = LowLightImages(low if paired else root, **data)
        self.batch_size = batch_size
        self.notes = [self.images.note] if self.images.note else []
        self.notes += [f"skipped {path}: {reason}" for path, reason in self.images.skipped]
        self.pairs: list[tuple[Path, Path]] = []
        if not paired:
            return
        partners = index_images(high)
        for path in self.images.paths:
            partner = partners.get(path.relative_to(low).with_suffix("").as_posix())
            if problem := check_pair(path, partner):
                self.notes.append(f"no PSNR and SSIM for {path}: {problem}")
            else:
                self.pairs.append((path, partner))

    def measure(self, net, loss, accelerator, device) -> dict[str, float]:
        """Every measure by name, a mean over the images; several processes share the work."""
        rank, processes = accelerator.process_index, accelerator.num_processes
        names = ["total", *(name for name, weight in loss.weights.items() if weight)]
        names = [f"loss_{name}" for name in names] + (["psnr", "ssim"] if self.pairs else [])
        sums = dict.fromkeys(names, (0.0, 0))  # the same on every process, whatever its share

        def add(name: str, value: float, count: int = 1) -> None:
            total, number = sums[name]
            sums[name] = total + value * count, number + count

        share = np.arange(len(self.images))[rank::processes]
        steps = [
            Step(len(part), [[(0, int(i)) for i in part]]) for part in cut(share, self.batch_size)
        ]
        with torch.no_grad(), accelerator.autocast():
            for image, _gain in batches_of(self.images, steps):
                image = image.to(device).float() / 255
                enhanced, factor = net(image)
                parts = loss(image, enhanced.float(), factor.float())
                add("loss_total", float(sum(parts.values())), len(image))
                for name, value in parts.items():
                    add(f"loss_{name}", float(value), len(image))
            full = EnhanceNet(SCALE_FACTOR, net.conv_type).to(device)
            full.load_state_dict(net.state_dict())
            for low, high in self.pairs[rank::processes]:
                result = enhance_plainly(full, read_rgb(low))
                reference = read_rgb(high)
                add("psnr", psnr(result, reference))
                add("ssim", ssim(result, reference))
        table = torch.tensor(list(sums.values()), dtype=torch.float32, device=device)
        totals, counts = accelerator.reduce(table, "sum").T.tolist()
        return {name: t / c for name, t, c in zip(sums, totals, counts, strict=True)}


def check_pair(low: Path, high: Path | None) -> str:
    """Why two images cannot be compared, or nothing."""
    if high is None:
        return "no file of that name in high/"
    try:
        shapes = [read_rgb(path).shape[1::-1] for path in (low, high)]
    except ImageError as error:
        return f"{high}: {error}"
    return "" if shapes[0] == shapes[1] else f"sizes differ: {shapes[0]} and {shapes[1]}"


def read_rgb(path: Path) -> np.ndarray:
    """[H, W, 3] uint8 of any image file; ImageError when it cannot be read."""
    return to_rgb(to_8_bit(read_photo(path).pixels))


def preview(net, images: LowLightImages, device, count: int = 4) -> np.ndarray:
    """The first images as a grid with headings: see preview_grid."""
    pixels = np.stack([images.read(i) for i in range(min(count, len(images)))])
    image = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        enhanced, factor = net(image)
    trio = (x.float().permute(0, 2, 3, 1).cpu().numpy() for x in (image, enhanced, factor))
    return preview_grid(*trio)


def preview_grid(image: np.ndarray, enhanced: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """A row for each image under headings: input | enhanced | factor map in colour.

    Each [B, S, S, 3]; image and enhanced in [0, 1], factor in [-1, 1]. Mid-gray is a factor of 0,
    brighter brightens: a channel shows (1 - A) / 2.

    Returns:
        [HEADING + B TILE, 3 TILE, 3] uint8.
    """
    import cv2

    rows = []
    for trio in zip(image, enhanced, (1 - factor) / 2, strict=True):
        tiles = [cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in trio]
        rows.append(np.concatenate(tiles, 1))
    pixels = (np.nan_to_num(np.concatenate(rows)).clip(0, 1) * 255).round().astype(np.uint8)
    heading = np.full((HEADING, pixels.shape[1], 3), 255, np.uint8)
    for number, text in enumerate(HEADINGS):
        at = (number * TILE + 6, HEADING - 8)
        cv2.putText(heading, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40,) * 3, 1, cv2.LINE_AA)
    return np.concatenate((heading, pixels))

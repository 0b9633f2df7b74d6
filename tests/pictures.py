"""Picture files of every kind a person has, each with the pixels that must be read from it."""

import io
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

ORIENTATION = 0x0112
CAMERA, OWNER, TAKEN, LATITUDE = "Ōkami 5 ☾", "José", "2024:02:29 23:59:58", (41.0, 24.0, 12.5)
# What each orientation does to the upright picture to get the stored one.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def scene(height: int, width: int, channels: int = 3, dtype=np.uint8, seed: int = 0):
    """A dark picture with slopes, an edge and noise: [H, W, C], or [H, W] for one channel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    colours = np.linspace(0.25, 0.45, channels)
    light = (0.3 + 0.5 * x * y + 0.2 * (x > 0.4))[..., None] * colours
    light = light + rng.uniform(0, 0.1, (height, width, channels))
    stack = (light.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
    return stack if channels > 1 else stack[..., 0]


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(stack: np.ndarray, *extra: bytes) -> bytes:
    """A 16-bit PNG of [H, W] or [H, W, 2 to 4], written by hand: no library writes them all."""
    channels = 1 if stack.ndim == 2 else stack.shape[2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", *stack.shape[1::-1], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stack)
    body = (
        chunk(b"IHDR", header),
        *extra,
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def interlaced_png(stack: np.ndarray) -> bytes:
    """The same in seven passes, as PNG's section 8.2 says."""
    plain = deep_png(stack)
    starts = ((0, 0), (0, 4), (4, 0), (0, 2), (2, 0), (0, 1), (1, 0))
    steps = ((8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1))
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for (y, x), (dy, dx) in zip(starts, steps, strict=True)
        for row in stack[y::dy, x::dx]
    )
    header = plain[16:28] + b"\1"
    return plain[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + plain[-12:]


def deep_tiff(stack: np.ndarray, **options) -> bytes:
    """A 16-bit TIFF through tifffile."""
    buffer = io.BytesIO()
    gray = stack.ndim == 2
    alpha = {"extrasamples": ["unassalpha"]} if not gray and stack.shape[2] == 4 else {}
    options = {"photometric": "minisblack" if gray else "rgb", "metadata": None} | alpha | options
    tifffile.imwrite(buffer, stack, **options)
    return buffer.getvalue()


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """The file that Pillow makes of it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of these pixels."""
    return saved(Image.fromarray(pixels), "PNG")


def exif(orientation: int | None = None) -> Image.Exif:
    """EXIF with a camera's name, a time in the Exif directory and a place."""
    block = Image.Exif()
    block[0x010F] = "maker"
    block[0x0110] = CAMERA.encode()
    block[0x8769] = {0x9003: TAKEN, 0x829A: 0.04, 0xA430: OWNER.encode()}
    block[0x8825] = {1: "N", 2: LATITUDE}
    if orientation:
        block[ORIENTATION] = orientation
    return block


@lru_cache
def icc() -> bytes:
    """An ICC profile that is not the default one: a made-up display's."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB", 5500)).tobytes()


def turned(upright: np.ndarray, orientation: int, kind: str) -> bytes:
    """A file whose pixels lie as `orientation` says, lossless but for JPEG."""
    stored = np.ascontiguousarray(STORED[orientation](upright))
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    return saved(
        Image.fromarray(stored), kind, exif=exif(orientation).tobytes(), **options.get(kind, {})
    )


def animation(kind: str, height: int = 20, width: int = 30) -> bytes:
    """Three frames, the first of one dark blue."""
    frames = [Image.new("RGB", (width, height), (10 + 60 * i, 20, 60)) for i in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    options |= {} if kind == "TIFF" else {"duration": 50}
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def bomb(side: int = 100_000) -> bytes:
    """A PNG of a few bytes that claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def kinds() -> dict[str, tuple[bytes, np.ndarray, np.ndarray | None]]:
    """{file name: (content, pixels, alpha)}: every kind that is stored without loss."""
    rgb, gray, alpha = scene(26, 31), scene(26, 31, 1), scene(26, 31, 1, seed=3)
    deep, deep_gray = scene(26, 31, 3, np.uint16), scene(26, 31, 1, np.uint16)
    deep_alpha = scene(26, 31, 1, np.uint16, seed=3)
    bits = gray > 100
    both, deep_both = np.dstack((rgb, alpha)), np.dstack((deep, deep_alpha))
    palette = Image.fromarray(rgb).quantize(16)
    colours = np.asarray(palette.convert("RGB"))
    clear = np.where(np.asarray(palette) == 3, 0, 255).astype(np.uint8)
    cmyk = Image.fromarray(rgb).convert("CMYK")
    files = {}
    for kind, suffix in (("PNG", "png"), ("TIFF", "tif")):
        files |= {
            f"gray.{suffix}": (saved(Image.fromarray(gray), kind), gray, None),
            f"rgb.{suffix}": (saved(Image.fromarray(rgb), kind), rgb, None),
            f"rgba.{suffix}": (saved(Image.fromarray(both), kind), rgb, alpha),
            f"bits.{suffix}": (saved(Image.fromarray(bits), kind), bits * np.uint8(255), None),
            f"palette.{suffix}": (saved(palette, kind), colours, None),
        }
        gray_alpha = Image.fromarray(np.dstack((gray, alpha)))
        files[f"gray alpha.{suffix}"] = (saved(gray_alpha, kind), gray, alpha)
    level = deep_gray[3, 4]
    holes = np.where(deep_gray == level, 0, 65535).astype(np.uint16)
    key = chunk(b"tRNS", struct.pack(">H", level))
    return files | {
        "palette clear.png": (saved(palette, "PNG", transparency=3), colours, clear),
        "few colours.gif": (saved(palette, "GIF"), colours, None),
        "few colours clear.gif": (saved(palette, "GIF", transparency=3), colours, clear),
        "rgb.bmp": (saved(Image.fromarray(rgb), "BMP"), rgb, None),
        "gray.bmp": (saved(Image.fromarray(gray), "BMP"), gray, None),
        "rgb.webp": (saved(Image.fromarray(rgb), "WEBP", lossless=True), rgb, None),
        "rgba.webp": (saved(Image.fromarray(both), "WEBP", lossless=True, exact=True), rgb, alpha),
        "map.ppm": (saved(Image.fromarray(rgb), "PPM"), rgb, None),
        "gray map.pgm": (saved(Image.fromarray(gray), "PPM"), gray, None),
        "cmyk.tif": (saved(cmyk, "TIFF"), np.asarray(cmyk.convert("RGB")), None),
        "deep gray.png": (deep_png(deep_gray), deep_gray, None),
        "deep gray hole.png": (deep_png(deep_gray, key), deep_gray, holes),
        "deep gray alpha.png": (
            deep_png(np.dstack((deep_gray, deep_alpha))), deep_gray, deep_alpha,
        ),
        "deep rgb.png": (deep_png(deep), deep, None),
        "deep rgba.png": (deep_png(deep_both), deep, deep_alpha),
        "deep gray.tif": (deep_tiff(deep_gray), deep_gray, None),
        "deep rgb.tif": (deep_tiff(deep), deep, None),
        "deep rgba.tif": (deep_tiff(deep_both), deep, deep_alpha),
        "deep big endian.tif": (deep_tiff(deep, byteorder=">"), deep, None),
        "deep negative.tif": (
            deep_tiff(65535 - deep_gray, photometric="miniswhite"), deep_gray, None,
        ),
        "deep tiles.tif": (deep_tiff(deep, tile=(16, 16)), deep, None),
        "deep deflated.tif": (deep_tiff(deep, compression="zlib"), deep, None),
        "deep predicted.tif": (
            deep_tiff(deep, compression="zlib", predictor=2, byteorder=">"), deep, None,
        ),
        "deep predicted tiles.tif": (
            deep_tiff(deep, compression="zlib", predictor=2, tile=(16, 16)), deep, None,
        ),
        "deep planes.tif": (
            deep_tiff(deep.transpose(2, 0, 1), planarconfig="separate"), deep, None,
        ),
        "deep bigtiff.tif": (deep_tiff(deep, bigtiff=True), deep, None),
        "deep interlaced.png": (interlaced_png(deep), deep, None),
        "deep hole.png": (
            deep_png(deep, chunk(b"tRNS", deep[3, 4].astype(">u2").tobytes())), deep,
            np.where((deep == deep[3, 4]).all(2), 0, 65535).astype(np.uint16),
        ),
    }  # fmt: skip


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files with their folders."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files_under(folder: Path) -> set[str]:
    """The names of all that is no folder below one, hidden or not."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}

"""Ways to take noise out of an enhanced picture, ours and others', under one signature.

Each takes [H, W, 3] uint8 and the noise's standard deviation in levels of 255, and gives [H, W, 3]
uint8. benchmarks/look.py compares them.
"""

import importlib
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

Denoiser = Callable[[np.ndarray, float], np.ndarray]
ONE_AT_A_TIME = threading.Lock()


def bilateral(image: np.ndarray, sigma: float) -> np.ndarray:
    """OpenCV's bilateral filter, 9 pixels wide, at the settings that are common."""
    import cv2

    return cv2.bilateralFilter(image, 9, 50, 5)


def non_local_means(image: np.ndarray, sigma: float) -> np.ndarray:
    """OpenCV's non-local means."""
    import cv2

    return cv2.fastNlMeansDenoisingColored(image, None, sigma, sigma, 7, 21)


def wavelets(image: np.ndarray, sigma: float) -> np.ndarray:
    """scikit-image's BayesShrink."""
    from skimage.restoration import denoise_wavelet

    options = {"convert2ycbcr": True, "channel_axis": 2, "rescale_sigma": True}
    return to_levels(255 * denoise_wavelet(image, sigma=sigma, **options))


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """BM3D of colours, its authors' package: for research alone, so no requirement of ours."""
    package = importlib.import_module("bm3d")
    gray = bool((image == image[..., :1]).all())  # its colours would be divided by their range, 0
    with ONE_AT_A_TIME:  # its own threads bear no others
        if gray:
            plane = package.bm3d(image[..., 0] / 255.0, sigma / 255)
            return to_levels(255 * np.repeat(plane[..., None], 3, axis=2))
        return to_levels(255 * package.bm3d_rgb(image / 255.0, sigma / 255))


def ffmpeg(image: np.ndarray, sigma: float, filter_name: str) -> np.ndarray:
    """One of FFmpeg's filters, through PyAV."""
    import av

    arguments, pix_fmt = {
        "dctdnoiz": (f"sigma={sigma:.3f}", "rgb24"),
        "fftdnoiz": (f"sigma={1.5 * sigma:.3f}", "gbrp"),
        "nlmeans": (f"s={min(max(sigma, 1), 30):.3f}", "gbrp"),
    }[filter_name]
    graph = av.filter.Graph()
    height, width = image.shape[:2]
    source = graph.add_buffer(width=width, height=height, format=pix_fmt, time_base="1/25")
    shrinking, sink = graph.add(filter_name, arguments), graph.add("buffersink")
    source.link_to(shrinking)
    shrinking.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    frame = frame.reformat(format=pix_fmt)
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    return graph.pull().to_ndarray(format="rgb24")


def ours_after(image: np.ndarray, sigma: float) -> np.ndarray:
    """Our shrinkage, on the result in place of the dark picture."""
    from sgz.kernels.denoise import denoise
    from sgz.look.denoise import shrinkage_of

    return to_levels(denoise(image, shrinkage_of(sigma, image.shape)))


def to_levels(values: np.ndarray) -> np.ndarray:
    """Floats of 0 to 255 as uint8, rounded."""
    return values.round().clip(0, 255).astype(np.uint8)


DENOISERS: dict[str, Denoiser] = {
    "ours, after the curve": ours_after,
    "cv2.bilateralFilter(9, 50, 5)": bilateral,
    "cv2.fastNlMeansDenoisingColored": non_local_means,
    "skimage denoise_wavelet": wavelets,
    "FFmpeg dctdnoiz": partial(ffmpeg, filter_name="dctdnoiz"),
    "FFmpeg fftdnoiz": partial(ffmpeg, filter_name="fftdnoiz"),
    "FFmpeg nlmeans": partial(ffmpeg, filter_name="nlmeans"),
    "bm3d": bm3d,
}

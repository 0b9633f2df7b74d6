"""Arrays of pixels: their types, ranges and conversions."""

import numpy as np

PEAK = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}


def as_stack(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] or [H, W] -> [H, W, 3 or 1], uint8, uint16 or float32; ValueError otherwise."""
    if not isinstance(image, np.ndarray) or isinstance(image, np.matrix | np.ma.MaskedArray):
        raise ValueError(f"expected an ordinary NumPy array, not a {type(image).__name__}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or image.size == 0:
        raise ValueError(f"expected an image [H, W, 3] or [H, W], not one of shape {image.shape}")
    if image.dtype.kind == "f":
        low, high = image.min(), image.max()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"expected floats in [0, 1], found {low} to {high}")
        image = image.astype(np.float32, copy=False)
    elif image.dtype not in PEAK:
        raise ValueError(f"expected uint8, uint16 or floats, not {image.dtype}")
    return image if image.ndim == 3 else image[..., None]


def as_image(stack: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The result with the shape and type of the image it was made from."""
    return stack.reshape(image.shape).astype(image.dtype, copy=False)


def to_8_bit(values: np.ndarray) -> np.ndarray:
    """uint16 to uint8, rounded; uint8 as it is."""
    if values.dtype == np.uint8:
        return values
    wide = np.minimum(values, 65535 - 128)  # so that 16 bits hold the sum: all above are 255
    wide += 128
    wide //= 257
    return wide.astype(np.uint8)


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """[H, W] gray as three equal channels; [H, W, 3] as it is."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def check_factor(factor: np.ndarray, shape: tuple[int, int, int]) -> None:
    """ValueError unless it is a factor map of this shape, in [-1, 1]."""
    if factor.shape != shape:
        raise ValueError(f"the factor map is {factor.shape}, this image's would be {shape}")
    if not (factor.min() >= -1 and factor.max() <= 1):  # NaN is neither
        raise ValueError(f"a factor map is in [-1, 1], this one {factor.min()} to {factor.max()}")

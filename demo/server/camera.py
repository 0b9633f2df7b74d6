"""The camera's picture, brightened one by one and never written down."""

import base64
import io
import threading
from collections.abc import Mapping

import numpy as np

from demo.server.settings import Settings

MAX_PIXELS = 1280 * 960
UNREADABLE = {"error": "The camera's picture could not be read."}


class Camera:
    """Enhances single pictures, one at a time.

    Args:
        enhancer: an Enhancer.
    """

    def __init__(self, enhancer):
        self.enhancer = enhancer
        self.lock = threading.Lock()

    def enhance(self, data: Mapping[str, object]) -> dict:
        """{"image": data URL, and settings by name} -> {"image"} or {"error"}."""
        from PIL import Image

        try:
            settings = Settings.of_request(data)
            content = base64.b64decode(data["image"].removeprefix("data:image/jpeg;base64,"))
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                if image.width * image.height > MAX_PIXELS:
                    return UNREADABLE
                pixels = np.asarray(image.convert("RGB"))
        except Exception:  # whatever was sent
            return UNREADABLE
        with self.lock:
            bright = settings.tuned(self.enhancer)(pixels)
        buffer = io.BytesIO()
        Image.fromarray(bright).save(buffer, "JPEG", quality=85)
        return {"image": f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"}

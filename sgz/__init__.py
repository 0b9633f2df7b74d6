"""Bright photos and videos from dark ones.

from sgz import Enhancer, enhance_video
"""

import importlib

__version__ = "1.0.0"
__all__ = ["Enhancer", "__version__", "enhance_video", "load_model"]
_HOMES = {
    "Enhancer": "sgz.enhancer",
    "enhance_video": "sgz.video.stream",
    "load_model": "sgz.model",
}


def __getattr__(name: str):
    """Import what is asked for when it is asked for: `import sgz` itself takes no time."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""The node SGZBrighten: an image batch in, the same brightened out.

ComfyUI's images are torch tensors [B, H, W, C], float32 in [0, 1].
"""

from functools import lru_cache

import numpy as np
import torch

LOOKS = ("natural", "paper")
DENOISE_AUTO = -1.0


class SGZBrighten:
    """Brightens each image of a batch by itself."""

    CATEGORY = "image/adjustments"
    FUNCTION = "brighten"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    DESCRIPTION = "Brightens pictures taken in the dark (SGZ)."

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """The node's sockets and widgets."""
        strength = {"default": 1.0, "min": 0.0, "max": 4.0, "step": 0.05}
        denoise = {
            "default": DENOISE_AUTO,
            "min": DENOISE_AUTO,
            "max": 50.0,
            "step": 0.5,
            "tooltip": "noise in levels of 255; 0 is off, -1 measures it (natural look)",
        }
        return {
            "required": {
                "image": ("IMAGE",),
                "look": (list(LOOKS), {"default": "natural"}),
                "strength": ("FLOAT", strength),
                "denoise": ("FLOAT", denoise),
            }
        }

    def brighten(
        self, image: torch.Tensor, look: str, strength: float, denoise: float
    ) -> tuple[torch.Tensor]:
        """[B, H, W, 3 or 4] in [0, 1] -> the same; a fourth channel, alpha, stays as it is."""
        enhancer = _enhancer(look, strength, denoise)
        colours = image[..., :3].detach().cpu().numpy().astype(np.float32).clip(0, 1)
        colours = np.nan_to_num(colours)  # a sampler that went wrong
        bright = np.stack([enhancer(np.ascontiguousarray(one)) for one in colours])
        result = torch.from_numpy(bright).to(image.device, image.dtype)
        return (torch.cat((result, image[..., 3:]), dim=-1),)


@lru_cache(maxsize=4)
def _enhancer(look: str, strength: float, denoise: float):
    """An Enhancer for these widgets; the last few are kept."""
    from sgz import Enhancer  # late, so that ComfyUI starts as fast as without the node

    measured = "auto" if look == "natural" else "off"
    amount = measured if denoise < 0 else denoise or "off"
    return Enhancer(look=look, strength=strength, denoise=amount)


NODE_CLASS_MAPPINGS = {"SGZBrighten": SGZBrighten}
NODE_DISPLAY_NAME_MAPPINGS = {"SGZBrighten": "Brighten (SGZ)"}

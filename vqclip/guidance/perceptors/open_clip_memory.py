"""How much memory a CLIP takes to embed crops, counted on a network without weights."""

import torch

from vqclip.guidance.kept_bytes import kept_bytes, weight_bytes
from vqclip.models.clip import image_size, skeleton


def bytes_of(model: str, crops: int, dtype: torch.dtype, device: torch.device) -> tuple[int, int]:
    """Bytes of the weights, and of what autograd keeps of so many crops; raises WeightsError."""
    with torch.device("meta"):
        visual = skeleton(model, device).visual.to(dtype)
        side = image_size(visual)
        pixels = torch.zeros(crops, 3, side, side, dtype=dtype, requires_grad=True)
        return weight_bytes(visual), kept_bytes(visual, pixels, [visual])

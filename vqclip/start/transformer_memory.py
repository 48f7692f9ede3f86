"""Estimate how much memory sampling with a transformer takes, and how long."""

import torch

from vqclip.base.device import strengths
from vqclip.guidance.kept_bytes import weight_bytes
from vqclip.models.transformer.architecture import TransformerArchitecture
from vqclip.models.transformer.network import CodeTransformer
from vqclip.weights.catalog import human

# Each code reads all weights once, and that takes the time: bytes a second on a host and elsewhere, measured on two
# cores and guessed for a GPU.
HOST_SPEED, DEVICE_SPEED = 8e9, 4e11


def bytes_of(a: TransformerArchitecture, images: int, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the weights, and of the keys and values of `images` images; twice as many with guidance."""
    with torch.device("meta"):
        weights = weight_bytes(CodeTransformer(a).to(dtype))
    read = images * (2 if a.guidance != 1 else 1)
    return weights, 2 * read * a.layers * a.block * a.width * dtype.itemsize


def outlook(a: TransformerArchitecture, images: int, device: torch.device, dtype: torch.dtype) -> str:
    """Describe in one line what is sampled, what memory it takes, and about how many seconds."""
    weights, kept = bytes_of(a, images, dtype)
    speed = HOST_SPEED if strengths(device).host else DEVICE_SPEED
    seconds = a.cells * (weights + kept / 2) / speed
    what = f"{images} x {a.cells} codes from {a.layers} layers of width {a.width}, by {a.conditioning}"
    return f"{what}; {human(weights + kept)}, about {seconds:.2g} s an image"

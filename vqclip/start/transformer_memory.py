"""Estimate how much memory sampling with a transformer takes, and how long."""

import torch

from vqclip.base.device import strengths
from vqclip.guidance.kept_bytes import weight_bytes
from vqclip.models.transformer.architecture import TransformerArchitecture
from vqclip.models.transformer.network import CodeTransformer
from vqclip.weights.catalog import human

# Each code reads all weights once. A host does so for each image: bytes a second, measured on one core in bfloat16.
# Another device does it for all images at once: a guess.
HOST_SPEED, DEVICE_SPEED = 5e9, 4e11


def bytes_of(a: TransformerArchitecture, images: int, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the weights, and of the keys and values of `images` images; twice as many with guidance."""
    with torch.device("meta"):
        weights = weight_bytes(CodeTransformer(a).to(dtype))
    return weights, 2 * _read(a, images) * a.layers * a.block * a.width * dtype.itemsize


def outlook(a: TransformerArchitecture, images: int, device: torch.device, dtype: torch.dtype) -> str:
    """Describe in one line what is sampled, what memory it takes, and about how many seconds."""
    weights, kept = bytes_of(a, images, dtype)
    is_host = strengths(device).host
    seconds = a.cells * weights * (_read(a, images) / HOST_SPEED if is_host else 1 / DEVICE_SPEED)
    what = f"{images} x {a.cells} codes from {a.layers} layers of width {a.width}, by {a.conditioning}"
    return f"{what}; {human(weights + kept)}, about {seconds:.2g} s an image"


def _read(a: TransformerArchitecture, images: int) -> int:
    """How many sequences are read for so many images: with guidance twice as many."""
    return images * (2 if a.guidance != 1 else 1)

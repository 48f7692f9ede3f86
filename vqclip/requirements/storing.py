"""Write tensors into the store, as short as they were or in 16 bits."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.weights import store
from vqclip.weights.safetensors_writer import write_tensors


def stored(key: str, value: Tensor, half: bool) -> Tensor:
    """A tensor in fp32, or in 16 bits if it was or `half` asks for them; raises WeightsError if they can't hold it."""
    short = value.dtype in (torch.float16, torch.bfloat16)
    kept = value if short else value.half() if half else value.float()
    if half and not bool(kept.isfinite().all()):
        raise WeightsError(f"{key} has numbers that 16 bits don't hold; leave --half out")
    return kept


def save(tensors: Mapping[str, Tensor], path: Path, header: dict[str, str]) -> None:
    with store.writing():
        write_tensors(tensors, path, header)

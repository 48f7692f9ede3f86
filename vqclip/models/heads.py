"""Linear heads on embeddings, from files of one layer or of several without activations."""

import re
from pathlib import Path

from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.weights.checkpoint import read_tensors


def load_head(path: Path) -> tuple[Tensor, Tensor]:
    """Read a head as one linear map: its weight (d) and its bias (); raises WeightsError.

    Layers without an activation between them, as those of LAION's improved aesthetic predictor, are one linear map.
    """
    tensors = {key: tensor.float() for key, tensor in read_tensors(path).items()}
    names = sorted((key for key in tensors if re.fullmatch(r"(.*\.)?weight", key)), key=_order)
    names = [name for name in names if tensors[name].ndim == 2]
    layers = [(tensors[name], tensors.get(name.removesuffix("weight") + "bias")) for name in names]
    sides = [side for weight, _ in layers for side in reversed(weight.shape)]
    if not layers or sides[-1] != 1 or sides[1:-1:2] != sides[2::2]:
        shapes = ", ".join(f"{name} {tuple(tensors[name].shape)}" for name in names[:8]) or "no matrix"
        raise WeightsError(
            f"{path} holds no head, which is linear layers down to one number; it holds {shapes}"
        )
    weight, bias = layers[0][0].new_ones(1), layers[0][0].new_zeros(())
    for matrix, offset in reversed(layers):
        bias = bias + (0 if offset is None else (weight * offset).sum())
        weight = weight @ matrix
    return weight, bias


def _order(key: str) -> list[tuple[int, str]]:
    """Sort `layers.10` behind `layers.9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in key.split(".")]

"""Begin with another prior's weights, also where the grid, the prefix or the modulation are others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.models.transformer.network import CodeTransformer


def fitted(tensors: Mapping[str, Tensor], network: CodeTransformer) -> dict[str, Tensor]:
    """All weights of a network: those of `tensors`, made to fit its grid and prefix, and its own where these have none.

    Raises SystemExit where the width or the number of layers is another.
    """
    given = {key: value.float() for key, value in tensors.items()}
    own = network.state_dict()
    prefix = len(given["text_proj.bias"]) // given["pos_emb"].shape[2]
    given["pos_emb"] = _places(given["pos_emb"], prefix, network)
    for key in ("text_proj.weight", "text_proj.bias"):
        given[key] = given[key][: len(own[key])]
    wrong = [key for key, value in given.items() if key not in own or value.shape != own[key].shape]
    if wrong:
        raise SystemExit(f"the weights to begin with are of another network: {wrong[0]} doesn't fit")
    return {**own, **given}


def _places(embedded: Tensor, prefix: int, network: CodeTransformer) -> Tensor:
    """Embeddings of places (1 t w): the prefix's first ones, and the grid's scaled to the network's."""
    a = network.architecture
    grid = embedded[:, prefix:]
    side = int(grid.shape[1] ** 0.5)
    cells = grid[:, : side * side].transpose(1, 2).reshape(1, -1, side, side)
    scaled = F.interpolate(cells, (a.rows, a.columns), mode="bilinear", align_corners=False)
    return torch.cat([embedded[:, : a.prefix], scaled.flatten(2).transpose(1, 2)], 1)

"""How encodings become codes of a codebook.

Letters in shapes: n images, y x latent cells, d latent channels, k codes.
"""

import torch
from torch import Tensor, nn

from vqclip.base.device import exact_products


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """The index of the code closest to each cell: z (n d y x), codebook (k d) -> (n y x).

    |z - c|^2 without its |z|^2, which is the same for every code; in fp32, as ties decide pixels.
    """
    cells = z.permute(0, 2, 3, 1).flatten(0, 2).float()
    codes = codebook.float()
    with exact_products(cells.device):
        distances = torch.addmm(codes.square().sum(1), cells, codes.T, alpha=-2)
    return distances.argmin(1).view(z.shape[0], *z.shape[2:])


def living(codebook: Tensor) -> Tensor:
    """Which codes (k d) training ever used, as a mask (k).

    A code that was never chosen has no gradient and lies where taming began it, within 1 / k of zero in every channel;
    a codebook of moving averages lets such codes shrink to zero. Codes of length one, and codes that began as normal
    numbers (Gumbel's), all count as living: their place doesn't tell the unused ones, and these are spread as the
    others are. So do all codes of a codebook in which fewer than two stand out: it is untrained.
    """
    lives = codebook.float().abs().amax(1) > 1.01 / len(
        codebook
    )  # room for weights that were rounded to 16 bits
    return lives if int(lives.sum()) > 1 else torch.ones_like(lives)


def _rows(weight: Tensor, kept: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach()[kept], requires_grad=weight.requires_grad)


class NearestQuantizer(nn.Module):
    """Writes each cell as its closest code."""

    def __init__(self, n_embed: int, embed_dim: int):
        super().__init__()
        self.embedding = nn.Embedding(n_embed, embed_dim)
        nn.init.uniform_(self.embedding.weight, -1 / n_embed, 1 / n_embed)

    @property
    def codebook(self) -> Tensor:
        return self.embedding.weight

    def codes(self, h: Tensor) -> Tensor:
        return nearest(h, self.codebook)

    def keep(self, kept: Tensor) -> None:
        """Forget all codes but those of a mask (k)."""
        self.embedding.weight = _rows(self.embedding.weight, kept)


class GumbelQuantizer(nn.Module):
    """Writes each cell as the code that a projection scores highest (arXiv 1611.01144, without its noise)."""

    def __init__(self, n_embed: int, embed_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(embed_dim, n_embed, 1)
        self.embed = nn.Embedding(n_embed, embed_dim)

    @property
    def codebook(self) -> Tensor:
        return self.embed.weight

    def codes(self, h: Tensor) -> Tensor:
        # taming samples here even in eval mode: an encoding that no seed repeats
        return self.proj(h).argmax(1)

    def keep(self, kept: Tensor) -> None:
        """Forget all codes but those of a mask (k)."""
        self.embed.weight = _rows(self.embed.weight, kept)
        self.proj.weight = _rows(self.proj.weight, kept)
        self.proj.bias = _rows(self.proj.bias, kept) if self.proj.bias is not None else None


QUANTIZERS: dict[str, type[NearestQuantizer] | type[GumbelQuantizer]] = {
    "nearest": NearestQuantizer,
    "gumbel": GumbelQuantizer,
}

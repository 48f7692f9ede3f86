"""Frozen image towers, rewritten in place to compute the same with fewer copies and operations.

Letters in shapes: n crops, l tokens, d channels, h heads, p pixels of a patch's side.
"""

from typing import Any

import torch.nn.functional as F
from einops import rearrange
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn

from vqclip.models import frozen_layers
from vqclip.models.kernels import PUBLIC, Kernels

QUICK = 1.702  # the slope in QuickGELU


def speed_up_tower(visual: Any, kernels: Kernels) -> None:
    """Rewrite what is known to be slow; whatever else is in the tower stays as it is. Values stay but for rounding."""
    for module in list(visual.modules()):
        if isinstance(module, ResidualAttentionBlock) and not hasattr(module, "ln_1_kv"):
            module.attn = SelfAttention(module.attn)
            _fold_quick_gelu(module.mlp)
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and (faster := _faster_class(child, kernels)) is not type(child):
                setattr(module, name, _rebuilt(child, faster))
    frozen_layers.equip(visual, kernels)


class SelfAttention(nn.Module):
    """nn.MultiheadAttention of one batch-first sequence.

    torch's own turns to sequence-first and back, and a linear layer that is fed such a view multiplies crop by crop
    with copies of its weights.
    """

    kernels = PUBLIC

    def __init__(self, like: nn.MultiheadAttention):
        super().__init__()
        self.heads, self.out_proj = like.num_heads, like.out_proj
        self.in_proj_weight, self.in_proj_bias = like.in_proj_weight, like.in_proj_bias

    def forward(self, x: Tensor, *_: Any, attn_mask: Tensor | None = None, **__: Any) -> tuple[Tensor, None]:
        """Tokens (n l d) -> tokens (n l d), and the weights that nobody needs."""
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = rearrange(qkv, "n l (three h d) -> three n h l d", three=3, h=self.heads)
        if attn_mask is None:
            mixed = self.kernels.attend(q, k, v)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask)
        return self.out_proj(rearrange(mixed, "n h l d -> n l (h d)")), None


class PatchEmbedLinear(nn.Conv2d):
    """A convolution whose windows lie side by side: one product of matrices, where a convolution's gradient is slow."""

    def forward(self, x: Tensor) -> Tensor:
        p, q = self.kernel_size
        rows, columns = x.shape[2] // p, x.shape[3] // q
        tiles = rearrange(x[..., : rows * p, : columns * q], "n c (y p) (x q) -> n y x (c p q)", p=p, q=q)
        return rearrange(F.linear(tiles, self.weight.flatten(1), self.bias), "n y x d -> n d y x")


class Same(Conv2dSame):  # type: ignore[misc]  # timm is untyped
    """timm's convolution with TensorFlow's padding, once it is frozen."""

    kernels = PUBLIC

    def forward(self, x: Tensor) -> Tensor:
        return self.kernels.convolve(pad_same(x, self.kernel_size, self.stride, self.dilation), self)


def _faster_class(conv: nn.Conv2d, kernels: Kernels) -> type[nn.Conv2d]:
    """The class that computes the same as a convolution and is faster; its own where none is known."""
    if kernels.patches and _tiles(conv):
        return PatchEmbedLinear
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return (
        {nn.Conv2d: frozen_layers.Conv2d, Conv2dSame: Same}.get(type(conv), type(conv))
        if plain
        else type(conv)
    )


def _rebuilt(conv: nn.Conv2d, faster: type[nn.Conv2d]) -> nn.Conv2d:
    """A convolution of another class with the same weights; it is made without numbers, and draws none."""
    built = faster(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation,  # type: ignore[arg-type]
        conv.groups, conv.bias is not None, device="meta",
    )  # fmt: skip
    built.weight, built.bias = conv.weight, conv.bias
    return built.train(conv.training)


def _tiles(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == conv.stride
        and conv.kernel_size != (1, 1)
        and conv.padding in ((0, 0), "valid")
        and conv.dilation == (1, 1)
        and conv.groups == 1
    )


def _fold_quick_gelu(mlp: Any) -> None:
    """x sigmoid(1.702 x) is silu(1.702 x) / 1.702: the layers around it can scale, and silu is one operation."""
    if isinstance(mlp.gelu, QuickGELU):
        mlp.c_fc.weight.mul_(QUICK)
        mlp.c_fc.bias.mul_(QUICK)
        mlp.c_proj.weight.div_(QUICK)
        mlp.gelu = nn.SiLU()

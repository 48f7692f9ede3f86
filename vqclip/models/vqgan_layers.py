"""Define the layers of a VQGAN's encoder and decoder: normalisations, residual blocks, attention, levels.

Letters in shapes: n images, y x positions, c channels.
"""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vqclip.models.frozen_layers import Conv2d, learns
from vqclip.models.kernels import PUBLIC

# Cells whose attention torch may write out as a matrix of cells by cells, which it does where channels don't lie side
# by side: in the encoder, and in a decoder whose channels don't lie last. Beyond, that would be gigabytes; below, it
# costs nothing, and seeds keep their pixels.
WRITTEN_OUT = 2**12

Norm = Callable[[int], Any]  # channels -> Normalize or SpatialNorm; called with the features and the latent


class Normalize(nn.GroupNorm):
    """The family's group normalisation, with its epsilon; it has no use for the latent."""

    kernels = PUBLIC

    def __init__(self, channels: int, groups: int):
        super().__init__(groups, channels, eps=1e-6)

    def forward(self, x: Tensor, _: Tensor | None = None) -> Tensor:
        return super().forward(x)

    def silu(self, x: Tensor, _: Tensor | None = None) -> Tensor:
        return F.silu(self(x)) if learns(self) else self.kernels.norm_silu(x, self)


class SpatialNorm(nn.Module):
    """MoVQ's (eq. 5): what is normalised is scaled and shifted, place by place, by what the latent says there."""

    def __init__(self, channels: int, groups: int, latent_channels: int):
        super().__init__()
        self.norm_layer = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv_y, self.conv_b = (Conv2d(latent_channels, channels, 1) for _ in range(2))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        # The paper enlarges first; a 1x1 convolution doesn't mind, and is cheaper on the small latent.
        scale, shift = (F.interpolate(conv(z), size=x.shape[2:]) for conv in (self.conv_y, self.conv_b))
        return self.norm_layer(x) * scale + shift

    def silu(self, x: Tensor, z: Tensor) -> Tensor:
        return F.silu(self(x, z))


class ResnetBlock(nn.Module):
    """Two normalised 3x3 convolutions around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, norm: Norm):
        super().__init__()
        self.norm1 = norm(channels_in)
        self.conv1 = Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = norm(channels_out)
        self.conv2 = Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.nin_shortcut = Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h = self.conv1(self.norm1.silu(x, z))
        h = self.conv2(self.norm2.silu(h, z))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions."""

    kernels = PUBLIC

    def __init__(self, channels: int, norm: Norm):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h = self.norm(x, z)
        q, k, v = (part(h).flatten(2).mT[:, None] for part in (self.q, self.k, self.v))
        if q.shape[2] > WRITTEN_OUT:
            q, k, v = (part.contiguous() for part in (q, k, v))
        h = self.kernels.attend_wide(q, k, v)[:, 0].mT.reshape(x.shape)
        return x + self.proj_out(h)


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # the family pads right and below only


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def pass_block(block: nn.Module, x: Tensor, z: Tensor, recompute: bool) -> Tensor:
    """block(x, z); with `recompute` only x is kept, and the block is passed again on the way back."""
    if not recompute:
        return block(x, z)
    return checkpoint(block, x, z, use_reentrant=False, preserve_rng_state=False)


class Level(nn.Module):
    """The residual blocks of one resolution, each followed by attention where the architecture asks for it."""

    def __init__(self, channels_in: int, channels_out: int, blocks: int, attends: bool, norm: Norm):
        super().__init__()
        widths = [channels_in, *[channels_out] * blocks]
        self.block = nn.ModuleList(ResnetBlock(w, channels_out, norm) for w in widths[:-1])
        self.attn = nn.ModuleList(AttnBlock(channels_out, norm) for _ in range(blocks * attends))
        self.downsample: nn.Module | None = None
        self.upsample: nn.Module | None = None

    def forward(self, x: Tensor, z: Tensor, recompute: bool = False) -> Tensor:
        for i, block in enumerate(self.block):
            x = pass_block(block, x, z, recompute)
            if self.attn:
                x = self.attn[i](x, z)
        for resample in (self.downsample, self.upsample):
            x = resample(x) if resample else x
        return x


class Middle(nn.Module):
    def __init__(self, channels: int, attends: bool, norm: Norm):
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, norm)
        self.attn_1 = AttnBlock(channels, norm) if attends else None
        self.block_2 = ResnetBlock(channels, channels, norm)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        x = self.block_1(x, z)
        return self.block_2(self.attn_1(x, z) if self.attn_1 else x, z)

"""The VQGAN's decoder as taming-transformers writes it (Esser et al., 2021, arXiv 2012.09841), for latents (1 d y x)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.models.loading import find_vqgan, read_vqgan
from vqclip.models.vqgan import Architecture


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class Residual(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=1e-6)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps=1e-6)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.nin_shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(swish(self.norm1(x)))
        h = self.conv2(swish(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Every position looks at every other; the whole table of weights is made."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (part(h).flatten(2) for part in (self.q, self.k, self.v))  # 1 c (y x)
        weights = F.softmax(q.transpose(1, 2) @ k * q.shape[1] ** -0.5, dim=2)
        return x + self.proj_out((v @ weights.transpose(1, 2)).view_as(x))


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Decoder(nn.Module):
    """Modules are named as the published weights are."""

    def __init__(self, a: Architecture):
        super().__init__()
        top = a.ch * a.ch_mult[-1]
        self.conv_in = nn.Conv2d(a.z_channels, top, 3, padding=1)
        self.mid = nn.Module()
        self.mid.block_1, self.mid.block_2 = (Residual(top, top, a.norm_groups) for _ in range(2))
        self.mid.attn_1 = Attention(top, a.norm_groups) if a.mid_attention else nn.Identity()
        levels: list[nn.Module] = []
        width = top
        for i in reversed(range(len(a.ch_mult))):
            level = nn.Module()
            widths = [width, *[a.ch * a.ch_mult[i]] * (a.num_res_blocks + 1)]
            level.block = nn.ModuleList(
                Residual(before, after, a.norm_groups)
                for before, after in zip(widths, widths[1:], strict=False)
            )
            level.attn = nn.ModuleList(
                Attention(widths[-1], a.norm_groups) if a.attends(i) else nn.Identity() for _ in level.block
            )
            level.upsample = Upsample(widths[-1]) if i else nn.Identity()
            levels.append(level)
            width = widths[-1]
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = nn.GroupNorm(a.norm_groups, width, eps=1e-6)
        self.conv_out = nn.Conv2d(width, a.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h: Any = self.conv_in(z)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        for level in reversed(self.up):
            for block, attend in zip(level.block, level.attn, strict=True):
                h = attend(block(h))
            h = level.upsample(h)
        return self.conv_out(swish(self.norm_out(h)))


class Painter(nn.Module):
    """A frozen decoder and its codebook (k d), in fp32."""

    def __init__(self, name: str):
        """`name` is a VQGAN's as vqclip takes it: taming's kind, with plain normalisations and nearest codes."""
        super().__init__()
        architecture, tensors = read_vqgan(find_vqgan(name))
        self.factor = architecture.factor
        self.decoder = Decoder(architecture)
        self.post_quant_conv = nn.Conv2d(architecture.embed_dim, architecture.z_channels, 1)
        self.load_state_dict(
            {key: tensors[key].float() for key in self.state_dict()},
        )
        self.register_buffer("codebook", tensors["quantize.embedding.weight"].float())
        self.codebook: Tensor
        self.eval().requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        """Latents -> pictures in about [-1, 1]."""
        return self.decoder(self.post_quant_conv(z))

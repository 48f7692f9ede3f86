"""The VQGAN's decoder as taming-transformers writes it (Esser et al., 2021, arXiv 2012.09841)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.models.vqgan import Architecture
from vqclip.models.vqgan_loading import find_vqgan, read_vqgan


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


class Middle(nn.Module):
    def __init__(self, channels: int, attends: bool, groups: int):
        super().__init__()
        self.block_1, self.block_2 = (Residual(channels, channels, groups) for _ in range(2))
        self.attn_1 = Attention(channels, groups) if attends else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Level(nn.Module):
    """What is done at one resolution."""

    def __init__(self, widths: list[int], attends: bool, grows: bool, groups: int):
        super().__init__()
        self.block = nn.ModuleList(Residual(before, after, groups) for before, after in pairwise(widths))
        self.attn = nn.ModuleList(
            Attention(width, groups) if attends else nn.Identity() for width in widths[1:]
        )
        self.upsample = Upsample(widths[-1]) if grows else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        for block, attend in zip(self.block, self.attn, strict=True):
            x = attend(block(x))
        return self.upsample(x)


class Decoder(nn.Module):
    """Modules are named as the published weights are: `up.0` is the highest resolution, and is run last."""

    def __init__(self, a: Architecture):
        super().__init__()
        widths = [a.ch * mult for mult in a.ch_mult]
        entering = [*widths[1:], widths[-1]]
        self.conv_in = nn.Conv2d(a.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], a.mid_attention, a.norm_groups)
        self.up = nn.ModuleList(
            Level([entering[i], *[width] * (a.num_res_blocks + 1)], a.attends(i), i > 0, a.norm_groups)
            for i, width in enumerate(widths)
        )
        self.norm_out = nn.GroupNorm(a.norm_groups, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], a.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(swish(self.norm_out(x)))


class Painter(nn.Module):
    """A frozen decoder and its codebook (k d), in fp32."""

    def __init__(self, name: str):
        """`name` is a VQGAN's as vqclip takes it: taming's kind, with plain normalisations and nearest codes."""
        super().__init__()
        architecture, tensors = read_vqgan(find_vqgan(name))
        self.factor = architecture.factor
        self.decoder = Decoder(architecture)
        self.post_quant_conv = nn.Conv2d(architecture.embed_dim, architecture.z_channels, 1)
        self.load_state_dict({key: tensors[key].float() for key in self.state_dict()})
        self.register_buffer("codebook", tensors["quantize.embedding.weight"].float())
        self.codebook: Tensor
        self.eval().requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        """Latents -> pictures in about [-1, 1]."""
        return self.decoder(self.post_quant_conv(z))

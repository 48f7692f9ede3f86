"""The VQGAN: a convolutional autoencoder whose latent is written in the words of a codebook.

The network is the one of "Taming Transformers for High-Resolution Image Synthesis" (Esser et al., 2021,
arXiv 2012.09841) as latent-diffusion kept it; module names spell the state dict that both publish.

Letters in shapes: n pictures, h w pixels, y x latent cells (h = y * factor), d latent channels, k codes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

QUANTIZERS = ("nearest", "gumbel")


@dataclass(frozen=True)
class Architecture:
    """What a VQGAN is made of; field names are those of taming's `ddconfig`."""

    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    attn_resolutions: tuple[int, ...] = (16,)
    resolution: int = 256  # only says at which depth `attn_resolutions` lie; any size can be painted
    in_channels: int = 3
    out_ch: int = 3
    z_channels: int = 256
    embed_dim: int = 256
    n_embed: int = 16384
    quantizer: str = "nearest"
    mid_attention: bool = True  # latent-diffusion's `attn_type: none` leaves it out
    norm_groups: int = 32  # the family's number; narrow networks need fewer

    def __post_init__(self) -> None:
        """Refuse, with a ValueError, what no network can be made of."""
        widths = [self.ch, *(self.ch * m for m in self.ch_mult)]
        if (
            min(*widths, self.num_res_blocks, self.z_channels, self.embed_dim, self.n_embed, self.norm_groups)
            < 1
        ):
            raise ValueError("every width and count must be at least 1")
        if not self.ch_mult or any(width % self.norm_groups for width in widths):
            raise ValueError(f"widths {widths} don't fall into {self.norm_groups} groups to normalise")

    @property
    def factor(self) -> int:
        """How many pixels wide one latent cell is."""
        return int(2 ** (len(self.ch_mult) - 1))

    def attends(self, level: int) -> bool:
        """Whether the blocks of `level` (0 is full resolution) are followed by attention."""
        return self.resolution // 2**level in self.attn_resolutions


class Normalize(nn.GroupNorm):
    """The family's group normalisation, with its epsilon."""

    def __init__(self, channels: int, a: Architecture):
        super().__init__(a.norm_groups, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two normalised 3x3 convolutions around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, a: Architecture):
        super().__init__()
        self.norm1 = Normalize(channels_in, a)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = Normalize(channels_out, a)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.nin_shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions."""

    def __init__(self, channels: int, a: Architecture):
        super().__init__()
        self.norm = Normalize(channels, a)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (rearrange(part(h), "n c y x -> n 1 (y x) c") for part in (self.q, self.k, self.v))
        h = rearrange(F.scaled_dot_product_attention(q, k, v), "n 1 (y x) c -> n c y x", y=x.shape[2])
        return x + self.proj_out(h)


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # the family pads right and below only


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The residual blocks of one resolution, each followed by attention where the architecture asks for it."""

    def __init__(self, level: int, channels_in: int, channels_out: int, blocks: int, a: Architecture):
        super().__init__()
        widths = [channels_in, *[channels_out] * blocks]
        self.block = nn.ModuleList(ResnetBlock(w, channels_out, a) for w in widths[:-1])
        self.attn = nn.ModuleList(AttnBlock(channels_out, a) for _ in range(blocks * a.attends(level)))
        self.downsample: nn.Module | None = None
        self.upsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        for resample in (self.downsample, self.upsample):
            x = resample(x) if resample else x
        return x


class Middle(nn.Module):
    def __init__(self, channels: int, a: Architecture):
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, a)
        self.attn_1 = AttnBlock(channels, a) if a.mid_attention else None
        self.block_2 = ResnetBlock(channels, channels, a)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block_1(x)
        return self.block_2(self.attn_1(x) if self.attn_1 else x)


class Encoder(nn.Module):
    def __init__(self, a: Architecture):
        super().__init__()
        widths = [a.ch, *(a.ch * m for m in a.ch_mult)]
        self.conv_in = nn.Conv2d(a.in_channels, a.ch, 3, padding=1)
        self.down = nn.ModuleList(
            Level(i, widths[i], widths[i + 1], a.num_res_blocks, a) for i in range(len(a.ch_mult))
        )
        for level, width in zip(list(self.down)[:-1], widths[1:], strict=False):
            level.downsample = Downsample(width)
        self.mid = Middle(widths[-1], a)
        self.norm_out = Normalize(widths[-1], a)
        self.conv_out = nn.Conv2d(widths[-1], a.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, a: Architecture):
        super().__init__()
        widths = [a.ch * m for m in a.ch_mult]
        self.conv_in = nn.Conv2d(a.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], a)
        entering = [*widths[1:], widths[-1]]  # `up.0` is the highest resolution, and is run last
        self.up = nn.ModuleList(
            Level(i, entering[i], widths[i], a.num_res_blocks + 1, a) for i in range(len(widths))
        )
        for level, width in list(zip(self.up, widths, strict=True))[1:]:
            level.upsample = Upsample(width)
        self.norm_out = Normalize(widths[0], a)
        self.conv_out = nn.Conv2d(widths[0], a.out_ch, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """The index of the code closest to each cell: z (n d y x), codebook (k d) -> (n y x).

    |z - c|^2 without its |z|^2, which is the same for every code; in fp32, as ties decide pictures.
    """
    cells = rearrange(z, "n d y x -> (n y x) d").float()
    codes = codebook.float()
    distances = torch.addmm(codes.square().sum(1), cells, codes.T, alpha=-2)
    return distances.argmin(1).view(z.shape[0], *z.shape[2:])


class NearestQuantizer(nn.Module):
    """Writes each cell as its closest code."""

    def __init__(self, a: Architecture):
        super().__init__()
        self.embedding = nn.Embedding(a.n_embed, a.embed_dim)
        nn.init.uniform_(self.embedding.weight, -1 / a.n_embed, 1 / a.n_embed)

    @property
    def codebook(self) -> Tensor:
        return self.embedding.weight

    def codes(self, h: Tensor) -> Tensor:
        return nearest(h, self.codebook)


class GumbelQuantizer(nn.Module):
    """Writes each cell as the code that a projection scores highest (arXiv 1611.01144, without its noise)."""

    def __init__(self, a: Architecture):
        super().__init__()
        self.proj = nn.Conv2d(a.embed_dim, a.n_embed, 1)
        self.embed = nn.Embedding(a.n_embed, a.embed_dim)

    @property
    def codebook(self) -> Tensor:
        return self.embed.weight

    def codes(self, h: Tensor) -> Tensor:
        return self.proj(h).argmax(
            1
        )  # taming samples here even in eval mode: an encoding that no seed repeats


class VQGAN(nn.Module):
    """Pictures to latents and back. Pictures are (n 3 h w) in about [-1, 1], latents (n d y x)."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        a = self.architecture = architecture
        self.encoder = Encoder(a)
        self.decoder = Decoder(a)
        self.quantize = (GumbelQuantizer if a.quantizer == "gumbel" else NearestQuantizer)(a)
        self.quant_conv = nn.Conv2d(a.z_channels, a.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(a.embed_dim, a.z_channels, 1)

    @property
    def factor(self) -> int:
        """How many pixels wide one latent cell is."""
        return self.architecture.factor

    @property
    def codebook(self) -> Tensor:
        """All codes (k d), whichever quantizer keeps them."""
        return self.quantize.codebook

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (n 3 h w) -> latents (n d y x) that are not yet codes."""
        return self.quant_conv(self.encoder(images))

    def codes(self, h: Tensor) -> Tensor:
        """The codes (n y x) that this kind of quantizer chooses for encodings (n d y x)."""
        return self.quantize.codes(h)

    def lookup(self, codes: Tensor) -> Tensor:
        """Code indices (n y x) -> the latent (n d y x) that they spell."""
        return rearrange(F.embedding(codes, self.codebook), "n y x d -> n d y x")

    def decode(self, z: Tensor) -> Tensor:
        """Latents (n d y x) -> pictures (n 3 h w)."""
        return self.decoder(self.post_quant_conv(z))

"""The VQGAN: a convolutional autoencoder whose latent is written in the words of a codebook.

The network is the one of "Taming Transformers for High-Resolution Image Synthesis" (Esser et al., 2021,
arXiv 2012.09841) as latent-diffusion kept it; module names spell the state dict that both publish. MoVQGAN ("MoVQ",
Zheng et al., 2022, arXiv 2209.09002) differs in its decoder's normalisation.

Letters in shapes: n images, h w pixels, y x latent cells (h = y * factor), d latent channels, k codes.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.base.errors import WeightsError
from vqclip.models.frozen_layers import Conv2d
from vqclip.models.kernels import PUBLIC
from vqclip.models.quantizers import QUANTIZERS, living
from vqclip.models.vqgan_layers import Downsample, Level, Middle, Norm, Normalize, SpatialNorm, Upsample


@dataclass(frozen=True)
class Architecture:
    """What a VQGAN is made of; field names are those of taming's `ddconfig`."""

    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    attn_resolutions: tuple[int, ...] = (16,)
    # Only says at which depth `attn_resolutions` lie; images of any size can be decoded.
    resolution: int = 256
    in_channels: int = 3
    out_ch: int = 3
    z_channels: int = 256
    embed_dim: int = 256
    n_embed: int = 16384
    quantizer: str = "nearest"
    mid_attention: bool = True  # latent-diffusion's `attn_type: none` leaves it out
    norm_groups: int = 32  # the family's number; narrow networks need fewer
    spatial_norm: bool = False  # MoVQGAN's decoder, which reads the latent at every normalisation
    encoder: bool = True  # False: a decoder alone, as min-dalle publishes it
    tanh_out: bool = False  # the decoder ends in a hyperbolic tangent
    lowest: float = -1.0  # what the networks write for black; white is 1. DALL·E mini's have 0

    def __post_init__(self) -> None:
        """Refuse, with a ValueError, what no network can be made of."""
        if not all(type(size) is int for size in (self.ch, *self.ch_mult, self.num_res_blocks, self.n_embed)):
            raise ValueError("every width and count must be a whole number")
        widths = [self.ch, *(self.ch * m for m in self.ch_mult)]
        if not 1 <= len(self.ch_mult) <= 8 or not 1 <= self.num_res_blocks <= 32:
            raise ValueError("a network has 1 to 8 levels and 1 to 32 blocks in each")
        counts = [*widths, self.z_channels, self.embed_dim, self.n_embed, self.norm_groups]
        if min(counts) < 1 or max(counts) > 2**24:
            raise ValueError("every width and count must be from 1 to 2^24")
        if any(width % self.norm_groups for width in widths):
            raise ValueError(f"widths {widths} don't fall into {self.norm_groups} groups to normalise")
        if not -1 <= self.lowest <= 0:
            raise ValueError("its black must lie from -1 to 0")
        if self.quantizer not in QUANTIZERS:
            raise ValueError(f"quantizer {self.quantizer!r} is none of {', '.join(QUANTIZERS)}")

    @property
    def factor(self) -> int:
        """How many pixels wide one latent cell is."""
        return int(2 ** (len(self.ch_mult) - 1))

    @property
    def full_width(self) -> int:
        """How many channels there are at full resolution."""
        return self.ch * self.ch_mult[0]

    def attends(self, level: int) -> bool:
        """Whether the blocks of `level` (0 is full resolution) are followed by attention."""
        return self.resolution // 2**level in self.attn_resolutions


class Encoder(nn.Module):
    def __init__(self, a: Architecture):
        super().__init__()
        norm: Norm = partial(Normalize, groups=a.norm_groups)
        widths = [a.ch, *(a.ch * m for m in a.ch_mult)]
        self.conv_in = Conv2d(a.in_channels, a.ch, 3, padding=1)
        self.down = nn.ModuleList(
            Level(widths[i], widths[i + 1], a.num_res_blocks, a.attends(i), norm)
            for i in range(len(a.ch_mult))
        )
        for level, width in zip(list(self.down)[:-1], widths[1:], strict=False):
            level.downsample = Downsample(width)
        self.mid = Middle(widths[-1], a.mid_attention, norm)
        self.norm_out = norm(widths[-1])
        self.conv_out = Conv2d(widths[-1], a.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x, x)  # plain normalisations: there is no latent yet, and none is read
        return self.conv_out(self.norm_out.silu(self.mid(x, x)))


class Decoder(nn.Module):
    def __init__(self, a: Architecture):
        super().__init__()
        norm: Norm = partial(Normalize, groups=a.norm_groups)
        if a.spatial_norm:
            norm = partial(SpatialNorm, groups=a.norm_groups, latent_channels=a.embed_dim)
        widths = [a.ch * m for m in a.ch_mult]
        self.conv_in = Conv2d(a.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], a.mid_attention, norm)
        entering = [*widths[1:], widths[-1]]  # `up.0` is the highest resolution, and is run last
        self.up = nn.ModuleList(
            Level(entering[i], widths[i], a.num_res_blocks + 1, a.attends(i), norm)
            for i in range(len(widths))
        )
        for level, width in list(zip(self.up, widths, strict=True))[1:]:
            level.upsample = Upsample(width)
        self.norm_out = norm(widths[0])
        self.conv_out = Conv2d(widths[0], a.out_ch, 3, padding=1)

    def forward(self, x: Tensor, z: Tensor, recompute: bool = False) -> Tensor:
        """Features (n z_channels y x) of a latent z (n d y x) -> images."""
        x = self.mid(self.conv_in(x), z)
        for level in reversed(self.up):
            x = level(x, z, recompute)
        return self.conv_out(self.norm_out.silu(x, z))


class VQGAN(nn.Module):
    """Encode images as latents, and decode them. Images are (n 3 h w) in about [-1, 1], latents (n d y x)."""

    kernels = PUBLIC

    def __init__(self, architecture: Architecture):
        super().__init__()
        a = self.architecture = architecture
        self.encoder = Encoder(a) if a.encoder else None
        self.decoder = Decoder(a)
        self.quantize = QUANTIZERS[a.quantizer](a.n_embed, a.embed_dim)
        self.quant_conv = Conv2d(a.z_channels, a.embed_dim, 1) if a.encoder else None
        self.post_quant_conv = Conv2d(a.embed_dim, a.z_channels, 1)
        self.code_numbers: Tensor | None = None  # of the codes that are kept, in their file; None: all are

    @property
    def factor(self) -> int:
        """How many pixels wide one latent cell is."""
        return self.architecture.factor

    @property
    def codebook(self) -> Tensor:
        """All codes (k d), whichever quantizer keeps them."""
        return self.quantize.codebook

    def encode(self, images: Tensor) -> Tensor:
        """Images (n 3 h w) in [-1, 1] -> latents (n d y x), not yet codes; WeightsError if this is a decoder alone."""
        if self.encoder is None or self.quant_conv is None:
            raise WeightsError(
                "this VQGAN is a decoder alone and reads no images: no image can be moved, or begun from"
            )
        lowest = self.architecture.lowest
        if lowest != -1:
            images = lowest + (images + 1) * (1 - lowest) / 2
        return self.quant_conv(self.encoder(images))

    def codes(self, h: Tensor) -> Tensor:
        """The codes (n y x) that this kind of quantizer chooses for encodings (n d y x)."""
        return self.quantize.codes(h)

    def forget_dead_codes(self) -> None:
        """Keep the codes that training used, in their order; where all were used, nothing changes."""
        if not bool((lives := living(self.codebook)).all()):
            self.quantize.keep(lives)
            self.code_numbers = lives.nonzero()[:, 0]
            self.architecture = replace(self.architecture, n_embed=len(self.codebook))

    def lookup(self, codes: Tensor) -> Tensor:
        """Code indices (n y x) -> the latent (n d y x) that they spell."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def decode(self, z: Tensor, recompute: bool = False) -> Tensor:
        """Latents (n d y x) -> images (n 3 h w) in [-1, 1]; `recompute` spares memory, takes time."""
        # What is looked up in the codebook has its channels last, and convolutions pass on the layout that they read.
        z = z.contiguous(memory_format=self.kernels.layout)
        image = self.decoder(self.post_quant_conv(z), z, recompute)
        image = image.tanh() if self.architecture.tanh_out else image
        lowest = self.architecture.lowest
        return image if lowest == -1 else 2 * (image - lowest) / (1 - lowest) - 1

"""Layers of transformers over codes, in two flavours, and the cache of keys and values that they share.

`GPTLayer` is that of "Taming Transformers" (Esser et al., 2021, arXiv 2012.09841), whose names its parts have.
`BARTLayer` is that of DALL·E mini (Dayma et al., 2021): a gated feed-forward part (Shazeer, 2020, arXiv 2002.05202),
and normalisations after attention as well as before.

Letters in shapes: n images, t tokens, w channels, h heads, d channels of a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What scales and shifts a layer's tokens before attention, and before the feed-forward part: four of (n 1 w).
Modulation = tuple[Tensor, ...]


class Cache:
    """Keep the keys and values of all tokens read so far, for each layer; and those of the text, if there is one."""

    def __init__(self, layers: int, shape: tuple[int, int, int, int], like: Tensor):
        """`shape` is that of one layer's keys (n h t d), where t is the most tokens that will be read."""
        self._keys = [like.new_empty(shape) for _ in range(layers)]
        self._values = [like.new_empty(shape) for _ in range(layers)]
        self.text: list[tuple[Tensor, Tensor]] = []  # each layer's keys and values (n h l d)
        self.text_mask: Tensor | None = None  # (n 1 1 l): which tokens of the text are read
        self.modulations: list[Modulation] = []  # each layer's, or none
        self.length = 0

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's keys and values (n h t d) of the next tokens, and return those of all so far."""
        end = self.length + keys.shape[2]
        self._keys[layer][:, :, self.length : end] = keys
        self._values[layer][:, :, self.length : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]


def causal_mask(past: int, count: int, unmasked: int, device: torch.device) -> Tensor | None:
    """Which of all tokens (t) each of the `count` tokens after `past` reads (count t), or None if it is all of them.

    The first `unmasked` tokens read each other.
    """
    if count == 1:
        return None
    reader = torch.arange(past, past + count, device=device)[:, None]
    read = torch.arange(past + count, device=device)
    return (read <= reader) | ((reader < unmasked) & (read < unmasked))


class Attention(nn.Module):
    """Attend with several heads."""

    def __init__(self, width: int, heads: int, bias: bool):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias)
        self.key = nn.Linear(width, width, bias)
        self.value = nn.Linear(width, width, bias)
        self.proj = nn.Linear(width, width, bias)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute keys and values (n h t d) of tokens (n t w)."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read keys and values (n h s d) by tokens (n t w); a mask (t s), or one that broadcasts to (n h t s)."""
        read = F.scaled_dot_product_attention(self._split(self.query(x)), keys, values, attn_mask=mask)
        return self.proj(read.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class GPTLayer(nn.Module):
    """A layer of taming's transformers; with a `modulation` a vector of that width scales and shifts its tokens.

    That is the adaptive normalisation of diffusion transformers (Peebles and Xie, 2022, arXiv 2212.09748).
    """

    def __init__(self, width: int, heads: int, hidden: int, modulation: int = 0):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, bias=True)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.modulation = nn.Linear(modulation, 4 * width) if modulation else None

    def forward(self, x: Tensor, cache: Cache, layer: int, mask: Tensor | None) -> Tensor:
        modulation = cache.modulations[layer] if cache.modulations else ()
        normed = modulated(self.ln1(x), *modulation[:2])
        x = x + self.attn(normed, *cache.extended(layer, *self.attn.keys_values(normed)), mask)
        return x + self.mlp(modulated(self.ln2(x), *modulation[2:]))

    def modulations(self, vector: Tensor) -> Modulation:
        """Compute what scales and shifts the tokens from a vector of each image (n 1 m)."""
        return () if self.modulation is None else self.modulation(vector).chunk(4, -1)


def modulated(x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Scale and shift tokens (n t w), each image's alike (n 1 w)."""
    return x if scale is None or shift is None else x * (1 + scale) + shift


class GatedFeedForward(nn.Module):
    """Two products side by side, one of which gates the other, between normalisations."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.ln0, self.ln1 = nn.LayerNorm(width), nn.LayerNorm(hidden)
        self.fc0 = nn.Linear(width, hidden, bias=False)
        self.fc1 = nn.Linear(width, hidden, bias=False)
        self.fc2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ln0(x)
        return self.fc2(self.ln1(F.gelu(self.fc0(x)) * self.fc1(x)))


class BARTLayer(nn.Module):
    """A layer of the decoder, which reads the text, too, or without `reads_text` one of the text's encoder."""

    def __init__(self, width: int, heads: int, hidden: int, reads_text: bool):
        super().__init__()
        self.pre_self_attn_layer_norm, self.self_attn_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = Attention(width, heads, bias=False)
        if reads_text:
            self.pre_encoder_attn_layer_norm = nn.LayerNorm(width)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
            self.encoder_attn = Attention(width, heads, bias=False)
        self.glu = GatedFeedForward(width, hidden)

    def forward(self, x: Tensor, cache: Cache, layer: int, mask: Tensor | None) -> Tensor:
        normed = self.pre_self_attn_layer_norm(x)
        read = self.self_attn(normed, *cache.extended(layer, *self.self_attn.keys_values(normed)), mask)
        x = x + self.self_attn_layer_norm(read)
        read = self.encoder_attn(self.pre_encoder_attn_layer_norm(x), *cache.text[layer], cache.text_mask)
        x = x + self.encoder_attn_layer_norm(read)
        return x + self.glu(x)

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode the text's tokens (n l w), which all read those of the mask (n 1 1 l)."""
        normed = self.pre_self_attn_layer_norm(x)
        x = x + self.self_attn_layer_norm(self.self_attn(normed, *self.self_attn.keys_values(normed), mask))
        return x + self.glu(x)

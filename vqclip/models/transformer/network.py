"""The transformer over codes: it scores the next code from a condition and the codes before.

Letters in shapes: n images, t tokens, l tokens of a text, w channels, v tokens of the vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.models.transformer import orders
from vqclip.models.transformer.architecture import TransformerArchitecture
from vqclip.models.transformer.layers import BARTLayer, Cache, GPTLayer, Modulation, causal_mask

PAD = 1  # the token after a text's end, in BART's vocabularies


class TextEncoder(nn.Module):
    """Encode a text's tokens for BART's decoder."""

    def __init__(self, a: TransformerArchitecture):
        super().__init__()
        self.tok_emb = nn.Embedding(a.text_vocabulary, a.width)
        self.pos_emb = nn.Parameter(torch.zeros(1, a.text, a.width))
        self.ln_emb, self.ln_f = nn.LayerNorm(a.width), nn.LayerNorm(a.width)
        self.blocks = nn.ModuleList(BARTLayer(a.width, a.heads, a.hidden, False) for _ in range(a.layers))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens (n l), of which the mask's (n 1 1 l) are read, to states (n l w)."""
        x = self.ln_emb(self.tok_emb(tokens) + self.pos_emb)
        layers: Any = self.blocks
        for layer in layers:
            x = layer.encode(x, mask)
        return self.ln_f(x)


class CodeTransformer(nn.Module):
    """Score the next token of images' codes. `begin` reads the condition, `forward` the codes."""

    order: Tensor  # the cell that is sampled as the i-th (rows * columns)

    def __init__(self, architecture: TransformerArchitecture):
        super().__init__()
        a = self.architecture = architecture
        is_bart = a.flavour == "bart"
        self.tok_emb = nn.Embedding(a.vocabulary, a.width)
        self.pos_emb = nn.Parameter(torch.zeros(1, a.block, a.width))
        self.ln_emb = nn.LayerNorm(a.width) if is_bart else nn.Identity()
        self.blocks = nn.ModuleList(
            BARTLayer(a.width, a.heads, a.hidden, True)
            if is_bart
            else GPTLayer(a.width, a.heads, a.hidden, a.modulation)
            for _ in range(a.layers)
        )
        self.ln_f = nn.LayerNorm(a.width)
        self.head = nn.Linear(a.width, a.outputs, bias=False)
        self.encoder = TextEncoder(a) if is_bart else None
        has_tokens, has_embedding = a.conditioning == "tokens" and not is_bart, a.conditioning == "embedding"
        self.text_emb = nn.Embedding(a.text_vocabulary, a.width) if has_tokens else None
        self.text_proj = nn.Linear(a.embedding, a.prefix * a.width) if has_embedding else None
        self.modulator = nn.Linear(a.embedding, a.modulation) if a.modulation else None
        unknown = torch.zeros(a.cells, dtype=torch.long)  # until a file says it
        order = orders.ORDERS[a.order](a.rows, a.columns) if a.order != "file" else unknown
        self.register_buffer("order", order, persistent=a.order == "file")

    def begin(self, condition: Tensor) -> tuple[Tensor, Cache]:
        """Read the condition of images; return the scores (n v) of their first code, and the cache to go on with.

        The condition is tokens (n t) or an embedding (n e), as the architecture says.
        """
        cache = self._cache(len(condition))
        return self._read(self._prefix(condition, cache), cache)[:, -1], cache

    def _cache(self, images: int) -> Cache:
        a = self.architecture
        return Cache(a.layers, (images, a.heads, a.block, a.width // a.heads), self.pos_emb)

    def _prefix(self, condition: Tensor, cache: Cache) -> Tensor:
        """Embed what stands before the first code (n t w); a text's keys and values go into the cache."""
        a = self.architecture
        if self.encoder is not None:
            cache.text_mask = (condition != PAD)[:, None, None]
            states = self.encoder(condition, cache.text_mask)
            layers: Any = self.blocks
            cache.text = [layer.encoder_attn.keys_values(states) for layer in layers]
            return self.tok_emb(torch.full_like(condition[:, :1], a.start))
        if self.text_proj is not None:
            cache.modulations = self._modulations(condition)
            return self.text_proj(condition).view(-1, a.prefix, a.width)
        return (self.text_emb or self.tok_emb)(condition)

    def _modulations(self, condition: Tensor) -> list[Modulation]:
        """Compute what scales and shifts each layer's tokens from an embedding (n e), a unit vector."""
        if self.modulator is None:
            return []
        scaled = condition * self.architecture.embedding**0.5  # its numbers have a variance of 1
        vector = F.gelu(self.modulator(scaled))[:, None]
        layers: Any = self.blocks
        return [layer.modulations(vector) for layer in layers]

    def forward(self, codes: Tensor, cache: Cache) -> Tensor:
        """Read the next codes (n t); return the scores (n v) of the code after them."""
        return self._read(self.tok_emb(codes), cache)[:, -1]

    def score_all(self, condition: Tensor, codes: Tensor) -> Tensor:
        """Score every code of images (n t v), each from those before it, in one reading that has a gradient."""
        cache = self._cache(len(condition))
        first = self._prefix(condition, cache)
        read = self._read(torch.cat([first, self.tok_emb(codes[:, :-1])], 1), cache)
        return read[:, first.shape[1] - 1 :]

    def _read(self, x: Tensor, cache: Cache) -> Tensor:
        past, count = cache.length, x.shape[1]
        mask = causal_mask(past, count, self.architecture.unmasked, x.device)
        x = self.ln_emb(x + self.pos_emb[:, past : past + count])
        for i, block in enumerate(self.blocks):
            x = block(x, cache, i, mask)
        cache.length += count
        return self.head(self.ln_f(x))

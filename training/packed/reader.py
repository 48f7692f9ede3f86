"""mini-clip-2's text tower in plain torch, with no more of its vocabulary than a training says.

Letters in shapes: n sentences, l tokens, w channels, e = 512 dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORD = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+"
)  # as open_clip's tokenizer splits text
_SPELLINGS = (
    ("attn.", "self_attn."), ("mlp.c_fc.", "linear1."), ("mlp.c_proj.", "linear2."), ("ln_1.", "norm1."),
    ("ln_2.", "norm2."),
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of each word, numbered anew; the last two begin and end a sentence."""

    words: Mapping[str, Sequence[int]]
    first: int
    last: int

    def tokens(self, text: str, length: int) -> list[int]:
        """A sentence's tokens, cut or filled with zeros; raises KeyError for a word that isn't known."""
        inner = [token for word in WORD.findall(text.lower()) for token in self.words[word]]
        tokens = [self.first, *inner[: length - 2], self.last]
        return tokens + [0] * (length - len(tokens))

    def knows(self, text: str) -> bool:
        return all(word in self.words for word in WORD.findall(text.lower()))


class Reader(nn.Module):
    """Sentences → unit vectors, as open_clip's text tower gives them."""

    def __init__(self, vocabulary: Vocabulary, tensors: Mapping[str, Tensor], heads: int):
        """`tensors` have open_clip's names, and the rows of the vocabulary's tokens."""
        super().__init__()
        torch.backends.mha.set_fastpath_enabled(False)  # it has kernels of its own on every device
        self.vocabulary = vocabulary
        self.length, width = tensors["positional_embedding"].shape
        self.token_embedding = nn.Embedding(*tensors["token_embedding.weight"].shape)
        self.positional_embedding = nn.Parameter(torch.zeros(self.length, width))
        layers = len({key.split(".")[2] for key in tensors if key.startswith("transformer.resblocks.")})
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(tensors["text_projection"].shape))
        self.load_state_dict({_respelt(key): value.float() for key, value in tensors.items()})
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Tensor:
        """n sentences → n e."""
        tokens = torch.tensor([self.vocabulary.tokens(text, self.length) for text in texts])
        return self.read(tokens.to(self.positional_embedding.device))

    @torch.no_grad()
    def read(self, tokens: Tensor) -> Tensor:
        """Tokens of n sentences, n l, filled with zeros → n e."""
        device, length = tokens.device, tokens.shape[1]
        hidden = torch.full((length, length), float("-inf"), device=device).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        for block in self.blocks:
            x = block(x, src_mask=hidden, is_causal=True)
        ends = self.ln_final(x)[torch.arange(len(tokens), device=device), tokens.argmax(1)]
        return F.normalize(ends @ self.text_projection, dim=1)


def _respelt(key: str) -> str:
    key = key.replace("transformer.resblocks.", "blocks.")
    for theirs, ours in _SPELLINGS:
        key = key.replace(f".{theirs}", f".{ours}")
    return key


def tokens(texts: Iterable[str], encode: Callable[[str], Sequence[int]]) -> dict[str, Sequence[int]]:
    """List the tokens of every word of some texts; `encode` gives those of one."""
    return {word: encode(word) for word in sorted({w for text in texts for w in WORD.findall(text.lower())})}


def reduced(
    texts: Iterable[str], encode: Callable[[str], Sequence[int]], tensors: Mapping[str, Tensor]
) -> tuple[Vocabulary, dict[str, Tensor]]:
    """The vocabulary of some texts, and a text tower's tensors with only its rows.

    `encode` gives a word's tokens. The tower's last two tokens begin and end a sentence.
    """
    words = tokens(texts, encode)
    total = len(tensors["token_embedding.weight"])
    kept = sorted({piece for pieces in words.values() for piece in pieces} | {0, total - 2, total - 1})
    places = {token: place for place, token in enumerate(kept)}
    numbered = {word: [places[piece] for piece in pieces] for word, pieces in words.items()}
    rows = tensors["token_embedding.weight"][kept].clone()
    vocabulary = Vocabulary(numbered, places[total - 2], places[total - 1])
    return vocabulary, {**tensors, "token_embedding.weight": rows}

"""Read texts as a transformer's tokens, by the byte pairs in its file or by CLIP's.

DALL·E mini's tokens are byte pairs (Sennrich et al., 2016, arXiv 1508.07909) of lower-case words of ASCII.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.models.byte_pairs import merge_pairs

VOCABULARY, MERGES = (
    "tokenizer.vocabulary",
    "tokenizer.merges",
)  # names of the file's tensors: bytes of two texts
FIRST_EMOJI = 0x1F000
SPACE = "Ġ"  # what a word begins with in the vocabulary


class PairTokenizer:
    """Split words into the longest pieces that a list of merges makes of their letters."""

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[str]):
        """`merges` are pairs of pieces with a space between, the most frequent first."""
        self._vocabulary = vocabulary
        self._ranks = {tuple(pair.split()): rank for rank, pair in enumerate(merges)}
        self._first, self._last, self._unknown = (vocabulary[word] for word in ("<s>", "</s>", "<unk>"))

    @classmethod
    def of_bytes(cls, vocabulary: bytes, merges: bytes, where: str) -> "PairTokenizer":
        """Read vocab.json and merges.txt; raises WeightsError."""
        try:
            table = {str(word): int(number) for word, number in json.loads(vocabulary).items()}
            return cls(table, merges.decode().split("\n")[1:-1])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            what = " ".join(str(error).split())[:120]
            raise WeightsError(f"{where} has no vocabulary and merges that can be read ({what})") from None

    def tokens(self, text: str) -> list[int]:
        """The numbers of a text's pieces, between those of its start and end."""
        plain = named_emoji(text).lower().encode("ascii", "ignore").decode()
        pieces = [
            piece for word in plain.split(" ") if word for piece in merge_pairs([SPACE, *word], self._ranks)
        ]
        return [self._first, *(self._vocabulary.get(piece, self._unknown) for piece in pieces), self._last]

    def padded(self, text: str, length: int, pad: int) -> Tensor:
        """A text's tokens (length), cut or filled up."""
        tokens = self.tokens(text)[:length]
        return torch.tensor(tokens + [pad] * (length - len(tokens)))


def named_emoji(text: str) -> str:
    """Write emoji as their names in Unicode."""
    return "".join(
        unicodedata.name(sign, "").replace(" ", "_") if ord(sign) >= FIRST_EMOJI else sign for sign in text
    )


def as_bytes(text: bytes) -> Tensor:
    """A text as a tensor, to be kept in a file of tensors."""
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)

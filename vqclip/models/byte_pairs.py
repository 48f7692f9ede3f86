"""Split words into pieces by byte pairs (Sennrich et al., 2016, arXiv 1508.07909); this imports no torch."""

import gzip
import html
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from itertools import chain, pairwise
from math import inf
from pathlib import Path

Ranks = Mapping[tuple[str, ...], int]

# CLIP's vocabulary: each byte, each byte at a word's end, each merged pair, and two signs.
VOCABULARY = 49_408
_FILE, _END = "bpe_simple_vocab_16e6.txt.gz", "</w>"
_MERGES = VOCABULARY - 2 * 256 - 2
_WORD = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def merge_pairs(letters: Iterable[str], ranks: Ranks) -> list[str]:
    """Merge, again and again, the first of the most frequent pairs: those of the lowest rank."""
    pieces = list(letters)
    while len(pieces) > 1:
        found = [ranks.get(pair, inf) for pair in pairwise(pieces)]
        at = min(range(len(found)), key=found.__getitem__)
        if found[at] == inf:
            break
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


class ClipTokenizer:
    """Read texts as CLIP's tokens, as open_clip's SimpleTokenizer does, from the list of pairs in its package."""

    def __init__(self) -> None:
        package = find_spec("open_clip")  # its folder alone: importing it takes seconds
        [folder] = (package.submodule_search_locations if package else None) or [""]
        with gzip.open(Path(folder) / _FILE, "rt", encoding="utf-8") as file:
            merges = [tuple(line.split()) for line in file.read().split("\n")[1 : _MERGES + 1]]
        letters = list(_letters().values())
        signs = ("<start_of_text>", "<end_of_text>")
        words = chain(letters, (letter + _END for letter in letters), map("".join, merges), signs)
        self._numbers = {word: number for number, word in enumerate(words)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._first, self._last = (self._numbers[sign] for sign in signs)

    def tokens(self, text: str, most: int) -> list[int]:
        """Give the numbers of a text's pieces between those of its start and end, `most` at most."""
        import regex  # noqa: PLC0415  # as is the next one, a part of open_clip that takes a while to import

        inner = chain.from_iterable(
            map(self._of_word, regex.findall(_WORD, _cleaned(text), regex.IGNORECASE))
        )
        return [self._first, *list(inner)[: most - 2], self._last]

    def _of_word(self, word: str) -> list[int]:
        if word in ("<start_of_text>", "<end_of_text>"):
            return [self._numbers[word]]
        *letters, last = (_letters()[byte] for byte in word.encode())
        return [self._numbers[piece] for piece in merge_pairs([*letters, last + _END], self._ranks)]


@cache
def _letters() -> dict[int, str]:
    """Give a visible letter for each byte, in the vocabulary's order: bytes that are one in Latin-1 come first."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def _cleaned(text: str) -> str:
    import ftfy  # noqa: PLC0415

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()

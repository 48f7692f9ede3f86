"""Make mini-clip-2's table of word pieces smaller: python -m training.smaller_clip --out FOLDER [--data DIR]

The table is stored in eight bits (float8_e4m3fn), which open_clip reads as it does others. With --data, only pieces
that the words of the training's sentences need are kept, and a file of their merges lies beside the weights. Other
words then fall into shorter pieces, at last into letters, so that every text can still be read:

    open_clip.get_tokenizer("local-dir:FOLDER", bpe_path="FOLDER/bpe_simple_vocab.txt.gz")
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training import work
from training.images.dataset import Dataset
from training.packed.reader import WORD
from training.tower import START
from training.towers.sentences import corpus
from training.towers.start import CONFIG, FILE
from vqclip.models.clip import MERGES

TABLE = "token_embedding.weight"
Merge = tuple[str, str]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder to write")
    parser.add_argument(
        "--start", type=Path, default=START, metavar="DIR", help="the CLIP (default: mini-clip-2)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="data set whose sentences' pieces are kept")
    given = parser.parse_args(arguments)
    texts = None
    if given.data:
        wordnet = given.data / "packages" / "unpacked" / "wordnet-base"
        texts = corpus(Dataset.open(given.data), wordnet, 70_000)
    write(given.start, given.out, texts)
    print(f"{given.out / FILE}: {(given.out / FILE).stat().st_size / 1e6:.1f} MB")
    return 0


def write(start: Path, out: Path, texts: Iterable[str] | None = None) -> None:
    """Write a folder with a smaller table; with texts, only the pieces of their words are kept."""
    tensors, config = load_file(start / FILE), json.loads((start / CONFIG).read_text())
    out.mkdir(parents=True, exist_ok=True)
    if texts is not None:
        rows, merges = fewer(texts)
        tensors[TABLE] = tensors[TABLE][rows]
        config["model_cfg"]["text_cfg"]["vocab_size"] = len(rows)
        lines = ["#version: vqclip", *(" ".join(merge) for merge in merges)]
        (out / MERGES).write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    tensors[TABLE] = tensors[TABLE].to(torch.float8_e4m3fn)
    work.write_tensors(tensors, out / FILE)
    work.write_text(out / CONFIG, json.dumps(config, indent=2) + "\n")


def fewer(texts: Iterable[str]) -> tuple[list[int], list[Merge]]:
    """Find the pieces that the words of some texts need: their rows in the table, and the merges that make them.

    A word's merges are the same among all merges and among those of some words that it belongs to: at each step, the
    first that applies is one of its own.
    """
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415

    whole: Any = SimpleTokenizer()
    words = {word for text in texts for word in WORD.findall(text.lower())}
    spelt = {"".join(whole.byte_encoder[byte] for byte in word.encode()) for word in words}
    used = {merge for word in spelt for merge in merges_of(word, whole.bpe_ranks)}
    merges = sorted(used, key=whole.bpe_ranks.__getitem__)
    last = len(whole.encoder)
    rows = [*range(2 * 256), *(whole.encoder["".join(merge)] for merge in merges), last - 2, last - 1]
    return rows, merges


def merges_of(word: str, ranks: dict[Merge, int]) -> list[Merge]:
    """List the merges of byte pair encoding that a word takes (arXiv 1508.07909)."""
    pieces, made = [*word[:-1], f"{word[-1]}</w>"], []
    while len(pieces) > 1:
        first = min(pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
        if first not in ranks:
            break
        pieces = _merged(pieces, first)
        made.append(first)
    return made


def _merged(pieces: Sequence[str], pair: Merge) -> list[str]:
    merged: list[str] = []
    i = 0
    while i < len(pieces):
        two = tuple(pieces[i : i + 2]) == pair
        merged.append("".join(pair) if two else pieces[i])
        i += 2 if two else 1
    return merged


if __name__ == "__main__":
    raise SystemExit(main())

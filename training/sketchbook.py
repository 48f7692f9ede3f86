"""Fill the Sketchbook: drawings of things, landscapes, and the words for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from io import BytesIO
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training import options, work
from training.images.dataset import Dataset
from training.images.words import with_article
from training.scenes.landscapes import landscapes
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.start.phrases import COLOURS
from vqclip.start.sketch_config import SketchStart
from vqclip.start.sketchbook import COLUMNS, SIDE

DRAWINGS, SYNONYMS = 3, 5  # of a name
AXES = 80
# Of several drawings of a name those that say most in few pixels.
STYLES = (
    "fluent-emoji",
    "noto",
    "twemoji",
    "emojione",
    "fxemoji",
    "fluent-emoji-flat",
    "noto-v1",
)
# The book hands drawings on as they are: only those that ask no more than to be named.
LICENCES = {"public domain", "MIT", "Apache-2.0", "CC-BY-4.0"}
SIGNS = re.compile(
    r"symbol|pointing|pushing hand|placard|diamond$|triangle|person gesturing|drawbridge|"
    r"^(bridge at night|cityscape|cityscape at dusk|fireworks|foggy|milky way|night with stars|shooting star)$|"
    r"^(sparkler|sunrise|sunrise over mountains|sunset)$|"  # framed views: the landscapes show them better
    r"^(aquarius|aries|cancer|capricorn|gemini|leo|libra|ophiuchus|pisces|sagittarius|scorpio|taurus|virgo|ram|11|abc)$"
)
# A heart is red unless it is said to be another: what is named with such a colour is not also called by its kind alone.
UNUSUAL = set(COLOURS) - {"red"}


class Entry(NamedTuple):
    """A picture with straight alpha, what it is called, and other words for it."""

    picture: Image.Image
    names: list[str]
    others: list[str]


def fill(things: list[Entry], scenes: list[Entry], read: Callable[[list[str]], Tensor]) -> dict[str, Tensor]:
    """The Sketchbook's tensors: see there."""
    entries = [*things, *scenes]
    every = list(dict.fromkeys(word for entry in entries for word in (*entry.names, *entry.others)))
    meanings = torch.cat([read(every[k : k + 256]) for k in range(0, len(every), 256)]).float()
    meaning = dict(zip(every, meanings, strict=True))
    pages = [(name, k, name) for k, entry in enumerate(entries) for name in entry.names]
    for k, (_, (name, *_), others) in enumerate(entries):
        nearest = sorted(others, key=lambda word: -float(meaning[word] @ meaning[name]))[:SYNONYMS]
        pages += [(word, k, name) for word in nearest]
    words = list(dict.fromkeys(word for word, _, _ in pages))
    number = {word: k for k, word in enumerate(words)}
    axes, placed = along_axes(torch.stack([meaning[word] for word in words]))
    strips = [strip(entries[k : k + COLUMNS]) for k in range(0, len(entries), COLUMNS)]
    return {
        "axes": axes,
        "words": placed,
        "pages": torch.tensor(
            [(number[word], k, number[name]) for word, k, name in pages], dtype=torch.int16
        ),
        "things": torch.tensor(len(things), dtype=torch.int32),
        "ends": torch.tensor(list(accumulate(map(len, strips))), dtype=torch.int32),
        "strips": torch.frombuffer(bytearray(b"".join(strips)), dtype=torch.uint8),
    }


def along_axes(meanings: Tensor) -> tuple[Tensor, Tensor]:
    """The main axes (e k) of unit vectors (w e), and the vectors' directions along them in 8 bits (w k)."""
    axes = torch.linalg.svd(meanings, full_matrices=False).Vh[:AXES].T
    placed = meanings @ axes
    return axes, (127 * placed / placed.abs().amax(1, keepdim=True)).round().to(torch.int8)


def things(data: Dataset) -> Iterator[Entry]:
    """Of each name of a thing its best drawings, out of the split for training alone."""
    named: dict[str, list[int]] = defaultdict(list)
    for row in map(int, data.rows("train")):
        entry = data.index[row]
        if (
            entry["licence"] in LICENCES
            and not SIGNS.search(entry["name"])
            and not sketchy(data.sprites[row])
        ):
            named[entry["name"]].append(row)

    def rank(row: int) -> int:
        style = data.index[row]["style"]
        return STYLES.index(style) if style in STYLES else len(STYLES)

    drawn = {
        name: [row for row in rows if data.index[row]["style"] != "clip art"] for name, rows in named.items()
    }
    emoji = {name: rows for name, rows in drawn.items() if rows}
    called = {
        name: also_called(name, data.index[rows[0]]["words"], emoji.keys()) for name, rows in emoji.items()
    }
    for name, rows in emoji.items():
        for row in sorted(rows, key=rank)[:DRAWINGS]:
            yield drawn_entry(data, row, called[name])
    known = {*emoji, *chain.from_iterable(called.values())}
    for name in sorted(named.keys() - known):  # what emoji draw, they draw better
        for row in named[name][: DRAWINGS - 1]:
            yield drawn_entry(data, row, also_called(name, data.index[row]["words"], known))


def drawn_entry(data: Dataset, row: int, words: list[str]) -> Entry:
    name = with_article(data.index[row]["name"])
    return Entry(Image.fromarray(np.array(data.sprites[row])), [name], [with_article(word) for word in words])


def also_called(name: str, words: list[str], names: Collection[str]) -> list[str]:
    """Synonyms without other things' names, and without parts of its own that mean something else (hot dog, hot)."""
    if name.split(maxsplit=1)[0] in UNUSUAL:
        return []
    head = re.split(r" (?:with|in|of|on|without) ", name)[0].split()[-1]
    own = [word for word in words if word == head or word not in name.split()]
    return [word for word in own if word not in names]


def sketchy(sprite: np.ndarray) -> bool:
    """Whether a cut-out (s s 4) is little more than lines."""
    pixels = sprite.astype(np.float32) / 255
    inside = pixels[..., :3][pixels[..., 3] > 0.5]
    if len(inside) < 0.1 * pixels[..., 3].size:
        return True
    grey = (inside.max(1) - inside.min(1)).mean() < 0.06
    return bool(grey and (inside.min(1) > 0.85).mean() > 0.35)


def strip(entries: list[Entry]) -> bytes:
    """Pictures side by side, as a WebP."""
    page = Image.new("RGBA", (COLUMNS * SIDE, SIDE))
    for k, (picture, _, _) in enumerate(entries):
        # reduced with premultiplied alpha, so that no hidden colour bleeds into the edges
        small = picture.convert("RGBA").convert("RGBa").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        page.paste(small.convert("RGBA"), (k * SIDE, 0))
    file = BytesIO()
    page.save(file, "WEBP", quality=32, alpha_quality=25, method=6)
    return file.getvalue()


def main(arguments: list[str] | None = None) -> int:
    parser = options.parser("Fill the sketchbook", "mini-sketch", minutes=0)
    given, _ = options.read(parser, arguments)
    reader = OpenCLIPPerceptor(SketchStart.reader, torch.device("cpu"), torch.float32)
    drawn = list(things(given.data))
    scenes: list[Entry] = [Entry(scene, said, []) for scene, said in landscapes(1 if given.smoke else 2)]
    told = work.export_tensors(fill(drawn, scenes, reader.embed_texts), given.out / "model.safetensors")
    work.log(given.work / "log.jsonl", things=len(drawn), scenes=len(scenes), exported=str(given.out), **told)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

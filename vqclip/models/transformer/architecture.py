"""Describe a transformer over codes: what it is made of, and what it is conditioned on. This imports no torch.

The description stands in the header of its file, so that the file is all that sampling needs besides the VQGAN.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from vqclip.base.errors import WeightsError
from vqclip.weights.safetensors_header import read_metadata

NOTE = "vqclip.transformer"  # the key of the header
FLAVOURS = ("gpt", "bart")
CONDITIONINGS = ("none", "class", "coordinates", "tokens", "embedding", "map")
LARGEST = 2**24  # of any width or count


@dataclass(frozen=True, kw_only=True)
class TransformerArchitecture:
    """What a transformer over codes is made of; the grid of codes has `rows` x `columns` cells."""

    flavour: str = "gpt"  # gpt: taming's layers; bart: DALL·E mini's, with a text encoder
    layers: int
    heads: int
    width: int
    hidden: int  # width inside the feed-forward part
    vocabulary: int  # tokens that it embeds
    outputs: int  # tokens that it scores
    codes: int  # how many of these are codes of the VQGAN: the first ones
    block: int  # the most tokens that it reads
    rows: int = 16
    columns: int = 16
    order: str = "row"  # in which the cells are sampled; `file` means that the file holds it
    unmasked: int = 0  # tokens of the prefix that also read those after them
    conditioning: str = "none"
    start: int = 0  # the token before the first code, where the conditioning gives none
    classes: int = 0
    text: int = 0  # tokens of a text that it reads
    text_vocabulary: int = 0
    embedding: int = 0  # width of the text embedding that it reads
    prefix: int = 1  # tokens that the text embedding becomes
    # Width of what the text embedding becomes to scale and shift each layer's tokens; 0 is nothing.
    modulation: int = 0
    clip: str = ""  # the CLIP that embeds the text
    guidance: float = 1.0  # what suits it
    vqgan: str = ""  # the VQGAN whose codes these are

    def __post_init__(self) -> None:
        """Refuse, with a ValueError, what no network can be made of."""
        sizes = (
            self.layers, self.heads, self.width, self.hidden, self.vocabulary, self.outputs, self.codes, self.block,
            self.rows, self.columns, self.prefix,
        )  # fmt: skip
        others = (
            self.unmasked, self.start, self.classes, self.text, self.text_vocabulary, self.embedding, self.modulation,
        )  # fmt: skip
        if not all(type(size) is int for size in (*sizes, *others)):
            raise ValueError("every width and count must be a whole number")
        if min(sizes) < 1 or min(others) < 0 or max(*sizes, *others) > LARGEST:
            raise ValueError("every width and count must be from 1 to 2^24")
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} doesn't divide into {self.heads} heads")
        if self.flavour not in FLAVOURS:
            raise ValueError(f"flavour {self.flavour!r} is none of {', '.join(FLAVOURS)}")
        if self.conditioning not in CONDITIONINGS:
            raise ValueError(f"conditioning {self.conditioning!r} is none of {', '.join(CONDITIONINGS)}")
        if self.modulation and (self.flavour, self.conditioning) != ("gpt", "embedding"):
            raise ValueError("only layers of the flavour gpt that read an embedding are modulated")
        if self.conditioning != "map" and self.conditions + self.cells - 1 > self.block:
            raise ValueError(
                f"{self.conditions} tokens and {self.cells} codes are more than the {self.block} it reads"
            )

    @property
    def cells(self) -> int:
        """The number of codes of an image."""
        return self.rows * self.columns

    @property
    def conditions(self) -> int:
        """The number of tokens before the first code."""
        if self.flavour == "bart":
            return 1
        return {"coordinates": self.cells, "tokens": self.text, "embedding": self.prefix}.get(
            self.conditioning, 1
        )

    @property
    def reads_text(self) -> bool:
        return self.conditioning in ("tokens", "embedding")

    def to_note(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def read_note(path: Path) -> TransformerArchitecture:
    """Read the description in a file's header; raises WeightsError if there is none, or none that can be."""
    note = read_metadata(path).get(NOTE)
    if note is None:
        raise WeightsError(
            f"{path} is no transformer of vqclip's; type: vqclip models import {path}, and name what it prints"
        )
    try:
        return TransformerArchitecture(**json.loads(note))
    except (TypeError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path} carries a description that can't be ({what}); import it again") from None

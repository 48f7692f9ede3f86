"""Make a transformer's conditions: nothing, a class of ImageNet, coordinates, a text's tokens or its embedding."""

import re
from collections.abc import Callable, Mapping
from functools import cache

import open_clip
import torch
from torch import Tensor

from vqclip.base.errors import UsageError, WeightsError, shorten, suggest
from vqclip.models.transformer.loading import LoadedTransformer
from vqclip.models.transformer.sampling import Conditions

# The conditions of so many images in a window of the grid, by its top and left.
Windowed = Callable[[int, int], Conditions]


def conditions(
    transformer: LoadedTransformer,
    text: str,
    count: int,
    size: tuple[int, int],
    pixels: int,
    embedded: Mapping[str, Tensor],
) -> Windowed:
    """Make the conditions of `count` images of `size` cells (rows, columns) that are `pixels` wide, for a text.

    `embedded` are the embeddings (e) of texts, where the transformer reads these.

    Raises UsageError where the transformer knows no class of the text's, and WeightsError where it needs a map.
    """
    a, device = transformer.architecture, transformer.network.pos_emb.device

    def everywhere(given: Tensor, empty: Tensor | None = None) -> Windowed:
        silent = None if empty is None else empty.to(device).expand(count, -1)
        made = Conditions(given.to(device).expand(count, -1), silent)
        return lambda top, left: made

    match a.conditioning:
        case "none":
            return everywhere(torch.tensor([a.start]))
        case "class":
            return everywhere(torch.tensor([class_number(text, a.classes)]))
        case "tokens":
            given, empty = (transformer.tokens(words) for words in (text, ""))
            return everywhere(given, empty)
        case "embedding":
            given = embedded[text]
            return everywhere(given, torch.zeros_like(given))
        case "coordinates":
            cells = coordinates(size, pixels, a.vocabulary - 1, a.codes).to(device)

            def windowed(top: int, left: int) -> Conditions:
                window = cells[top : top + a.rows, left : left + a.columns]
                return Conditions(window.reshape(1, -1).expand(count, -1))

            return windowed
    raise WeightsError(
        "this transformer makes images of maps (segmentations, depths, boxes), and vqclip has none to give it; "
        "take one of classes, coordinates or texts"
    )


def coordinates(size: tuple[int, int], pixels: int, largest: int, levels: int) -> Tensor:
    """The coordinate (y x) of each cell, from 0 at the image's first pixel to `levels` at its last, row by row.

    As taming's CoordStage has it: the mean over a cell of each pixel's place in the image, as a share of all.
    """
    rows, columns = size
    y, x = (pixels * torch.arange(side, dtype=torch.float64) + (pixels - 1) / 2 for side in size)
    width = columns * pixels
    share = (y[:, None] * width + x) / (rows * pixels * width)
    return (levels * share).round().long().clamp(max=largest)


def class_number(text: str, classes: int) -> int:
    """The number of ImageNet's class that a text is the number or name of, or else contains; raises UsageError."""
    plain = " ".join(text.lower().split())
    if plain.isdecimal():
        if int(plain) < classes:
            return int(plain)
        raise UsageError(f"start.text: class {plain} is beyond the {classes} that this transformer knows")
    known = _classes()
    if plain in known:
        return known[plain]
    inside = [name for name in known if re.search(rf"\b{re.escape(name)}\b", plain)]
    if inside and known[best := max(inside, key=len)] < classes:
        return known[best]
    raise UsageError(
        f"start.text: {shorten(text)} names none of ImageNet's classes{suggest(plain, known)}; write one, as in "
        "--set start.text=goldfish, or its number"
    )


@cache
def _classes() -> dict[str, int]:
    """ImageNet's classes by name, as open_clip lists them; of two with one name the first."""
    names: list[str] = open_clip.IMAGENET_CLASSNAMES
    return {name.lower(): number for number, name in reversed(list(enumerate(names)))}

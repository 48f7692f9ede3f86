"""Whether samples of the prior repeat training pictures: python -m evaluation.nearest --packed FILE SAMPLES

For each PNG in SAMPLES the nearest cut-out of the training, in pixels and in the judge's space. Beside them stand
pictures of names that were held out: what nobody learned from is about as near as samples that repeat nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from evaluation.judge import Judge
from evaluation.ranking import WEIGHTS
from training.packed.file import HELD_OUT, Packed
from training.prior import sheet
from training.towers.sentences import Sentences
from vqclip.media.image import load_image

SIDE = 24  # pixels of the pictures that are compared
SIZES = (0.6, 0.7, 0.8, 0.9, 1.0)  # shares of the side at which each cut-out is tried, and mirrored
CHUNK = 512
PAIRS = 6  # are named
PLAIN = 0.03  # distance to the ground below which there is nothing to compare
See: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Nearest:
    """Of n pictures the nearest training picture: its row and how far it is."""

    rows: Tensor
    distances: Tensor


def in_pixels(images: Tensor, sprites: Tensor) -> Nearest:
    """Compare images (n 3 s s) in [0, 1] with cut-outs (m 4 t t, uint8, premultiplied) on each image's own ground.

    The ground is the median colour of the image's border. A distance is the root of the mean square over colours, as
    a share of the distance to the ground alone: 0 is the same picture, and 1 is no nearer than nothing at all.
    """
    small = F.interpolate(images, (SIDE, SIDE), mode="area")
    border = torch.cat([small[..., 0, :], small[..., -1, :], small[..., 0], small[..., -1]], 2)
    ground, flat = border.median(2).values, small.flatten(1)
    best = Nearest(torch.zeros(len(images), dtype=torch.long), torch.full((len(images),), float("inf")))
    for begin, part in _parts(sprites):
        for cut in _variants(part):
            best = _nearer(best, begin, _distances(flat, ground, cut))
    bare = (flat - ground.repeat_interleave(SIDE * SIDE, 1)).square().mean(1).sqrt()
    return Nearest(best.rows, best.distances / bare.clamp_min(PLAIN))


def by_judge(images: Tensor, known: Tensor, see: See) -> Nearest:
    """Compare what a judge sees in images with what it saw in cut-outs (m e); a distance is 1 - cosine."""
    found = (torch.cat([see(part) for part in torch.split(images, 32)]) @ known.T).max(1)
    return Nearest(found.indices, 1 - found.values)


def seen_on_white(sprites: Tensor, see: See) -> Tensor:
    """What a judge sees in cut-outs on white: m e."""
    return torch.cat([see(on(part, torch.ones(3))) for _, part in _parts(sprites, 32)])


def _kept(file: Path | None, sprites: Tensor, see: See) -> Tensor:
    """What a judge sees in cut-outs, from a file if it is there; else it is written."""
    if file is not None and file.is_file():
        return load_file(file)["seen"]
    seen = seen_on_white(sprites, see)
    if file is not None:
        save_file({"seen": seen}, file)
    return seen


def on(sprites: Tensor, colour: Tensor) -> Tensor:
    """Premultiplied cut-outs (n 4 t t, uint8) on a ground of one colour: n 3 t t."""
    layer = sprites.float() / 255
    return layer[:, :3] + colour.view(3, 1, 1) * (1 - layer[:, 3:])


def _parts(sprites: Tensor, size: int = CHUNK) -> Iterator[tuple[int, Tensor]]:
    yield from ((begin, sprites[begin : begin + size]) for begin in range(0, len(sprites), size))


def _variants(sprites: Tensor) -> Iterator[Tensor]:
    """Cut-outs in several sizes in the middle of a small square, and mirrored: n 4 SIDE SIDE."""
    layer = sprites.float() / 255
    for size in SIZES:
        side = 2 * round(SIDE * size / 2)
        margin = (SIDE - side) // 2
        placed = F.pad(F.interpolate(layer, (side, side), mode="area"), (margin,) * 4)
        yield from (placed, placed.flip(3))


def _distances(flat: Tensor, ground: Tensor, cut: Tensor) -> Tensor:
    """Root mean squares (n m) between images (n 3pp) and cut-outs (m 4 p p) on the images' grounds (n 3).

    |x - c - g (1 - a)|^2 is written out, so that no cut-out is laid on each ground.
    """
    colours, clear = cut[:, :3].flatten(1), 1 - cut[:, 3:].flatten(1)
    cells = clear.shape[1]
    product = flat @ colours.T
    for channel in range(3):
        tint, part = ground[:, channel, None], slice(channel * cells, (channel + 1) * cells)
        product = product + tint * (flat[:, part] @ clear.T) - tint * (colours[:, part] * clear).sum(1)
    square = flat.square().sum(1)[:, None] + colours.square().sum(1)
    square = square + ground.square().sum(1)[:, None] * clear.square().sum(1) - 2 * product
    return (square.clamp_min(0) / flat.shape[1]).sqrt()


def _nearer(best: Nearest, begin: int, distances: Tensor) -> Nearest:
    found = distances.min(1)
    closer = found.values < best.distances
    return Nearest(
        torch.where(closer, begin + found.indices, best.rows),
        torch.where(closer, found.values, best.distances),
    )


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", type=Path, metavar="SAMPLES", help="a folder of PNGs")
    parser.add_argument("--packed", type=Path, required=True, metavar="FILE", help="of training.pack")
    parser.add_argument(
        "--most", type=int, default=1000000, help="of the training pictures, for a quick look"
    )
    parser.add_argument("--held-out", type=int, default=100, help="pictures of held-out names beside them")
    parser.add_argument(
        "--seen", type=Path, metavar="FILE", help="keeps what the judge saw, for the next time"
    )
    parser.add_argument("--no-judge", action="store_true", help="pixels alone, which is quick")
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="PNG",
        help="the twelve closest pairs in pixels; those of the judge in PNG-judge",
    )
    given = parser.parse_args(arguments)
    files = sorted(given.samples.glob("*.png"))
    if not files:
        parser.exit(2, f"there are no PNGs in {given.samples}\n")
    packed = Packed.open(given.packed)
    known = packed.sprites[torch.from_numpy(packed.rows("train"))[: given.most]]
    fresh = on(packed.sprites[torch.from_numpy(packed.rows(HELD_OUT))[: given.held_out]], torch.ones(3))
    size = (128, 128)
    samples = torch.cat([F.interpolate(load_image(file), size, mode="area") for file in files])
    print(
        "| pictures | number | distance in | least | a tenth is below | median |\n| --- | --: | --- | --: | --: | --: |"
    )
    nearest: dict[str, Callable[[Tensor], Nearest]] = {"pixels": lambda images: in_pixels(images, known)}
    if not given.no_judge:
        see = Judge.open(WEIGHTS, Sentences(stand_in=True)).see  # it reads nothing here
        seen = _kept(given.seen, known, see)
        nearest["the judge's space"] = lambda images: by_judge(images, seen, see)
    for title, images in (("samples", samples), ("held-out names", fresh)):
        for where, find in nearest.items():
            if len(images):
                _report(title, where, find(images))
    names = [packed.index[row]["name"] for row in packed.rows("train")]
    for where, find in nearest.items():
        found = find(samples)
        told = ", ".join(
            f"{files[i].stem} and {names[found.rows[i]]} {found.distances[i]:.3f}"
            for i in found.distances.argsort()[:PAIRS].tolist()
        )
        print(f"\nclosest in {where}: {told}")
        if given.sheet is not None:
            file = given.sheet if where == "pixels" else given.sheet.with_stem(f"{given.sheet.stem}-judge")
            pairs(samples, known, found).save(file)
    return 0


def _report(title: str, where: str, found: Nearest) -> None:
    least, tenth, median = found.distances.quantile(torch.tensor([0.0, 0.1, 0.5])).tolist()
    print(f"| {title} | {len(found.rows)} | {where} | {least:.3f} | {tenth:.3f} | {median:.3f} |")


def pairs(images: Tensor, sprites: Tensor, found: Nearest, most: int = 12) -> Image.Image:
    """A sheet of the closest pairs: an image, and beside it its nearest training picture."""
    closest = found.distances.argsort()[:most]
    beside = F.interpolate(on(sprites[found.rows[closest]], torch.ones(3)), images.shape[2:], mode="area")
    return sheet(torch.stack([images[closest], beside], 1).flatten(0, 1), 8)


if __name__ == "__main__":
    raise SystemExit(main())

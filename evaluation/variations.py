"""Compare variations with the picture that they were made of and with other pictures, by the judge and mini-clip-2.

python -m evaluation.variations PICTURE VARIATION… --others PICTURE…
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from evaluation.judge import Judge
from training.towers.sentences import Sentences
from vqclip.base.paths import CHECKPOINTS
from vqclip.guidance.ops import cover
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig
from vqclip.media.image import load_image
from vqclip.pipeline.model_cache import ModelCache


class Unread(Sentences):
    """In place of MiniLM: no text is read here."""

    def __init__(self) -> None:
        pass


def square(image: Tensor, side: int) -> Tensor:
    """Scale and cut an image (1 3 h w) to its centred square."""
    return cover(image, side, side).clamp(0, 1)


def observers() -> dict[str, Callable[[Tensor], Tensor]]:
    """What sees an image (1 3 h w) as a unit vector (d): the judge, and mini-clip-2, which generated the variations."""
    judge = Judge.open(CHECKPOINTS / "judge/model.safetensors", Unread())
    clip = ModelCache(torch.device("cpu")).perceptor(OpenCLIPConfig(model="mini-clip-2"), torch.float32)
    return {
        "judge": lambda image: judge.see(square(image, judge.side))[0],
        "mini-clip-2": lambda image: clip.embed_crops(square(image, clip.size))[0],
    }


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print each variation's cosines to the picture and to the nearest other one, and how much variations differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--others", type=Path, nargs="+", required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    images = {path: load_image(path) for path in given.files}
    for name, see in observers().items():
        picture, *varied = (see(image) for image in images.values())
        others = torch.stack([see(load_image(path)) for path in given.others])
        for path, embedding in zip(given.files[1:], varied, strict=True):
            near = float((others @ embedding).max())
            print(
                f"{name}: {path}: {float(picture @ embedding):.3f} to the picture, {near:.3f} to the nearest other"
            )
    for one, two in combinations(given.files[1:], 2):
        off = float((images[one] - images[two]).abs().mean())
        print(f"{one.name} and {two.name}: {255 * off:.1f} of 255 apart a pixel, on average")


if __name__ == "__main__":
    main()

"""Compare variations with the picture that they were made of and with other pictures, by the judge.

python -m evaluation.variations PICTURE VARIATION… --others PICTURE…
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch

from vqclip.guidance.perceptors.judge import Judge
from vqclip.guidance.perceptors.judge_config import NAME, find_judge
from vqclip.media.image import load_image
from vqclip.pipeline.reranker import Reranker


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each variation's cosines to the picture and to the nearest other one, and how much variations differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--others", type=Path, nargs="+", required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    images = {path: load_image(path) for path in given.files}
    judge = Reranker(Judge(find_judge(NAME), torch.device("cpu")))
    picture, *varied = torch.stack([judge.embed_image(image) for image in images.values()])
    others = torch.stack([judge.embed_image(load_image(path)) for path in given.others])
    for path, embedding in zip(given.files[1:], varied, strict=True):
        near = float((others @ embedding).max())
        print(f"{path}: {float(picture @ embedding):.3f} to the picture, {near:.3f} to the nearest other")
    for one, two in combinations(given.files[1:], 2):
        off = float((images[one] - images[two]).abs().mean())
        print(f"{one.parent.name} and {two.parent.name}: {255 * off:.1f} of 255 apart a pixel, on average")


if __name__ == "__main__":
    main()

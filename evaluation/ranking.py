"""R-precision: how often a picture's own prompt comes first, or among the first five, of a whole file of prompts.

The judge is a CLIP that never paints. Which prompt is a picture's own stands in the PNG itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from evaluation.judge import Judge
from vqclip.base.errors import VqclipError
from vqclip.media.image import load_image, read_metadata

WEIGHTS = Path(__file__).resolve().parents[1] / "checkpoints" / "judge" / "model.safetensors"


@dataclass(frozen=True)
class Verdict:
    """One picture: its prompt, the place of that prompt among all (1 is the first), the prompt preferred to all.

    `likeness` is the cosine of the picture and its prompt.
    """

    picture: Path
    prompt: str
    rank: int
    first: str
    likeness: float


def read_prompts(file: Path) -> list[str]:
    """One prompt a line; # begins a comment."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@torch.no_grad()
def rank(pictures: Sequence[Path], prompts: list[str], judge: Judge) -> list[Verdict]:
    """Judge pictures that vqclip saved, each of one of the prompts; raises VqclipError where one is of none."""
    texts, verdicts = judge.read(prompts), []
    for path in pictures:
        prompt = read_metadata(path)["config"]["prompts"][0]
        if prompt not in prompts:
            raise VqclipError(
                f"{path} was painted of {prompt!r}, which is none of the {len(prompts)} prompts"
            )
        likeness = (judge.see(load_image(path)) @ texts.T)[0]
        own = likeness[prompts.index(prompt)]
        place = 1 + int((likeness > own).sum())
        verdicts.append(Verdict(path, prompt, place, prompts[int(likeness.argmax())], float(own)))
    return verdicts


def precision(verdicts: Sequence[Verdict], within: int) -> float:
    """The share of pictures whose own prompt is among the first so many."""
    return sum(verdict.rank <= within for verdict in verdicts) / len(verdicts)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, metavar="PROMPTS", help="a text file, one prompt a line")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="pictures that vqclip painted of them")
    parser.add_argument("--judge", type=Path, default=WEIGHTS, help="weights of scripts/train_judge")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    given = parser.parse_args(arguments)
    try:
        prompts, pictures = read_prompts(given.prompts), sorted(given.folder.glob("*.png"))
        if not pictures:
            raise VqclipError(f"there are no PNGs in {given.folder}")
        verdicts = rank(pictures, prompts, Judge.open(given.judge))
    except (VqclipError, OSError) as error:
        parser.exit(2, f"{error}\n")
    figures = {"pictures": len(verdicts), "R@1": precision(verdicts, 1), "R@5": precision(verdicts, 5)}
    if given.json:
        ranks = {verdict.picture.name: verdict.rank for verdict in verdicts}
        print(json.dumps(figures | {"prompts": len(prompts), "ranks": ranks}))
        return 0
    for verdict in verdicts:
        beaten = "" if verdict.rank == 1 else f"   after: {verdict.first}"
        print(f"{verdict.rank:4d}  {verdict.picture.name}  {verdict.prompt}{beaten}")
    print(
        f"R@1 {figures['R@1']:.0%}, R@5 {figures['R@5']:.0%} of {len(verdicts)} pictures among {len(prompts)} prompts"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
